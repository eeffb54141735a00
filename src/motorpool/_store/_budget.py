"""How much of the memory for values is taken, counted by all processes of a run together."""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows, where values go to disk, of which there is no budget
    fcntl = None  # type: ignore[assignment,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = struct.Struct("<qq")


class Budget:
    """A count of bytes and its limit, in a file; a path, as far as pickles are concerned.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    @classmethod
    def create(cls, path: str, limit: int) -> Budget:
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
        """Give so many bytes back."""
        with self._open() as fd:
            used, limit = _NUMBERS.unpack(os.pread(fd, _NUMBERS.size, 0))
            os.pwrite(fd, _NUMBERS.pack(max(0, used - nbytes), limit), 0)

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
        try:
            if fcntl is not None:
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)
