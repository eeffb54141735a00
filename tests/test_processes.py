"""What pools of processes have in common."""

import logging
import os
import subprocess
import sys
import threading
import time

import functions
import pytest

from motorpool import ParallelRunner, node, pipeline
from motorpool._system.starting import environment
from motorpool.errors import BackendError
from motorpool.processes import starting_processes, worker_context

SCRIPT = """
import time, weakref
from motorpool import registry

def given_back():
    time.sleep(0.3)
    print("given back")

executor = registry.get({backend!r})().get_executor(1)
assert executor.submit(len, "ab").result() == 2
weakref.finalize(executor._call_queue._rlock, given_back).atexit = False
executor.shutdown()
del executor
"""


@pytest.mark.parametrize("backend", ["process", "loky"])
def test_semaphores_are_given_back_before_the_interpreter_ends(backend):
    """By whichever thread is the last to hold them; else a resource tracker speaks of leaks."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(backend=backend)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "given back\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no server to fork from")
def test_several_threads_may_start_workers_at_a_time(monkeypatch):
    """While another one lends the seed: no thread may find a variable that is gone by then."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    ended, context = threading.Event(), worker_context("forkserver")

    def lend():
        while not ended.is_set():
            with starting_processes():
                pass

    thread = threading.Thread(target=lend)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(30):
            process = context.Process(target=functions.exit_if_set, args=("PYTHONHASHSEED",))
            process.start()
            process.join()
            assert process.exitcode == 0
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(usual)


class SlowHandler(logging.Handler):
    """Writes to something with a lock of its own, as rich's console is, and takes its time."""

    def emit(self, record):
        with functions.LOCK:
            time.sleep(0.02)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("backend", ["direct", "process", "multiprocess", "pebble"])
def test_no_thread_is_within_a_handler_when_a_worker_is_forked(backend):
    """The worker would have its lock taken for ever."""
    handler, ended = SlowHandler(), threading.Event()
    logger = logging.getLogger("slow")
    logging.getLogger().addHandler(handler)

    def log():
        while not ended.is_set():
            logger.error("again")

    thread = threading.Thread(target=log)
    thread.start()
    try:
        for _ in range(3):
            with ParallelRunner(backend, max_workers=1, start_method="fork") as runner:
                pipe = pipeline([node(functions.can_lock, "x", "y")])
                assert runner.run(pipe, {"x": 1})["y"].load()
    finally:
        ended.set()
        thread.join()
        logging.getLogger().removeHandler(handler)


class StuckHandler(logging.Handler):
    """Writes to something that does not answer."""

    def __init__(self):
        super().__init__()
        self.begun, self.answered, self.left = (threading.Event() for _ in range(3))

    def emit(self, record):
        self.begun.set()
        self.answered.wait(60)
        self.left.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork_does_not_wait_for_a_handler_that_is_stuck():
    """Nor for those that wait for each other."""
    handler, logger = StuckHandler(), logging.getLogger("stuck")
    logger.addHandler(handler)
    logger.propagate = False
    thread = threading.Thread(target=logger.error, args=["lost"])
    thread.start()
    try:
        assert handler.begun.wait(60)
        with ParallelRunner("direct", max_workers=1, start_method="fork") as runner:
            pipe = pipeline([node(functions.identity, "x", "y")])
            assert runner.run(pipe, {"x": 1})["y"].load() == 1
        assert not handler.left.is_set()
    finally:
        handler.answered.set()
        thread.join()
        logger.removeHandler(handler)


@pytest.mark.parametrize("backend", ["loky", "multiprocess", "mpi", "executorlib"])
def test_backend_that_a_frozen_app_cannot_start_is_refused(backend, monkeypatch):
    """Its executable would run the app again, once for each worker."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    runner = ParallelRunner(backend, runs_folder=False)
    with pytest.raises(BackendError, match=r"in a frozen app, .* direct, process, threads"):
        runner.run(pipeline([node(functions.identity, "x", "y")]), {"x": 1})


def test_seed_that_workers_start_with_is_of_no_run(monkeypatch):
    """Another thread may capture the environment for its own run at that moment."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    with starting_processes():
        assert "PYTHONHASHSEED" in os.environ
        assert not {"PYTHONHASHSEED", b"PYTHONHASHSEED"} & environment().keys()
    assert "PYTHONHASHSEED" not in os.environ
