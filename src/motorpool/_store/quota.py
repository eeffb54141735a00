"""How much of the memory for values is taken, counted by all processes of a run together."""

from __future__ import annotations

import os
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows, where values go to disk, of which there is no quota
    fcntl = None  # type: ignore[assignment,unused-ignore]

from motorpool._system.locks import undo_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = struct.Struct("<qq")


class Quota:
    """A count of bytes and its limit, in a file; a path, as far as pickles are concerned.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._owed = _Owed()

    def __reduce__(self) -> tuple[type[Quota], tuple[str]]:
        return Quota, (self._path,)

    @classmethod
    def create(cls, path: str, limit: int) -> Quota:
        """Make the file; nothing is taken yet."""
        with open(path, "xb") as file:  # noqa: PTH123, as short
            file.write(_NUMBERS.pack(0, limit))
        return cls(path)

    def take(self, nbytes: int) -> bool:
        """Take so many bytes, if there are as many left."""
        with self._open() as fd:
            used, limit = _NUMBERS.unpack(os.pread(fd, _NUMBERS.size, 0))
            if used + nbytes > limit:
                return False
            os.pwrite(fd, _NUMBERS.pack(used + nbytes, limit), 0)
            return True

    def give(self, nbytes: int) -> None:
        """Give so many bytes back; may be called by a finalizer, in the midst of the others."""
        self._owed.nbytes += nbytes
        if self._owed.is_open:
            return
        with self._open():
            pass

    @property
    def numbers(self) -> tuple[int, int]:
        """Bytes taken, and the limit."""
        with self._open() as fd:
            used, limit = _NUMBERS.unpack(os.pread(fd, _NUMBERS.size, 0))
            return used, limit

    @contextmanager
    def _open(self) -> Iterator[int]:
        # Opened anew each time: a forked child would share the lock of a descriptor of its parent.
        fd = os.open(self._path, os.O_RDWR)
        self._owed.is_open = True
        try:
            if fcntl is not None:
                fcntl.flock(fd, fcntl.LOCK_EX)
            self._pay(fd)
            yield fd
            self._pay(fd)
        finally:
            self._owed.is_open = False
            undo_lock(fd)  # a child that was forked meanwhile has the descriptor as well
            os.close(fd)

    def _pay(self, fd: int) -> None:
        owed, self._owed.nbytes = self._owed.nbytes, 0
        if owed:
            used, limit = _NUMBERS.unpack(os.pread(fd, _NUMBERS.size, 0))
            os.pwrite(fd, _NUMBERS.pack(max(0, used - owed), limit), 0)


class _Owed(threading.local):
    """Of each thread: bytes to return to the quota, and whether it has the file open.

    The second is a guard: a finalizer may return bytes while its own thread takes some.
    """

    nbytes = 0
    is_open = False
