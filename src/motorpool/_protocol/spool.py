"""Messages of workers to the driver while an envelope is under way, in files that grow.

Each worker appends messages to a file of its own, and the driver reads on where it stopped. So
what a worker has sent is not lost when it crashes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# What ends the names of the files with outcomes.
OUTCOMES = ".outcomes"
_LENGTH = struct.Struct("<I")


def listed(folder: Path) -> list[str]:
    """Names of the files in a folder; none if it is gone."""
    try:
        return os.listdir(folder)  # noqa: PTH208, a third of the time
    except FileNotFoundError:
        return []


class SpoolWriter:
    """A worker's end.

    Args:
        suffix: What kind of messages these are; ends the name of the file.
    """

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._fd: int | None = None
        self.folder: Path | None = None

    def point_to(self, folder: Path | None) -> None:
        """Choose the folder for what follows; None drops it."""
        if folder is not self.folder:
            self.close()
            self.folder = folder

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = None

    def write(self, data: bytes) -> None:
        """Append a message.

        Raises:
            OSError: If there is no room, or no folder any more.
        """
        if self.folder is None:
            return
        if self._fd is None:
            path = self.folder / f"{os.getpid()}{self._suffix}"
            self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        message = _LENGTH.pack(len(data)) + data
        written = os.write(self._fd, message)
        if written < len(message):  # the file system is full; half a message would spoil the next
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class SpoolReader:
    """The driver's end.

    Args:
        folder: Where the workers write.
        suffix: What kind of messages to read.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder = folder
        self._suffix = suffix
        self._positions: dict[Path, int] = {}

    def read(self, names: Sequence[str] | None = None) -> Iterator[bytes]:
        """Every message that is complete by now, once.

        Args:
            names: The files in the folder, if they are known.
        """
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(listed(self._folder) if names is None else names):
                path = self._folder / name if name.endswith(self._suffix) else None
                if path is not None and path.stat().st_size > self._positions.get(path, 0):
                    yield from self._read(path)

    def _read(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            file.seek(self._positions.get(path, 0))
            while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
                (length,) = _LENGTH.unpack(head)
                body = file.read(length)
                if len(body) < length:
                    break
                self._positions[path] = file.tell()
                yield body
