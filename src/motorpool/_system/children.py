"""Ends what nodes have started in a worker, when the worker ends."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from functools import partial

from motorpool._system.process import descendants

# How long (s) a process has to end when it is asked to, before it is made to.
_PATIENCE = 1.0
# Of these, which end by themselves, others need their last work: to remove what was left.
_TRACKERS = (b"resource_tracker", b"semaphore_tracker")


def end_children_at_exit() -> None:
    """Let this worker end its children before it waits for them, as multiprocessing does.

    Pools of multiprocessing, which have a greater priority, end theirs themselves; so they do in a
    worker of the package multiprocess, which knows nothing of them.
    """
    util = importlib.import_module("multiprocessing.util")
    util.Finalize(None, partial(end_children, os.getpid()), exitpriority=1)
    other = sys.modules.get("multiprocess.util")
    if other is not None:
        other.Finalize(None, util._run_finalizers, args=(1,), exitpriority=1)  # noqa: SLF001, as it does


def end_children(worker: int | None = None) -> None:
    """End the processes below this one, but for those in sessions of their own.

    Args:
        worker: Do so in the process of this id only, and not in a fork of it.
    """
    if os.name != "posix" or (worker is not None and worker != os.getpid()):
        return
    session = os.getsid(0)
    chosen = [pid for pid in descendants(os.getpid()) if _is_to_end(pid, session)]
    for number, patience in ((signal.SIGTERM, _PATIENCE), (signal.SIGKILL, _PATIENCE)):
        for pid in chosen:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while chosen and time.monotonic() < deadline:
            chosen = list(filter(_runs, chosen))
            if chosen:
                time.sleep(0.005)


def _is_to_end(pid: int, session: int) -> bool:
    """Whether a process is in this session, and cleans up after no other one."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123, pathlib takes 6 ms
            command = file.read()
        return os.getsid(pid) == session and not any(name in command for name in _TRACKERS)
    except OSError:
        return False


def _runs(pid: int) -> bool:
    """Whether a process has not ended; one that has, and was not waited for, has."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123, as above
            return file.read().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except OSError:
        return False
