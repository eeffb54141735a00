"""How many values use each segment, counted by the driver, and which segments are free."""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

from motorpool._store.recycling import ID_LENGTH, largest_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from motorpool._store.segments import Segments

# How much may be in use without the driver's knowledge, in parts of what it knows of. With 1, new
# files of 100 MB are made now and then (`benchmarks/data_plane.py`, `allocate`); 3 is no better.
_AHEAD = 2


class RefCounts:
    """Counts users of segments; free ones are kept, as many bytes as were once in use together.

    So the memory that a run holds never exceeds what its values have needed at some time. A worker
    may make a value before the driver has heard that another one is no longer needed: both count
    as in use together then.

    Args:
        segments: The files.
    """

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._users: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._waiting: dict[str, tuple[str, int]] = {}  # by id: where, and its size; oldest first
        self._live = self._peak = 0
        self._closed = False
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._released: deque[tuple[str, ...]] = deque()

    def retain(self, keys: Iterable[str]) -> None:
        """A value uses these segments."""
        with self._lock:
            for key in keys:
                self._retain(key)
        self._settle()

    def release(self, keys: Iterable[str]) -> None:
        """Count a user of these segments less, soon; finalizers may call this."""
        if os.getpid() == self._owner:  # else a forked child has dropped its copy
            self._released.append(tuple(keys))
            self._settle()

    def _settle(self) -> None:
        """Drain the queue of releases, without blocking.

        A finalizer may run in the thread that holds the lock; that thread drains what it queues.
        """
        while self._released and self._lock.acquire(blocking=False):
            try:
                while self._released:
                    for key in self._released.popleft():
                        self._release(key)
            finally:
                self._lock.release()

    def _retain(self, key: str) -> None:
        self._users[key] += 1
        if key not in self._sizes and self._segments.owns(key):
            size = self._sizes[key] = self._size(key)
            self._live += size
            in_use = self._live
            if self._waiting.pop(key[-ID_LENGTH:], None) is None:  # none was free at that time
                fitting = range(size, largest_for(size) + 1)
                late = sum(each for _, each in self._waiting.values() if each in fitting)
                in_use += min(late, _AHEAD * self._live)  # others may be mapped for ever
            self._peak = max(self._peak, in_use)

    def _release(self, key: str) -> None:
        self._users[key] -= 1
        if self._users[key] > 0:
            return
        del self._users[key]
        self._live -= self._sizes.pop(key, 0)
        if self._segments.owns(key):
            self._give_up(key)

    def close(self) -> None:
        """Remove what is not used, from now on."""
        self._closed = True

    def _give_up(self, key: str) -> None:
        if self._closed:
            self._segments.remove(key)
            return
        waiting = self._segments.recycle(key)
        if waiting is None:
            return
        self._waiting[key[-ID_LENGTH:]] = waiting
        spare = self._live + sum(size for _, size in self._waiting.values()) - self._peak
        for name in list(self._waiting):
            if spare <= 0:
                break
            path, size = self._waiting.pop(name)
            self._segments.drop(path)
            spare -= size

    def _size(self, key: str) -> int:
        try:
            return os.stat(key).st_size  # noqa: PTH116, a Path costs more
        except FileNotFoundError:  # on disk already
            return 0
