"""Ctrl-C and SIGTERM at the command line."""

from __future__ import annotations

import signal
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import CodeType, FrameType

# What the shell reports of a process that SIGINT or SIGTERM has ended.
INTERRUPTED, TERMINATED = 130, 143

# An impatient user, or a supervisor that signals both the group and its leader, means one end.
_SAME = 1.0
# After a callback has swallowed what a signal has raised, how soon (s) to raise it again.
_AGAIN = 0.01


class Terminated(SystemExit):
    """SIGTERM, as distinct from a node that calls sys.exit."""


class Signals:
    """Raises KeyboardInterrupt or `Terminated`, until `ignore` is called.

    A signal within a second of the one before is not raised again: it would hit the tidying up
    that the first has set off. Where Python cannot raise, as in the callback of a weak reference,
    which imports have, the signal comes again when that is over.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._raised = float("-inf")
        self._errors: list[BaseException] = []  # that were raised
        self._calls = 0  # of the handler
        self._unraisablehook = sys.unraisablehook
        # Its `put` may be interrupted by a handler that puts something as well.
        self._swallows: SimpleQueue[int | None] = SimpleQueue()
        self._sender: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._unraisablehook, sys.unraisablehook = sys.unraisablehook, self._swallowed
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as below nohup
                self._previous[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.unraisablehook = self._unraisablehook
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()  # what has not been raised by now is not raised any more
        self._swallows.put(None)

    def ignore(self) -> None:
        """Let nothing disturb the rest of this process, which is about to end."""
        self._raised = float("inf")
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)
        self._previous.clear()

    def behind(self, error: BaseException) -> BaseException | None:
        """What a signal has raised that has led to an exception; None if that was no signal.

        Code that a signal hits may raise something else for it: a class that is being made, as
        by an import, raises RuntimeError before Python 3.12.
        """
        seen: set[int] = set()
        current: BaseException | None = error
        while current is not None and id(current) not in seen:
            if any(current is raised for raised in self._errors):
                return current
            seen.add(id(current))
            current = current.__cause__ or current.__context__
        return None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._calls += 1
        if _is_within(frame, Signals._swallowed.__code__):
            self._swallows.put(number)  # it would swallow this one as well
            return
        if time.monotonic() - self._raised > _SAME:
            self._raised = time.monotonic()
            interrupted = number == signal.SIGINT
            error = KeyboardInterrupt() if interrupted else Terminated(TERMINATED)
            self._errors.append(error)
            raise error

    def _swallowed(self, unraisable: Any, /) -> None:
        error = unraisable.exc_value
        if not isinstance(error, KeyboardInterrupt | Terminated) or not self._previous:
            self._unraisablehook(unraisable)
            return
        self._raised = float("-inf")
        number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
        self._swallows.put(number)
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_again, daemon=True)
            self._sender.start()

    def _send_again(self) -> None:
        """Send each signal that was swallowed once more, a moment later."""
        while (number := self._swallows.get()) is not None:
            time.sleep(_AGAIN)
            before = self._calls
            # One that comes just before the main thread blocks does not wake it up.
            while self._previous and self._calls == before:
                _interrupt_main(number)
                time.sleep(_AGAIN)


def _is_within(frame: FrameType | None, code: CodeType) -> bool:
    """Whether a function is among those that lead to a frame."""
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _interrupt_main(number: int) -> None:
    """Send a signal to the main thread, also out of a call that blocks."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
