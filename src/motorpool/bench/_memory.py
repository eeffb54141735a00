"""The memory that a process and all that it has started take, seen from another one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from motorpool._system.process import memory_of

if TYPE_CHECKING:
    from types import TracebackType

# Seconds between two looks; each costs milliseconds a gigabyte, on a core that nodes may use.
_INTERVAL = 0.05


class PeakMemory:
    """A context in which a thread looks at the memory of a process and its descendants.

    Args:
        pid: The process. Not this one: the thread would keep it from working.

    Attributes:
        peak: The most that they had at a time, in bytes: proportional set size, in which what
            several processes share is counted once. 0 where the system does not say.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_INTERVAL):
            self.peak = max(self.peak, memory_of(self._pid))
