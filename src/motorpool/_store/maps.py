"""Maps of segments in this process, kept for the time when a segment is used again.

A segment of 100 MB has 25,000 pages, and to map them anew takes a third of the time that it takes
to copy them. So maps are kept: by readers, as private copies on write, and by writers, as the
shared memory itself.

That a segment is still mapped shows in a lock on its file, which a reader shares with other
readers and keeps for as long as a view lives. The system gives it back when the process ends, and
a forked child, whose copies of the views live on, holds it too.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._store.pages import PrivateMap, is_clean, make_private
from motorpool._system.files import most_open
from motorpool._system.locks import can_lock, share_lock, undo_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MOST_READ, _MOST_WRITTEN = 32, 16
# Maps all pages at once, in half of the time.
_POPULATE = getattr(mmap, "MAP_POPULATE", 0)


class Source(NamedTuple):
    """Where in this process a segment is mapped, or an array that was allocated in one.

    Attributes:
        start: Address of its first byte.
        end: Address behind its last byte.
        key: The segment.
        owner_ref: Dead when no view of the map is left.
        shared: Whether writes go to the segment itself.
    """

    start: int
    end: int
    key: str
    owner_ref: weakref.ref[ctypes.Array[ctypes.c_char]]
    shared: bool


class _Map:
    """A private map of a segment, and the descriptor whose lock keeps the segment as it is."""

    __slots__ = ("fd", "keep", "map", "pid")

    def __init__(self, fd: int, mapped: Any) -> None:
        self.fd = fd
        self.map = mapped
        self.keep = True
        self.pid = os.getpid()

    def drop(self) -> None:
        """Give up the lock; views of the map stay valid."""
        os.close(self.fd)


class Maps:
    """All maps of this process."""

    def __init__(self) -> None:
        # Files are known by device and inode: a segment that is moved is another file.
        self._unused: dict[tuple[int, int], _Map] = {}
        self._used: dict[int, _Map] = {}
        self._written: dict[tuple[int, int], mmap.mmap] = {}
        self._home: tuple[str, ...] = ()

    def read(
        self, key: str, find: Callable[[str], tuple[str, int]], *, keep_in: str | None
    ) -> tuple[memoryview, Source | None]:
        """Map a segment, to read it and to write to a copy of one's own.

        Args:
            key: The segment.
            find: Opens it, wherever it is; returns its path and a descriptor.
            keep_in: Directory of segments whose maps to keep when no view of them is left.

        Returns:
            The whole of it, and where it is; None for a copy, where no more maps can be made.

        Raises:
            OSError: If it cannot be opened or mapped.
        """
        while True:
            path, fd = self._opened(key, find)
            try:
                share_lock(fd)
                status = os.fstat(fd)
                if not status.st_nlink:  # moved elsewhere while it was waited for
                    os.close(fd)
                    continue
                entry = self._kept(fd, status)
                if entry is None and not self._may_map_more():
                    return _copied(fd), None
                entry = entry or _Map(fd, PrivateMap(fd, status.st_size))
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENOMEM}:
                    os.close(fd)
                    raise
                return _copied(fd), None
            entry.keep = os.path.dirname(path) == keep_in  # noqa: PTH120, a Path costs more
            return self._view(key, entry, self._unview, shared=False)

    def _opened(self, key: str, find: Callable[[str], tuple[str, int]]) -> tuple[str, int]:
        try:
            return find(key)
        except OSError as error:
            if error.errno != errno.EMFILE or not self._unused:
                raise
        self.forget_unused()  # their descriptors are needed
        return find(key)

    def _may_map_more(self) -> bool:
        """Whether half of the descriptors that this process may have are left to others."""
        while len(self._used) + len(self._unused) >= most_open() // 2:
            if not self._unused:
                return False
            with contextlib.suppress(KeyError):
                self._unused.popitem()[1].drop()
        return True

    def _kept(self, fd: int, status: os.stat_result) -> _Map | None:
        entry = self._unused.pop((status.st_dev, status.st_ino), None)
        if entry is None:
            return None
        if status.st_size != len(entry.map):
            entry.drop()
            return None
        os.close(entry.fd)
        entry.fd, entry.pid = fd, os.getpid()
        return entry

    def _view(
        self, key: str, entry: _Map, at_end: Callable[[int], None], *, shared: bool
    ) -> tuple[memoryview, Source]:
        size, mapped = len(entry.map), entry.map
        shares = isinstance(mapped, mmap.mmap)
        cell = (ctypes.c_char * size).from_buffer(mapped) if shares else mapped.cell()
        start = ctypes.addressof(cell)
        self._used[start] = entry
        weakref.finalize(cell, at_end, start).atexit = False
        source = Source(start, start + size, key, weakref.ref(cell), shared)
        return memoryview(cell).cast("B"), source

    def _unview(self, start: int) -> None:
        """The last view of a map is gone: unlock its segment, and keep the map if it is clean."""
        entry = self._used.pop(start)
        if entry.pid != os.getpid():  # a forked child, whose lock is its parent's too
            return
        gone = not os.fstat(entry.fd).st_nlink
        if gone or not can_lock or not entry.keep or not is_clean(start, len(entry.map)):
            entry.drop()
            return
        undo_lock(entry.fd)
        file = _file(entry.fd)
        twice = self._unused.pop(file, None)  # it was mapped more than once
        if twice is not None:
            twice.drop()
        self._unused[file] = entry
        if len(self._unused) > _MOST_READ:
            with contextlib.suppress(StopIteration, KeyError, RuntimeError):
                self._unused.pop(next(iter(self._unused))).drop()

    def write(self, fd: int, size: int) -> memoryview | None:
        """A map of a segment that is used nowhere else, to write to it; None if there is none.

        Args:
            fd: A descriptor of it, open for reading and writing.
            size: Size of the segment; all of it has pages, so that no write can fail.
        """
        if not _POPULATE:
            return None
        file = _file(fd)
        kept = self._written.pop(file, None)
        if kept is None or len(kept) != size:
            try:
                kept = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | _POPULATE)
            except OSError:
                return None
        self._keep_written(fd, kept)
        return memoryview(kept)

    def _keep_written(self, fd: int, mapped: mmap.mmap) -> None:
        while len(self._written) >= _MOST_WRITTEN:
            with contextlib.suppress(StopIteration, RuntimeError):  # another thread was faster
                self._written.pop(next(iter(self._written)), None)
        if os.fstat(fd).st_nlink:  # else it has been removed, and would only hold memory
            self._written[_file(fd)] = mapped

    def allocated(self, key: str, fd: int) -> tuple[memoryview, Source]:
        """A view of a segment that is the segment itself; it is locked for as long as it lives.

        Args:
            key: The segment.
            fd: A descriptor of it, open for reading and writing, which is taken over.
        """
        size = os.fstat(fd).st_size
        share_lock(fd)
        kept = self._written.pop(_file(fd), None)
        entry = _Map(fd, kept if kept is not None and len(kept) == size else mmap.mmap(fd, size))
        return self._view(key, entry, self._unallocate, shared=True)

    def _unallocate(self, start: int) -> None:
        entry = self._used.pop(start)
        if entry.pid == os.getpid():
            if entry.keep and can_lock:
                undo_lock(entry.fd)  # the map's own descriptor has the same lock
                self._keep_written(entry.fd, entry.map)
            entry.drop()

    def seal(self, source: Source) -> Source:
        """Let later writes to an allocated array be its owner's alone: others read it now."""
        entry = self._used.get(source.start)
        if source.owner_ref() is not None and entry is not None:
            entry.keep = False
            make_private(source.start, source.end - source.start, entry.fd)
        return source._replace(shared=False)

    def settle_in(self, folders: tuple[str, ...]) -> None:
        """From now on, keep maps of segments in these folders alone."""
        if folders != self._home:
            self.forget_unused()
            self._home = folders

    def forget_unused(self) -> None:
        """Drop maps that have no views: the segments are gone."""
        while self._unused:
            with contextlib.suppress(KeyError):
                self._unused.popitem()[1].drop()
        self._written.clear()

    def close(self) -> None:
        """Give up all descriptors; views stay valid."""
        self.forget_unused()
        while self._used:
            with contextlib.suppress(KeyError, OSError):
                self._used.popitem()[1].drop()

    def before_fork(self) -> None:
        """Maps in use are the child's as well: their locks must not be undone by hand."""
        for entry in list(self._used.values()):
            entry.keep = False


maps = Maps()
close_maps = maps.close
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=maps.before_fork)


def find_source(sources: Iterable[Source], start: int, nbytes: int) -> Source | None:
    """The segment that some memory lies in, if the segment has the same bytes there.

    Args:
        sources: Where to look.
        start: Address.
        nbytes: Size, in bytes.
    """
    for source in sources:
        if source.start <= start and start + nbytes <= source.end:
            alive = source.owner_ref() is not None
            if alive and (source.shared or is_clean(start, nbytes)):
                return source
    return None


def _copied(fd: int) -> memoryview:
    """The whole of a file, which is closed."""
    with os.fdopen(fd, "rb") as file:
        return memoryview(bytearray(file.read()))


def _file(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
