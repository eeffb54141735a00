"""The driver's side of the store of files."""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import TYPE_CHECKING, Any

from motorpool._store.client import FileClient
from motorpool._store.contract import Payload, Store, StoredValue, keys_of
from motorpool._store.directory import RunDirectory, sweep, tiers
from motorpool._store.quota import Quota
from motorpool._store.recycling import FREE, PART
from motorpool._store.refcounts import RefCounts
from motorpool._store.segments import Segments
from motorpool._system.cgroup import memory_headroom
from motorpool._system.locks import free_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
        self._refcounts = RefCounts(client.segments)
        self._pinned: weakref.WeakSet[StoredValue] = weakref.WeakSet()

    @classmethod
    def create(
        cls, dumps: Callable[..., bytes], loads: Callable[..., Any], *,
        memory_limit: int | None = None, readonly: bool = False,
    ) -> FileStore:  # fmt: skip
        """Make the directories, after removing those that dead runs have left.

        Args:
            dumps: Pickles, with a `buffer_callback`.
            loads: Unpickles, with `buffers`.
            memory_limit: Bytes to take of shared memory at most; by default half of what is free.
            readonly: Whether readers may not write to what they read.
        """
        directories = []
        for parent in tiers():
            sweep(parent)
            directories.append(RunDirectory(parent))
        *fast, disk = (str(d.path) for d in directories)
        memory, quota = None, None
        if fast:
            memory = fast[0]
            os.mkdir(os.path.join(memory, FREE), 0o700)  # noqa: PTH102, PTH118, as short
            limit = _default_limit(memory) if memory_limit is None else memory_limit
            quota = Quota.create(os.path.join(memory, "quota"), limit)  # noqa: PTH118
        client = FileClient(Segments(memory, disk, quota), dumps, loads, readonly=readonly)
        return cls(client, directories)

    @property
    def client(self) -> FileClient:
        """What workers write and read with."""
        return self._client

    def retain(self, payload: Payload) -> None:
        """Count a value's files as used."""
        if not isinstance(payload, bytes):
            self._refcounts.retain(keys_of(payload))

    def release(self, payload: Payload) -> None:
        """Count a value's files as used once less; maps of them stay valid."""
        if not isinstance(payload, bytes):
            self._refcounts.release(keys_of(payload))

    def holds(self, value: StoredValue) -> bool:
        """Whether a value lies in these files, or in one that is never moved."""
        return value.is_fixed or all(
            self._client.segments.owns(key) for key in keys_of(value.payload)
        )

    def pin(self, payload: Payload) -> StoredValue:
        """Keep a value for as long as the returned loader lives."""
        if isinstance(payload, bytes):
            return StoredValue(payload, self.client, ())
        value = StoredValue(payload, self.client, tuple(self._directories))
        self._pinned.add(value)
        finalizer = weakref.finalize(value, self._refcounts.release, keys_of(payload))
        finalizer.atexit = False
        return value

    def close(self) -> None:
        """Remove all files that are not pinned, and the directories as soon as none is."""
        if os.getpid() != self._owner:  # a forked child's copy; the files are not its own
            return
        self._refcounts.close()
        kept = {key[-16:] for v in self._pinned for key in keys_of(v.payload)}
        for directory in self._directories:
            for path in directory.path.glob("**/*"):
                if path.name not in {"lock", "quota"} and path.name[-16:] not in kept:
                    _remove(path)
            if not kept:
                directory.remove()
        self._directories = []

    def abandon(self, owner: str, *, unfinished: bool = False) -> None:
        """Remove the files of an owner that died before the driver knew of them."""
        ending = PART if unfinished else ""
        for directory in self._directories:
            for path in directory.path.glob(f"{owner}*{ending}"):
                self._client.segments.remove(str(path))

    def scratch(self) -> Path | None:
        """The first directory, for files that driver and workers share."""
        return self._directories[0].path


def _remove(path: Path) -> None:
    """Remove a file; its memory is free at once unless it is mapped."""
    with contextlib.suppress(OSError):  # a directory
        fd = os.open(path, os.O_RDWR)
        try:
            path.unlink()
            free_memory(fd)
        finally:
            os.close(fd)


def _default_limit(folder: str) -> int:
    """Half of what this process may take of shared memory."""
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    headroom = memory_headroom()
    return min(free, free if headroom is None else headroom) // 2
