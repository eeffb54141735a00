"""Directories that hold a run's files, and are gone when the run is.

A directory is made as `.new-*`, locked, then renamed, so that one with its final name always has
a lock; the system drops the lock when the last process that holds it dies, whatever kills it. So
a directory whose lock is free belongs to no process, and the next run removes it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
import weakref
from pathlib import Path

from motorpool._system.locks import try_lock
from motorpool._system.signals import Interrupts

_LOCK = "lock"
# A directory is renamed a moment after it is made; one that was not is left over from a crash.
_ABANDONED_AFTER = 3600.0
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108, files in it have random names and mode 0700


def tiers() -> list[Path]:
    """Where a run's files may go, fastest first."""
    disk = Path(tempfile.gettempdir())
    return [_SHARED_MEMORY, disk] if os.access(_SHARED_MEMORY, os.W_OK) else [disk]


class RunDirectory:
    """A locked directory, removed when this object is gone or the interpreter ends.

    Args:
        parent: Where to make it.

    Attributes:
        path: The directory; only its owner may look into it.
    """

    def __init__(self, parent: Path) -> None:
        name = f"{_prefix()}{secrets.token_hex(8)}"
        new = parent / f".new-{name}"
        self.path = parent / name
        if os.name == "nt":  # which renames no directory that holds an open file
            new = self.path
        with Interrupts(lambda: None, active=True):  # else one in between would leave it behind
            new.mkdir(mode=0o700)
            lock = os.open(new / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            try_lock(lock)
            if new != self.path:
                new.rename(self.path)
            self.remove = weakref.finalize(self, _remove, self.path, lock, os.getpid())


def sweep(parent: Path) -> list[Path]:
    """Remove the directories of runs that are dead; return them."""
    removed = []
    prefix = _prefix()
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if not entry.name.removeprefix(".new-").startswith(prefix):
                continue
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False) and _is_dead(entry):
                    shutil.rmtree(entry.path, ignore_errors=True)
                    removed.append(Path(entry.path))
    return removed


def _is_dead(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return False
    if entry.name.startswith("."):
        return time.time() - status.st_mtime > _ABANDONED_AFTER
    fd = os.open(os.path.join(entry.path, _LOCK), os.O_RDWR)  # noqa: PTH118, DirEntry is a str
    try:
        return try_lock(fd)
    finally:
        os.close(fd)


def _prefix() -> str:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return f"motorpool-{user}-"


def _remove(path: Path, lock: int, pid: int) -> None:
    if os.getpid() != pid:  # a forked child's copy of the object; the directory is not its own
        return
    with contextlib.suppress(OSError):
        if os.name == "nt":  # which removes no open file
            os.close(lock)
        shutil.rmtree(path, ignore_errors=True)
        if os.name != "nt":
            os.close(lock)
