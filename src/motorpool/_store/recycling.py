"""Files in memory that wait to be used again: their pages are there already."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from motorpool._system.locks import can_lock, lock_alone

if TYPE_CHECKING:
    from motorpool._store.quota import Quota

FREE = "free"
PART = ".part"
ID_LENGTH = 16
# A file that is this much too large stays for a larger value; see `largest_for`.
_WASTE, _SMALL_WASTE = 4, 1 << 20
_MOST_TRIES = 8
# To make a file that is smaller than this takes no longer than to look for one that waits.
_LEAST = 64 * 1024


def largest_for(size: int) -> int:
    """The size of the largest file that is used again for a value of so many bytes."""
    return max(size * _WASTE, size + _SMALL_WASTE)


class FreeList:
    """The folder where such files wait, named by size and id.

    Args:
        memory: Directory in memory.
        quota: Of that directory.
    """

    def __init__(self, memory: str, quota: Quota) -> None:
        self._memory = memory
        self._folder = f"{memory}/{FREE}"
        self._quota = quota

    def put(self, key: str) -> tuple[str, int] | None:
        """Keep an unused segment; None if it had better be removed, or is gone."""
        try:
            status = os.stat(key)  # noqa: PTH116, a Path costs more
            if not can_lock or status.st_size < _LEAST or status.st_nlink > 1:
                return None  # the last for a checkpoint has it too
            free = f"{self._folder}/{status.st_size}-{key.removesuffix(PART)[-ID_LENGTH:]}"
            os.rename(key, free)  # noqa: PTH104, as above
        except FileNotFoundError:  # moved to disk
            return None
        return free, status.st_size

    def take(self, size: int, owner: str, *, least: int = 0) -> tuple[str, int, int] | None:
        """Take a file that waits: the smallest that is large enough, or else the largest.

        Returns:
            Its path, a descriptor that holds a lock, and its size; a part of the quota has been
            taken for what it lacks.
        """
        with os.scandir(self._folder) as entries:
            waiting = [(int(e.name.partition("-")[0]), e.name) for e in entries]
        most = largest_for(size)
        fitting = sorted(w for w in waiting if size <= w[0] <= most)
        smaller = sorted((w for w in waiting if least <= w[0] < size), reverse=True)
        for found, name in (*fitting, *smaller)[:_MOST_TRIES]:
            lacking = max(0, size - found)
            if lacking and not self._quota.take(lacking):
                continue
            taken = self._take(name, found, owner)
            if taken is not None:
                return taken[0], taken[1], found
            if lacking:
                self._quota.give(lacking)
        return None

    def _take(self, name: str, size: int, owner: str) -> tuple[str, int] | None:
        free = f"{self._folder}/{name}"
        path = f"{self._memory}/{owner}{name[-ID_LENGTH:]}{PART}"
        try:
            os.rename(free, path)  # noqa: PTH104, as above
        except FileNotFoundError:
            return None
        with contextlib.suppress(OSError):  # no more descriptors
            fd = os.open(path, os.O_RDWR)
            if os.fstat(fd).st_size == size and lock_alone(fd, hold=True):
                return path, fd
            os.close(fd)  # it is still mapped
        os.rename(path, free)  # noqa: PTH104, as above
        return None

    def drop(self, free: str) -> bool:
        """Give back the memory of a segment that waits; false if it has been taken meanwhile."""
        taken = f"{self._memory}/.drop-{free[-ID_LENGTH:]}"
        try:
            os.rename(free, taken)  # noqa: PTH104, as above
        except FileNotFoundError:
            return False
        size = os.stat(taken).st_size  # noqa: PTH116, as above
        fd = os.open(taken, os.O_RDWR)
        try:
            if lock_alone(fd):  # else it is mapped, and goes with its last map
                os.truncate(fd, 0)  # at once, even if a map of it is kept
        finally:
            os.close(fd)
        os.unlink(taken)  # noqa: PTH108, as above
        self._quota.give(size)
        return True

    def drop_one(self) -> bool:
        """Give back the memory of the one that has waited longest; false if none waits."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in sorted(entries, key=age):
                if self.drop(entry.path):
                    return True
        return False


def age(entry: os.DirEntry[str]) -> float:
    """When a file was last written to; a sort key."""
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:  # gone
        return 0.0
