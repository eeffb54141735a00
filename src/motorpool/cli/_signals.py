"""Ctrl-C and SIGTERM at the command line."""

from __future__ import annotations

import signal
import time
from typing import Any, Self

# What the shell reports of a process that SIGINT or SIGTERM has ended.
INTERRUPTED, TERMINATED = 130, 143

# Somebody impatient, or a supervisor that signals both the group and its leader, means one end.
_SAME = 1.0


class Terminated(SystemExit):
    """SIGTERM; a node that calls sys.exit is told apart by it."""


class Signals:
    """Raises KeyboardInterrupt or `Terminated`, until told to ignore all that follow.

    A signal within a second of the one before is not raised again: it would hit the tidying up
    that the first has set off.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._raised = float("-inf")

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as below nohup
                self._previous[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *exc_info: object) -> None:
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
