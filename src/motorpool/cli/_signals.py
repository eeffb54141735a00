"""Ctrl-C and SIGTERM at the command line."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any, Self

# What the shell reports of a process that SIGINT or SIGTERM has ended.
INTERRUPTED, TERMINATED = 130, 143

# Somebody impatient, or a supervisor that signals both the group and its leader, means one end.
_SAME = 1.0
# After a callback has swallowed what a signal has raised, how soon (s) to raise it again.
_AGAIN = 0.01


class Terminated(SystemExit):
    """SIGTERM; a node that calls sys.exit is told apart by it."""


class Signals:
    """Raises KeyboardInterrupt or `Terminated`, until told to ignore all that follow.

    A signal within a second of the one before is not raised again: it would hit the tidying up
    that the first has set off. Where Python cannot raise, as in the callback of a weak reference,
    which imports have, the signal comes again when that is over.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._raised = float("-inf")
        self._unraisablehook = sys.unraisablehook

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

    def ignore(self) -> None:
        """Let nothing disturb the rest of this process, which is about to end."""
        self._raised = float("inf")
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)
        self._previous.clear()

    def _stop(self, number: int, _frame: Any) -> None:
        if time.monotonic() - self._raised > _SAME:
            self._raised = time.monotonic()
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated(TERMINATED)

    def _swallowed(self, unraisable: Any, /) -> None:
        error = unraisable.exc_value
        if not isinstance(error, KeyboardInterrupt | Terminated) or not self._previous:
            self._unraisablehook(unraisable)
            return
        self._raised = float("-inf")
        number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
        timer = threading.Timer(_AGAIN, _interrupt_main, (number,))
        timer.daemon = True
        timer.start()


def _interrupt_main(number: int) -> None:
    """Send a signal to the main thread, also out of a call that blocks."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
