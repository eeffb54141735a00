"""What the control group of this process may use, on Linux; nothing is limited elsewhere.

`os.cpu_count` and `os.process_cpu_count` do not look at quotas (python/cpython#149452), and free
memory of the machine is not what a container may take.
"""

from __future__ import annotations

import os
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

# Where the hierarchies are mounted, and where this process is in them.
_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_MACHINE = Path("/proc/vmstat")
# Version 1 writes "no limit" as a number just below 2**63.
_UNLIMITED = 1 << 60
_KILLS = "oom_kill"
_PART = 1 << 16


def cpu_quota(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> float | None:
    """Number of cores that the quota comes to, or None without one."""
    quotas = []
    for folder in _folders("cpu", mount, membership):
        quota, period = _numbers(folder / "cpu.max", 2) or (
            *(_numbers(folder / "cpu.cfs_quota_us", 1) or (None,)),
            *(_numbers(folder / "cpu.cfs_period_us", 1) or (None,)),
        )
        if quota and period and quota > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def memory_headroom(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> int | None:
    """Bytes that may still be taken before the limit, or None without one."""
    rooms = []
    for folder in _folders("memory", mount, membership):
        for limit_file, usage_file in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _numbers(folder / limit_file, 1), _numbers(folder / usage_file, 1)
            if limit and used and limit[0] < _UNLIMITED:
                rooms.append(max(0, limit[0] - used[0]))
    return min(rooms, default=None)


def memory_limit(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> int | None:
    """Bytes that the group may take, or None without a limit."""
    return min(_limits("limit_in_bytes", "max", mount, membership), default=None)


def usable_memory() -> int | None:
    """Bytes that this process and its workers may take; None if there is no telling."""
    names, limit = getattr(os, "sysconf_names", {}), memory_limit()
    if "SC_PHYS_PAGES" not in names:
        return limit
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return whole if limit is None else min(whole, limit)


def memory_peak(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> int | None:
    """Most bytes that the group itself has taken so far, or None if the kernel does not say."""
    peaks = _limits("max_usage_in_bytes", "peak", mount, membership)
    return peaks[0] if peaks else None


def oom_kills(
    mount: Path = _MOUNT, membership: Path = _MEMBERSHIP, machine: Path = _MACHINE
) -> int | None:
    """How many processes the kernel has killed for want of memory, or None if it does not say.

    Counted in the group of this process; where it has none of its own, on the whole machine.
    """
    return _entry(_kill_counter(mount, membership, machine), _KILLS)


@lru_cache(maxsize=1)
def _kill_counter(mount: Path, membership: Path, machine: Path) -> Path:
    """The file that has the count; looked for once, for that takes 0.3 ms."""
    for folder in _folders("memory", mount, membership):
        for name in ("memory.events", "memory.oom_control"):
            if _entry(folder / name, _KILLS) is not None:
                return folder / name
    return machine


def _limits(v1: str, v2: str, mount: Path, membership: Path) -> list[int]:
    """The numbers in a file of each group from this process's own up, but for "no limit"."""
    found = []
    for folder in _folders("memory", mount, membership):
        for name in (f"memory.{v2}", f"memory.{v1}"):
            number = _numbers(folder / name, 1)
            if number and number[0] < _UNLIMITED:
                found.append(number[0])
    return found


def _entry(file: Path, key: str) -> int | None:
    """The number behind a key, in a file with one key and one number a line.

    Read in a fifth of the time that a `Path` takes: each run does so.
    """
    try:
        fd = os.open(file, os.O_RDONLY)
        try:
            text = b"".join(iter(partial(os.read, fd, _PART), b""))  # a page at a time, at times
        finally:
            os.close(fd)
        rows = dict(line.split(None, 1) for line in text.splitlines() if b" " in line)
        return int(rows[key.encode()])
    except (OSError, KeyError, ValueError):
        return None


def _folders(controller: str, mount: Path, membership: Path) -> list[Path]:
    """Folders of this process's group and of its ancestors: each of them may set a limit."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = mount / controllers if controllers else mount
        # Inside a container the path may be the host's, which is not mounted here: the
        # container's own group is then the top of the mount, which is always among these.
        group = PurePosixPath(path.lstrip("/"))
        for part in (group, *group.parents):
            folders.extend({top / part, mount / controller / part if controllers else top / part})
    return folders


def _numbers(file: Path, count: int) -> tuple[int, ...] | None:
    try:
        words = file.read_text().split()
        return tuple(int(w) for w in words[:count]) if len(words) >= count else None
    except (OSError, ValueError):  # not there, or "max"
        return None
