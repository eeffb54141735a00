"""Locks of files, which say that somebody looks at a segment; none on Windows."""

from __future__ import annotations

import contextlib
import os

try:
    import fcntl
except ImportError:  # Windows, where no segment is used twice
    fcntl = None  # type: ignore[assignment,unused-ignore]

can_lock = fcntl is not None


def lock_alone(fd: int, *, hold: bool = False) -> bool:
    """Whether nobody else has locked a file, or maps it as a reader.

    Args:
        fd: The file.
        hold: Keep others from locking it, until the descriptor is closed.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    if not hold:
        fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def share_lock(fd: int) -> None:
    """Lock a file against being written to; waits while it is moved."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a file system without locks; nothing is used twice
            fcntl.flock(fd, fcntl.LOCK_SH)


def undo_lock(fd: int) -> None:
    """Undo a lock, for all descriptors that were made of this one."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_UN)


def free_memory(fd: int) -> None:
    """Give back the memory of a file without a name at once, unless somebody looks at it."""
    if not os.fstat(fd).st_nlink and lock_alone(fd):
        os.truncate(fd, 0)  # for whoever has kept a map of it
