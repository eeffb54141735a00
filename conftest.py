"""What holds for every test of the repository: nothing may be left behind."""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter

import pytest

from motorpool import ParallelRunner, node, pipeline, registry
from motorpool.errors import BrokenBackendError

pytest_plugins = ["second_look"]

# Where one code path decides, the gate tries it on our own pool, on one that workers share, and in
# this process; `just matrix` on all other backends as well. Of the kit, these have the core.
_NOT_IN_THE_GATE = set(registry.names()) - {"direct", "process", "threads", "sequential"}
# Helpers of the standard library and of loky that live as long as the interpreter, and threads.
_HELPERS = ("forkserver", "resource_tracker")
_STAYING = {"motorpool-main-watch"}
# Backends that start none, and take seconds to come up.
_LEAVES_NOTHING = {"executorlib", "mpi", "pebble"}
_PATIENCE = 60.0
_numbers = itertools.count()


def pytest_configure(config):
    """Make sessions alike, whatever shell and machine they run on."""
    # Background jobs of a shell ignore Ctrl-C, and what they start does.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _keep_compiled_modules(config.rootpath / ".pycache")
    with contextlib.suppress(ImportError):  # the smoke does without
        from hypothesis import settings

        settings.register_profile("gate", max_examples=20)
        if "not matrix" in config.getoption("markexpr"):
            settings.load_profile("gate")


def _keep_compiled_modules(folder):
    """Even where this is turned off, for else each process would compile all that it imports."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(folder))
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]


def pytest_xdist_auto_num_workers():
    """More than there are cores: half of the time tests wait for processes to start or to end."""
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Say what is left to `just matrix`; begin with the tests that may take longest."""
    for item in items:
        if _is_left_to_the_matrix(item):
            item.add_marker(pytest.mark.matrix)

    def patience(item):
        mark = item.get_closest_marker("timeout")
        return mark.args[0] if mark is not None and mark.args else 0

    if not config.getoption("random_order", False):
        items.sort(key=patience, reverse=True)


def _is_left_to_the_matrix(item):
    """Whether other backends decide what a test tries, or a plug-in's part of the kit does."""
    if item.path.parent.name == "smoke":
        return False
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if any(isinstance(v, str) and v in _NOT_IN_THE_GATE for v in values):
        return True
    backend = getattr(item.cls, "backend", None)
    level = getattr(item.function, "motorpool_level", "core")
    return backend in _NOT_IN_THE_GATE and level != "core"


def _children(pid):
    """Live children of a process, whichever of its threads has started them."""
    found = set()
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found.update(map(int, file.read().split()))
    return {child for child in found if not _is_zombie(child)}


def _is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _is_helper(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            command = file.read()
    except OSError:
        return True
    return any(helper in command for helper in _HELPERS)


def worker_processes():
    """Children of this process and of the helpers that it keeps, but for these."""
    found = _children(os.getpid())
    helpers = set(filter(_is_helper, found))
    return (found - helpers).union(*map(_children, helpers))


def run_directories():
    """Directories of runs whose lock this process holds; others may belong to other tests."""
    return {t for t in _descriptors() if "motorpool-" in t and t.endswith("/lock")}


def _descriptors():
    """What each open descriptor of this process leads to, but for those to helpers."""
    found = []
    helpers = _to_helpers()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if int(number) not in helpers:
                found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


def _to_helpers():
    """Descriptors to resource trackers: Python's, loky's, and joblib's copy of it."""
    modules = [sys.modules[k] for k in list(sys.modules) if k.endswith(".resource_tracker")]
    trackers = [getattr(module, "_resource_tracker", None) for module in modules]
    return {getattr(tracker, "_fd", None) for tracker in trackers}


def _holdings():
    return {
        "processes": worker_processes(),
        "threads": {t.name for t in threading.enumerate()} - _STAYING,
        "directories": run_directories(),
        "descriptors": Counter(_descriptors()),
    }


@pytest.fixture(scope="session", autouse=True)
def _journals_elsewhere(tmp_path_factory):
    """Keep the journals of all runs, those of subprocesses too, out of the working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTORPOOL_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(autouse=True)
def _journals_of_its_own(monkeypatch):
    """Let no test know how long nodes took in another one."""
    monkeypatch.setenv("MOTORPOOL_RUNS", f"{os.environ['MOTORPOOL_RUNS']}/{next(_numbers)}")


@pytest.fixture(scope="session", autouse=True)
def _helpers_are_up(_journals_elsewhere):
    """Start what stays for the whole session, so that no test seems to have left it."""
    pipe = pipeline(node(len, "word", "length"))
    for name in set(registry.names()) - _LEAVES_NOTHING:
        with contextlib.suppress(BrokenBackendError):  # as of an MPI that is not installed
            ParallelRunner(name, max_workers=1).run(pipe, {"word": "x"})["length"].load()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Let the fixture below know of an expected failure, which may leave a mess."""
    report = yield
    if report.when == "call":
        item.is_expected_failure = report.skipped and hasattr(report, "wasxfail")
    return report


@pytest.fixture(autouse=True)
def _no_leaks(request, _helpers_are_up):
    """After a test: no process, thread, directory or descriptor more than before."""
    before = _holdings()
    yield
    deadline = time.monotonic() + _PATIENCE
    while True:
        left = {kind: now - before[kind] for kind, now in _holdings().items()}
        if len(_descriptors()) <= before["descriptors"].total():
            del left["descriptors"]  # as many, and one of them leads elsewhere now
        left = {kind: things for kind, things in left.items() if things}
        if not left or getattr(request.node, "is_expected_failure", False):
            return
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: {left}")
        gc.collect()  # what hangs in a cycle, such as a traceback, is not left behind
        multiprocessing.active_children()  # reaps what loky leaves to be reaped at its next start
        threading.Event().wait(0.02)
