"""Ctrl-C and SIGTERM during a run: noted when they come, dealt with where it is safe.

Python raises wherever it happens to be: in the midst of an import, whose lock then stays locked
for all other threads, or in a callback, which swallows the exception. So nothing is raised while
the engine is at work; it is notified, and raises at a point of its own. A user who asks a second
time, for the engine is stuck in something that takes long, gets the exception at once.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


# The public functions make enums of numbers and handlers, which takes ten times as long.
_getsignal, _setsignal = _signal.getsignal, _signal.signal


class Interrupts:
    """Notes signals for as long as it is entered; does nothing outside of the main thread.

    Args:
        wake: Called when a signal comes, from its handler.
        active: Whether to do anything: not where nodes run in the calling thread itself.
    """

    def __init__(self, wake: Callable[[], Any], *, active: bool) -> None:
        self._wake = wake
        self._active = active and threading.current_thread() is threading.main_thread()
        self._handlers: dict[int, Any] = {}
        self._caught: list[int] = []

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM) if self._active else ():
            handler = _getsignal(number)
            if callable(handler):  # else it is ignored, or ends the process, and stays so
                self._handlers[number] = handler
                _setsignal(number, self._note)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._handlers.items():
            _setsignal(number, handler)
        self.check()  # whatever broke after a signal to all processes is the signal's doing

    def check(self) -> None:
        """Do what a signal that has come asks for.

        Raises:
            BaseException: What the handler that was there before raises, mostly KeyboardInterrupt.
        """
        if self._caught:
            number = self._caught.pop()
            self._handlers[number](number, None)

    def _note(self, number: int, frame: Any) -> None:
        if self._caught:
            self._handlers[number](number, frame)
        else:
            self._caught.append(number)
            self._wake()


class Cancelled(BaseException):
    """Another thread has ended a run."""


class Cancellation:
    """Lets other threads end a run, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested = False
        self._wake: Callable[[], Any] | None = None

    def cancel(self) -> None:
        """Ask the run to end, now or as soon as it begins."""
        with self._lock:
            self._requested = True
            if self._wake is not None:
                self._wake()

    def listen(self, wake: Callable[[], Any] | None) -> None:
        """Have something called when the run is to end; None to have nothing called any more."""
        with self._lock:
            self._wake = wake

    def check(self) -> None:
        """Do what was asked for.

        Raises:
            Cancelled: If the run is to end.
        """
        if self._requested:
            raise Cancelled
