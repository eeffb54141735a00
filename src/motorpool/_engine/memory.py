"""Was a worker killed for want of memory? And how much did it hold?

The kernel leaves no word with the process that it kills. It counts, in the control group; and what
a worker held is known only if it was looked at while it lived.
"""

from __future__ import annotations

import mmap
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool._system import cgroup

if TYPE_CHECKING:
    from collections.abc import Iterable

# How often, in seconds, to look at the workers' memory; a look takes 20 us a worker.
_INTERVAL = 0.2
# A worker that is missing may be the one that was killed, until the engine hears of its death (s).
# That takes milliseconds, and seconds on a machine with ten times more to do than it has cores.
_GRACE = 30.0
_KILLED = 1 << (signal.SIGKILL - 1) if hasattr(signal, "SIGKILL") else 0
_PAGE = mmap.PAGESIZE


class MemoryWatch:
    """Looks at the workers' memory, and at the kernel's count of kills."""

    def __init__(self) -> None:
        self._counted = self._kills = cgroup.oom_kills() or 0
        self._well: set[int] = set()
        self._missing_since: float | None = None
        self._looked = time.monotonic()  # a run that is over by then need not be looked at
        self._held: dict[int, int] = {}

    def look(self, pids: Iterable[int]) -> None:
        """Note what each worker holds, and how often the kernel has killed.

        Kills that were counted before this look, and that all workers have survived, were of other
        processes.
        """
        now, kills = time.monotonic(), cgroup.oom_kills() or 0
        well = set()
        for pid in pids:
            held = resident_memory(pid)
            if held:  # a process that has ended, and is not reaped yet, holds nothing
                self._held[pid] = held
                well.add(pid)
        if self._kills > self._counted:
            well = {pid for pid in well if not _is_being_killed(pid)}
        if self._well - well:
            self._missing_since = now
        if self._missing_since is None or now > self._missing_since + _GRACE:
            self._counted = max(self._counted, self._kills)
        self._kills, self._well = kills, well

    def is_due(self) -> bool:
        """Whether it is time for another look; then the next one is put off."""
        now = time.monotonic()
        if now - self._looked < _INTERVAL:
            return False
        self._looked = now
        return True

    def take_kill(self, exitcode: int | None) -> bool:
        """Whether the kernel has killed one more process, so that this may be the one; count it.

        Args:
            exitcode: How the worker ended, if known.
        """
        if exitcode not in {None, -int(getattr(signal, "SIGKILL", 9))}:
            return False
        if (cgroup.oom_kills() or 0) <= self._counted:
            return False
        self._counted += 1
        return True

    def forget(self) -> None:
        """Count from here."""
        self._counted = cgroup.oom_kills() or 0

    def figures(self, pid: int | None) -> dict[str, Any]:
        """What is known of the memory: of the worker, of the group, and the group's limit."""
        return {
            "held": self._held.get(pid) if pid is not None else None,
            "peak": cgroup.memory_peak(),
            "limit": cgroup.memory_limit(),
        }


def _is_being_killed(pid: int) -> bool:
    """Whether a process has a SIGKILL that it has not died of yet."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    pending = (line.split()[1] for line in lines if line.startswith(("SigPnd:", "ShdPnd:")))
    return any(int(mask, 16) & _KILLED for mask in pending)


def resident_memory(pid: int) -> int | None:
    """Bytes of memory that a process holds now; None if there is no telling."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
        return int(fields[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return None
