"""What holds for every test of the repository: nothing may be left behind."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from motorpool import ParallelRunner, node, pipeline, registry

# Helpers of the standard library and of loky that live as long as the interpreter.
_HELPERS = ("forkserver", "resource_tracker")
_PATIENCE = 5.0


def pytest_xdist_auto_num_workers():
    """More than there are cores: half of the time tests wait for processes to start or to end."""
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _parents():
    """Parent of each process of this machine, as far as /proc shows them."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(entry.name)] = int(parent)
    return found


def _is_helper(pid):
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return True
    return any(helper in command for helper in _HELPERS)


def worker_processes():
    """Descendants of this process, but for the helpers that it keeps."""
    parents = _parents()
    children = [p for p, parent in parents.items() if parent == os.getpid()]
    helpers = [p for p in children if _is_helper(p)]
    found = [p for p in children if p not in helpers]
    found += [p for p, parent in parents.items() if parent in helpers]
    return set(found)


def run_directories():
    """Directories of runs whose lock this process holds; others may belong to other tests."""
    return {t for t in _descriptors() if "motorpool-" in t and t.endswith("/lock")}


def _descriptors():
    """What each open descriptor of this process leads to."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()))
    return found


def _holdings():
    return {
        "processes": worker_processes(),
        "threads": {t.name for t in threading.enumerate()},
        "directories": run_directories(),
        "descriptors": set(_descriptors()),
    }


@pytest.fixture(scope="session", autouse=True)
def _journals_elsewhere(tmp_path_factory):
    """Keep the journals of all runs, those of subprocesses too, out of the working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTORPOOL_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _helpers_are_up(_journals_elsewhere):
    """Start what stays for the whole session, so that no test seems to have left it."""
    pipe = pipeline(node(len, "word", "length"))
    for name in registry.names():
        ParallelRunner(name, max_workers=1).run(pipe, {"word": "x"})["length"].load()


@pytest.fixture(autouse=True)
def _no_leaks(_helpers_are_up):
    """After a test: no process, thread, directory or descriptor more than before."""
    before = _holdings()
    yield
    deadline = time.monotonic() + _PATIENCE
    while True:
        left = {kind: now - before[kind] for kind, now in _holdings().items()}
        left["descriptors"] = left["descriptors"] if _more_descriptors(before) else set()
        left = {kind: things for kind, things in left.items() if things}
        if not left:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: {left}")
        gc.collect()  # what hangs in a cycle, such as a traceback, is not left behind
        multiprocessing.active_children()  # reaps what loky leaves to be reaped at its next start
        threading.Event().wait(0.02)


def _more_descriptors(before):
    return len(_descriptors()) > len(before["descriptors"])
