"""Locks of files, which the system drops when the last process that holds one dies."""

from __future__ import annotations

import contextlib
import os

try:
    import fcntl
except ImportError:  # Windows, where no segment is used twice
    import msvcrt

    fcntl = None  # type: ignore[assignment,unused-ignore]

can_lock = fcntl is not None
# Where a file is locked on Windows: behind its end.
_FAR = 1 << 40


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock a file that has no other lock; the system unlocks it when all close it.

    Args:
        fd: The file.
        shared: Only to see whether it is locked; several may look at once, but not on Windows.
    """
    try:
        if fcntl is None:
            os.lseek(fd, _FAR, os.SEEK_SET)  # what is locked cannot be read there
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def unlock(fd: int) -> None:
    """Unlock a file, for forked children that have it open as well."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_UN)
        return
    with contextlib.suppress(OSError):
        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]


def lock_alone(fd: int, *, hold: bool = False) -> bool:
    """Whether a file has no other lock, and so no reader that maps it.

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
    """Give back the memory of a file without a name at once, unless it is mapped."""
    if not os.fstat(fd).st_nlink and lock_alone(fd):
        os.truncate(fd, 0)  # even if a map of it is kept
