"""Files that hold values: in memory within a quota, then on disk; used again when they are free.

    memory/NAME.part    being written
    memory/NAME         a value
    memory/free/SIZE-ID waits to be used again
    disk/NAME           a value that found no room in memory, or was moved there to make room

The last 16 characters of a name are the file's own, whatever else it is called. Each change of
name is one `rename`, so that of several processes one succeeds. A value that is moved has its copy
in place before it is gone, and a reader that opens one looks in both places.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from motorpool._store.format import fill, write, write_file
from motorpool._store.maps import maps
from motorpool._store.recycling import ID_LENGTH, PART, FreeList, age
from motorpool._system.locks import free_memory, lock_alone, undo_lock
from motorpool.errors import StoreFullError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from motorpool._store.format import Layout
    from motorpool._store.quota import Quota

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Segments:
    """The files of a run; plain paths, as far as pickles are concerned.

    Args:
        memory: Directory in memory, or None.
        disk: Directory on disk.
        quota: Of the memory, where there is such a directory.
    """

    def __init__(self, memory: str | None, disk: str, quota: Quota | None) -> None:
        self.memory = memory
        self.disk = disk
        self.quota = quota
        # Where there is no quota, nothing waits: on disk there are pages enough.
        self.free_list = FreeList(memory, quota) if memory is not None and quota else None

    @property
    def folders(self) -> tuple[str, ...]:
        """The directories, fastest first."""
        return (self.memory, self.disk) if self.memory is not None else (self.disk,)

    def owns(self, key: str) -> bool:
        """Whether a segment is one of these."""
        return os.path.dirname(key) in self.folders  # noqa: PTH120, a Path costs more

    def open(self, key: str) -> tuple[str, int]:
        """Open a segment, wherever it has been moved to.

        Raises:
            FileNotFoundError: If it is gone.
        """
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
        for path in self._places(key):
            with contextlib.suppress(FileNotFoundError):
                return path, os.open(path, flags)
        raise FileNotFoundError(key)

    def write(self, value: Layout, owner: str, *, keep: bool) -> str:
        """Write a value; return the key of its segment.

        Args:
            value: The value, laid out.
            owner: What its name begins with.
            keep: Whether to keep a map of the segment, for when it is used again.

        Raises:
            StoreFullError: If there is no room for it.
            OSError: Whatever else the system says.
        """
        if self.memory is not None:
            part = self._reuse(value, owner, keep=keep) or self._write_memory(value, owner)
            if part is not None:
                return self.publish(part)
        path = os.path.join(self.disk, f"{owner}{secrets.token_hex(ID_LENGTH // 2)}")  # noqa: PTH118
        try:
            write_file(path, value)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise self._full(value.size, error) from None
        return path

    def allocate(self, size: int, owner: str) -> tuple[str, int] | None:
        """A segment with pages of its own that has not been written to yet, open.

        Returns:
            Its path, which ends in `.part` until it is published; and a descriptor. None where
            there is no room in memory.
        """
        if self.memory is None or not hasattr(os, "posix_fallocate"):
            return None
        found = self.free_list.take(size, owner, least=size) if self.free_list else None
        if found is not None:
            return found[0], found[1]
        if not self._make_room(size):
            return None
        path, fd = self._new(owner, size)
        return (path, fd) if self._reserve(path, fd, size) else None

    def publish(self, part: str) -> str:
        """Give a segment that is complete its final name, which is its key."""
        key = part.removesuffix(PART)
        os.rename(part, key)  # noqa: PTH104, as above
        return key

    def recycle(self, key: str) -> tuple[str, int] | None:
        """Give a segment up, to be used again if it is in memory.

        Returns:
            Where it waits, and its size; None if it is gone.
        """
        if self.free_list is not None and os.path.dirname(key) == self.memory:  # noqa: PTH120
            waits = self.free_list.put(key)
            if waits is not None:
                return waits
        self.remove(key)
        return None

    def drop(self, path: str) -> None:
        """Give back the memory of a segment that waits."""
        if self.free_list is not None:
            self.free_list.drop(path)

    def remove(self, key: str) -> None:
        """Remove a segment, wherever it is; maps of it stay valid."""
        for path in self._places(key):
            with contextlib.suppress(OSError):
                size = os.stat(path).st_size  # noqa: PTH116, as above
                self._remove(path, size)

    def _places(self, key: str) -> Iterator[str]:
        yield key
        if self.memory is not None and os.path.dirname(key) == self.memory:  # noqa: PTH120
            yield os.path.join(self.disk, os.path.basename(key))  # noqa: PTH118, PTH119, as above

    def _remove(self, path: str, size: int) -> None:
        if self.quota is None or os.path.dirname(path) != self.memory:  # noqa: PTH120, as above
            os.unlink(path)  # noqa: PTH108, as above
            return
        fd = os.open(path, os.O_RDWR)
        try:
            os.unlink(path)  # noqa: PTH108, as above
            free_memory(fd)
        finally:
            os.close(fd)
        self.quota.give(size)

    def _new(self, owner: str, size: int) -> tuple[str, int]:
        """A new file in memory, as large as what was taken of the quota for it."""
        path = f"{self.memory}/{owner}{secrets.token_hex(ID_LENGTH // 2)}{PART}"
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        os.truncate(fd, size)
        return path, fd

    def _write_memory(self, value: Layout, owner: str) -> str | None:
        """Write a value to a new file in memory; None if there is no room for it."""
        if not self._make_room(value.size):
            return None
        path, fd = self._new(owner, value.size)
        if value.consume and not self._reserve(path, fd, value.size):
            return None
        return self._written(path, fd, value, value.size)

    def _reserve(self, path: str, fd: int, size: int) -> bool:
        """Get all pages of a new file, so that to write it cannot fail; or else remove it."""
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            os.close(fd)
            self._remove(path, size)
            if error.errno not in _NO_ROOM:
                raise
            return False
        return True

    def _written(self, path: str, fd: int, value: Layout, size: int) -> str | None:
        try:
            write(fd, value)
        except BaseException as error:
            self._remove(path, size)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                return None
            raise
        finally:
            undo_lock(fd)
            os.close(fd)
        return path

    def _reuse(self, value: Layout, owner: str, *, keep: bool) -> str | None:
        """Write a value to a file that waits for it; None if there is none."""
        found = self.free_list.take(value.size, owner) if self.free_list else None
        if found is None:
            return None
        path, fd, size = found
        if size < value.size:
            os.truncate(fd, value.size)
            if value.consume and not self._reserve(path, fd, value.size):
                return None
            return self._written(path, fd, value, value.size)
        view = maps.write(fd, size) if keep else None
        if view is None:
            return self._written(path, fd, value, size)
        try:
            fill(view, value)
        finally:
            undo_lock(fd)  # the map that is kept has it too
            os.close(fd)
        return path

    def _make_room(self, size: int) -> bool:
        """Take a part of the quota: free files go first, then values are moved to disk."""
        if self.quota is None or self.quota.take(size):
            return True
        if size > self.quota.numbers[1]:
            return False
        while self.free_list is not None and self.free_list.drop_one():
            if self.quota.take(size):
                return True
        for entry in sorted(os.scandir(self.memory), key=age):
            if self._spill(entry) and self.quota.take(size):
                return True
        return False

    def _spill(self, entry: os.DirEntry[str]) -> bool:
        """Move a value that is not mapped to disk; false if it stays, or is gone."""
        if entry.name.startswith((".", "quota", "lock")) or entry.name.endswith(PART):
            return False
        with contextlib.suppress(OSError):
            if not entry.is_file(follow_symlinks=False) or os.stat(entry.path).st_nlink > 1:  # noqa: PTH116
                return False
            fd = os.open(entry.path, os.O_RDWR)
            try:
                return lock_alone(fd, hold=True) and self._spill_locked(entry, fd)
            finally:
                undo_lock(fd)  # a child that was forked meanwhile has the descriptor as well
                os.close(fd)
        return False

    def _spill_locked(self, entry: os.DirEntry[str], fd: int) -> bool:
        target = os.path.join(self.disk, entry.name)  # noqa: PTH118, as above
        temporary = os.path.join(self.disk, f".move-{secrets.token_hex(ID_LENGTH // 2)}")  # noqa: PTH118
        try:
            shutil.copyfile(entry.path, temporary)
            os.rename(temporary, target)  # noqa: PTH104, as above
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108, as above
            return False
        size = os.fstat(fd).st_size
        try:
            self._remove(entry.path, size)
        except FileNotFoundError:  # given up meanwhile
            os.unlink(target)  # noqa: PTH108, as above
            return False
        if not os.fstat(fd).st_nlink:  # else a checkpoint has it
            os.truncate(fd, 0)  # a reader that waits for the lock finds it gone, and looks again
        return True

    def _full(self, size: int, error: OSError) -> StoreFullError:
        tried = f"{self.disk} ({error.strerror})"
        if self.quota is not None:
            used, limit = self.quota.numbers
            tried = f"{self.memory} ({used:,} of {limit:,} bytes taken) or {tried}"
        return StoreFullError(
            f"There is no room for a value of {size:,} bytes in {tried}. Free some space, set "
            "memory_limit higher or TMPDIR to a larger disk, or let the node save to a dataset "
            "on disk."
        )
