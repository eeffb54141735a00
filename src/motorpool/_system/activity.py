"""What other processes are doing, as far as the system says: working, idle, or gone."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
# Where /proc has the wait status, counted from the state; 0 for those who may not see it.
_EXIT_CODE = 49
# Where it has what the kernel calls the flags of a process, and the one that says that it ends.
_FLAGS, _EXITING = 6, 0x4
# A pool may say that a worker has died before the system does (s).
_MOMENT = 0.5
# Waiting for a disk, or stopped by a debugger or a shell: not idle, though no time is used.
_HELD_UP = frozenset({b"D", b"T", b"t"})


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even if its parent has not asked yet how."""
    fields = _fields(pid)
    if fields is not None:
        return fields[0] in {b"Z", b"X"}
    if sys.platform == "win32":  # os.kill(pid, 0) would end the process there
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def ends(pid: int) -> bool:
    """Whether a process has ended, or does so within a moment."""
    until = time.monotonic() + _MOMENT
    while not is_gone(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def is_ending(pid: int) -> bool:
    """Whether the system is taking a process down, so that no code of its own runs any more."""
    fields = _fields(pid)
    return is_gone(pid) if fields is None else bool(int(fields[_FLAGS]) & _EXITING)


def exit_code(pid: int) -> int | None:
    """How a process has ended, negative for a signal, as long as its parent has not asked.

    Returns:
        None if it lives, or is no more, or the system does not say.
    """
    fields = _fields(pid)
    if fields is None or fields[0] != b"Z" or len(fields) <= _EXIT_CODE:
        return None
    return os.waitstatus_to_exitcode(int(fields[_EXIT_CODE]))


def used_seconds(pids: Iterable[int]) -> float | None:
    """Processor time that some processes have used so far, in seconds.

    Returns:
        None if that is not known, or one of them is held up and could not have used any.
    """
    total = 0
    for pid in pids:
        fields = _fields(pid)
        if fields is None:
            if not is_gone(pid):
                return None
        elif fields[0] in _HELD_UP:
            return None
        else:
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _fields(pid: int) -> list[bytes] | None:
    """What /proc says of a process, from its state on; None if there is no such file."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123, pathlib takes 6 ms to import
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None
