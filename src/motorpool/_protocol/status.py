"""Which worker has started which node: a mapped file that outlives the worker.

    is the run stopping? do nodes wait for workers?     64 bytes of header
    pid, state, when it was started                     16 bytes a node

A worker stamps a node's slot before it runs it, so that after a crash of a shared pool, or when
a deadline passes, the driver knows who was at what. No locks: a slot has one writer at a time,
and the driver clears it before it sends the node again.
"""

from __future__ import annotations

import mmap
import os
import struct
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Its name, in the folder that the workers of a run share with the driver.
STATUS = "status"
_HEADER = 64
_SLOT = struct.Struct("<iId")
_IDLE, _RUNNING, _FINISHED = 0, 1, 2


def _reserve(fd: int, size: int) -> None:
    """Make a file of zeros with all of its pages: a map of one without is SIGBUS when full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)


class Started(NamedTuple):
    """Which worker is at a node, or was, and when it stamped it."""

    pid: int
    time: float


class StatusTable:
    """A view of the file; driver and workers have one each.

    Args:
        path: The file.
        slots: Number of nodes, to make the file; None to open one that is there.
    """

    def __init__(self, path: Path, slots: int | None = None) -> None:
        flags = os.O_RDWR | (0 if slots is None else os.O_CREAT | os.O_EXCL)
        fd = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
        try:
            if slots is not None:
                _reserve(fd, _HEADER + slots * _SLOT.size)
            self._map = mmap.mmap(fd, 0)
        finally:
            os.close(fd)
        self.path = path
        self._pid = os.getpid()

    def stampers(self) -> tuple[Callable[[int], None], Callable[[int], None]]:
        """What stamps a node as started by this process, and as finished.

        Functions, as a worker calls them for each node. This object cannot be closed after that.
        """
        numbers, times, pid = memoryview(self._map).cast("i"), memoryview(self._map), self._pid
        moments, size, header = times.cast("d"), _SLOT.size // 4, _HEADER // 4

        def start(slot: int) -> None:
            at = header + slot * size
            moments[at // 2 + 1] = monotonic()
            numbers[at] = pid
            numbers[at + 1] = _RUNNING

        def finish(slot: int) -> None:
            numbers[header + slot * size + 1] = _FINISHED

        return start, finish

    @property
    def flags(self) -> Any:
        """Bytes of which the first is not 0 while nodes should not start any more."""
        return self._map

    def clear(self, slot: int) -> None:
        """Wipe a slot before its node is sent to a worker."""
        _SLOT.pack_into(self._map, _HEADER + slot * _SLOT.size, 0, _IDLE, 0.0)

    def wipe(self) -> None:
        """Make it as new; no worker may be at a node."""
        self._map[:] = bytes(len(self._map))

    def running(self, slot: int) -> Started | None:
        """The worker that is at a node, and since when (seconds of `time.monotonic`), or None."""
        return self._stamp(slot, _RUNNING)

    def finished(self, slot: int) -> Started | None:
        """The worker that has finished a node, and when it had started it, or None."""
        return self._stamp(slot, _FINISHED)

    def _stamp(self, slot: int, wanted: int) -> Started | None:
        pid, state, when = _SLOT.unpack_from(self._map, _HEADER + slot * _SLOT.size)
        return Started(pid, when) if state == wanted else None

    def stop(self) -> None:
        """Ask workers to start nothing more."""
        self._map[0] = 1

    def go_on(self) -> None:
        """Take that back."""
        self._map[0] = 0

    @property
    def pressed(self) -> bool:
        """Whether nodes wait for workers."""
        return self._map[1] != 0

    def press(self, waiting: bool) -> None:
        """Let workers know whether nodes wait for them."""
        self._map[1] = waiting

    def close(self) -> None:
        """Unmap the file; what still refers to this object holds no descriptor then."""
        self._map.close()
