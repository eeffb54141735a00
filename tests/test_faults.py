"""Workers that die and nodes that hang, on every backend with processes."""

import os
import threading
import time
from pathlib import Path

import functions
import numpy as np
import pytest
from functions import append, identity, increment

from motorpool import DataCatalog, ParallelRunner, node, pipeline
from motorpool.errors import NodeTimeoutError, WorkerCrashedError
from motorpool.events import NodeCompleted, NodeFailed, WorkerLost

DEATHS = {
    "segfault": (functions.segfault, "SIGSEGV"),
    "killed": (functions.kill_self, "SIGKILL"),
    "os_exit": (functions.exit_hard, "code 7"),
}


@pytest.mark.parametrize("death", DEATHS)
def test_crash_is_blamed_on_the_node_and_innocents_run(process_backend, run, recorder, death):
    """Two nodes crash among twenty: two failures, eighteen results, nobody charged."""
    func, cause = DEATHS[death]
    nodes = [node(increment, "x", f"o{i}", name=f"good{i}") for i in range(18)]
    nodes += [node(func, "x", f"bad{i}", name=f"bad{i}") for i in range(2)]
    with pytest.raises(ExceptionGroup) as caught:
        run(
            process_backend, pipeline(nodes), {"x": 1}, on_failure="continue", observers=[recorder]
        )
    errors = caught.value.exceptions
    assert [type(e) for e in errors] == [WorkerCrashedError] * 2
    assert {e.node for e in errors} == {"bad0", "bad1"}
    assert all(e.backend == process_backend for e in errors)
    if process_backend != "loky":  # loky kills all its workers and keeps no exit codes
        assert all(cause in str(e) for e in errors)
        assert all(e.pid for e in errors)
    if death == "segfault":  # the frames of the node's own code, and none of ours
        assert all("Segmentation fault" in e.last_words for e in errors)
        assert all(e.last_words.endswith("in segfault") for e in errors)
    done = recorder.of(NodeCompleted)
    assert sorted(e.node for e in done) == sorted(f"good{i}" for i in range(18))
    assert all(e.attempt == 1 for e in done)
    assert {e.node for e in recorder.of(WorkerLost) if e.node} == {"bad0", "bad1"}


def test_crashing_node_is_retried_like_any_other(process_backend, run, tmp_path, recorder):
    """A crash costs a try."""

    def crash_once(path):
        append(path, "x")
        if len(Path(path).read_text().split()) < 2:
            os._exit(1)
        return "done"

    pipe = pipeline(node(crash_once, "p", "out", retries=1, name="shaky"))
    result = run(process_backend, pipe, {"p": str(tmp_path / "f")}, observers=[recorder])
    assert result["out"].load() == "done"
    (failed,) = recorder.of(NodeFailed)
    assert isinstance(failed.error, WorkerCrashedError)
    assert failed.retried


def test_hanging_node_is_ended_and_its_neighbours_go_on(process_backend, run, recorder):
    """A hard timeout, counted from the start of the node."""
    nodes = [node(increment, "x", f"o{i}", name=f"good{i}") for i in range(6)]
    nodes += [node(functions.hang, "x", "never", name="stuck", timeout=0.5)]
    with pytest.raises(NodeTimeoutError, match="'stuck' ran longer than its timeout of 0.5 s"):
        run(
            process_backend, pipeline(nodes), {"x": 1}, on_failure="continue", observers=[recorder]
        )
    assert len(recorder.of(NodeCompleted)) == 6


def test_timeout_of_the_run_holds_for_every_node(process_backend, run):
    """And a node's own goes before it."""
    pipe = pipeline(
        [
            node(functions.hang, "x", "a", name="stuck"),
            node(lambda x: time.sleep(0.7) or x, "x", "b", name="slow", timeout=60),
        ]
    )
    with pytest.raises(NodeTimeoutError) as caught:
        run(process_backend, pipe, {"x": 1}, timeout=0.5, on_failure="continue")
    assert caught.value.node == "stuck"


def test_kill_ends_running_nodes(process_backend, run, tmp_path):
    """What runs beside the failing node is ended, and the run with it."""
    started = tmp_path / "started"

    def wait_for(path):
        import pathlib

        while not pathlib.Path(path).exists():
            threading.Event().wait(0.01)
        raise ValueError("enough")

    def start_and_hang(path):
        functions.touch(path)
        threading.Event().wait()

    pipe = pipeline(
        [node(start_and_hang, "p", "a", name="hangs"), node(wait_for, "p", "b", name="fails")]
    )
    with pytest.raises(ValueError, match="enough"):
        run(process_backend, pipe, {"p": str(started)}, on_failure="kill")


def test_warm_runner_goes_on_after_a_crash(process_backend):
    """The next run finds workers."""
    with ParallelRunner(process_backend, max_workers=2) as runner:
        with pytest.raises(WorkerCrashedError):
            runner.run(pipeline(node(functions.exit_hard, "x", "y")), {"x": 1})
        assert runner.run(pipeline(node(increment, "x", "y")), {"x": 1})["y"].load() == 2


def test_crash_loses_no_data(process_backend, run):
    """Inputs of a node that is run again after a neighbour's crash are still there."""

    def total(array):
        return float(array.sum())

    nodes = [node(total, "big", f"sum{i}", name=f"sum{i}") for i in range(8)]
    nodes += [
        node(lambda: np.ones(100_000), None, "big", name="make"),
        node(lambda a: os._exit(3), "big", "never", name="bad"),
        node(lambda *s: sum(s), [f"sum{i}" for i in range(8)], "all", name="all"),
    ]
    found = DataCatalog()
    with pytest.raises(WorkerCrashedError):
        run(process_backend, pipeline(nodes), found, on_failure="continue")


def test_pool_that_cannot_start_is_an_error_and_no_hang(monkeypatch, run):
    """Workers that die before they are up: the run ends, and says so."""
    from motorpool._builtin import _member
    from motorpool.errors import BackendError

    monkeypatch.setattr(_member, "worker_main", functions.exit_hard_at_start)
    with pytest.raises(BackendError, match="broke .* times in a row"):
        run("direct", pipeline(node(identity, "x", "y")), {"x": 1})
