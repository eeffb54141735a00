"""A store of files: large values in shared memory, then on disk; small ones travel as they are."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import secrets
import sys
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motorpool._cgroup import memory_headroom
from motorpool._store import _segment
from motorpool._store._contract import Payload, Ref, Store, StoredValue
from motorpool._store._directory import RunDirectory, sweep, tiers
from motorpool.errors import StoreError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Callable  # noqa: TC004, no option: its type is never looked up
    from pathlib import Path

# Up to here a value travels with the envelope: two hops of 128 KiB inline take 170 us and of
# 256 KiB 816 us, against 229 and 271 us through a file; the margin is for several inputs at once.
INLINE_LIMIT = 64 * 1024
# The values that plain pickle copies as well as cloudpickle does, ten times as fast.
_PLAIN = frozenset({bool, bytes, complex, float, int, str})
# Above this, what cloudpickle costs does not show any more, and bytes may go out of band.
_PLAIN_LIMIT = 4096


@dataclass(frozen=True)
class FileClient:
    """Writes values to files and maps them back.

    Attributes:
        folders: Directories of the run, fastest first.
        floors: For each, the bytes that must stay free in it.
        dumps: Pickles, with a `buffer_callback`.
        loads: Unpickles, with `buffers`.
    """

    folders: tuple[str, ...]
    floors: tuple[int, ...]
    dumps: Callable[..., bytes]
    loads: Callable[..., Any]

    def put(self, value: Any, *, inline: bool = True, owner: str = "") -> Payload:
        """Pickle a value; a small one is returned, a large one written to a file."""
        if inline and type(value) in _PLAIN and sys.getsizeof(value) < _PLAIN_LIMIT:
            return pickle.dumps(value, 5)
        stream, buffers = _segment.dump(value, self.dumps)
        size = len(stream) + sum(b.nbytes for b in buffers)
        if size > INLINE_LIMIT or not inline:
            return self._write(stream, buffers, size, owner)
        return self.dumps(value) if buffers else stream

    def get(self, payload: Payload) -> Any:
        """Load a value; the reader's own, to change as it likes."""
        if not isinstance(payload, Ref):
            return self.loads(payload)
        try:
            fd = os.open(payload.key, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            raise StoreError(
                f"The value in {payload.key} is not there any more: it was released after its "
                "last reader, or its run's directory was removed."
            ) from None
        try:
            return _segment.read(fd, self.loads)
        finally:
            os.close(fd)

    def discard(self, payload: Payload) -> None:
        """Remove a value's file; maps of it stay valid."""
        if isinstance(payload, Ref):
            with contextlib.suppress(OSError):
                os.unlink(payload.key)  # noqa: PTH108, a Path costs more than the unlink

    def _write(self, stream: bytes, buffers: list[memoryview], size: int, owner: str) -> Ref:
        refusals = []
        for folder, floor in zip(self.folders, self.floors, strict=True):
            if floor and (free := _free(folder)) - size < floor:
                refusals.append(f"{folder} ({free:,} bytes free, {floor:,} to be left)")
                continue
            path = os.path.join(folder, f"{owner}{secrets.token_hex(8)}")  # noqa: PTH118, as above
            try:
                return Ref(path, write_file(path, stream, buffers))
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                refusals.append(f"{folder} ({error.strerror})")
        raise StoreFullError(
            f"There is no room for a value of {size:,} bytes in {' or '.join(refusals)}. Free "
            "some space, set TMPDIR to a larger disk, or let the node save to a dataset on disk."
        )


class FileStore(Store):
    """Keeps large values as files in directories of the run's own.

    Args:
        client: What writes and reads them.
        directories: The directories that the client writes to.
    """

    def __init__(self, client: FileClient, directories: list[RunDirectory]) -> None:
        self._client = client
        self._directories = directories
        self._owner = os.getpid()
        self._claimed: weakref.WeakSet[StoredValue] = weakref.WeakSet()

    @classmethod
    def create(cls, dumps: Callable[..., bytes], loads: Callable[..., Any]) -> FileStore:
        """Make the directories, after removing those that dead runs have left."""
        directories, floors = [], []
        for parent in tiers():
            sweep(parent)
            directories.append(RunDirectory(parent))
            floors.append(0)
        if len(directories) > 1:
            floors[0] = _floor(directories[0].path)
        folders = tuple(str(d.path) for d in directories)
        return cls(FileClient(folders, tuple(floors), dumps, loads), directories)

    @property
    def client(self) -> FileClient:
        """What workers write and read with."""
        return self._client

    def release(self, payload: Payload) -> None:
        """Remove a value's file; maps of it stay valid."""
        self.client.discard(payload)

    def claim(self, payload: Payload) -> StoredValue:
        """Keep a value for as long as the returned loader lives."""
        value = StoredValue(payload, self.client, tuple(self._directories))
        if isinstance(payload, Ref):
            self._claimed.add(value)
            weakref.finalize(value, _discard, self.client, payload, self._owner).atexit = False
        return value

    def close(self) -> None:
        """Remove all files that are not claimed, and the directories as soon as none is."""
        if os.getpid() != self._owner:  # a forked child's copy; the files are not its own
            return
        kept = {v.payload.key for v in self._claimed if isinstance(v.payload, Ref)}
        if not kept:
            for directory in self._directories:
                directory.remove()
        for directory in self._directories:
            with contextlib.suppress(OSError):
                for path in directory.path.iterdir():
                    if path.is_file() and path.name != "lock" and str(path) not in kept:
                        path.unlink(missing_ok=True)
        self._directories = []

    def abandon(self, owner: str) -> None:
        """Remove the files of an owner that died before anybody was told of them."""
        for directory in self._directories:
            for path in directory.path.glob(f"{owner}*"):
                path.unlink(missing_ok=True)

    def scratch(self) -> Path | None:
        """The first directory, for files that driver and workers share."""
        return self._directories[0].path


def _discard(client: FileClient, payload: Payload, owner: int) -> None:
    if os.getpid() == owner:  # else a forked child has dropped its copy
        client.discard(payload)


def write_file(path: str, stream: bytes, buffers: list[memoryview]) -> int:
    """Write a dumped value to a new file; leave none if that fails.

    Returns:
        The size of the file, in bytes.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, 0o600)
    try:
        return _segment.write(fd, stream, buffers)
    except BaseException:
        os.unlink(path)  # noqa: PTH108, as above
        raise
    finally:
        os.close(fd)


def _free(folder: str) -> int:
    if not hasattr(os, "statvfs"):  # Windows, where there is one tier and nothing to choose
        return 1 << 62
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _floor(folder: Path) -> int:
    """Bytes to leave free in shared memory: all but half of what this process may take of it."""
    free = _free(str(folder))
    headroom = memory_headroom()
    return free - min(free, free if headroom is None else headroom) // 2
