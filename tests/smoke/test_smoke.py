"""A few seconds on each Python: every backend, a crash, a timeout and a large value."""

import subprocess
import sys

import functions
import numpy as np
import pytest
from functions import increment

from motorpool import ParallelRunner, node, pipeline
from motorpool.errors import NodeTimeoutError, WorkerCrashedError


def test_every_backend_runs_a_pipeline(any_backend, run):
    """With a closure, a branch and a join."""
    step = 10
    pipe = pipeline(
        [
            node(increment, "x", "a"),
            node(lambda a: a + step, "a", "b"),
            node(lambda a: a * step, "a", "c"),
            node(functions.add, ["b", "c"], "sum"),
        ]
    )
    assert run(any_backend, pipe, {"x": 1})["sum"].load() == 32


def test_large_value_goes_to_two_readers(process_backend, run):
    """By way of the store; each may change its own."""

    def spoil(array):
        array[:] = -1
        return float(array.sum())

    nodes = [node(np.ones, "n", "large", name="make")]
    nodes += [node(spoil, "large", f"sum{i}", name=f"spoil{i}") for i in range(2)]
    result = run(process_backend, pipeline(nodes), {"n": 200_000})
    assert [result[f"sum{i}"].load() for i in range(2)] == [-200_000.0] * 2


def test_crash_names_its_node_and_the_rest_runs(process_backend, run):
    """Whatever the pool does when a worker dies."""
    nodes = [node(increment, "x", f"y{i}", name=f"good{i}") for i in range(4)]
    nodes.append(node(functions.segfault, "x", "never", name="bad"))
    with pytest.raises(WorkerCrashedError) as caught:
        run(process_backend, pipeline(nodes), {"x": 1}, on_failure="continue")
    assert caught.value.node == "bad"


def test_timeout_ends_the_node_that_hangs():
    """And the next run finds workers."""
    with ParallelRunner(max_workers=1) as runner:
        with pytest.raises(NodeTimeoutError, match="'stuck' ran longer"):
            runner.run(
                pipeline(node(functions.hang, "x", "y", name="stuck", timeout=0.5)), {"x": 1}
            )
        assert runner.run(pipeline(node(increment, "x", "y")), {"x": 1})["y"].load() == 2


@pytest.mark.parametrize("backend", ["direct", "process", "loky", "multiprocess"])
def test_executor_may_be_shut_down_as_the_interpreter_ends(backend):
    """Where Python 3.12 starts no thread any more."""
    code = (
        "import atexit\n"
        "from motorpool import registry\n"
        f"executor = registry.get({backend!r})().get_executor(2)\n"
        "print(executor.submit(len, 'ab').result())\n"
        "atexit.register(executor.shutdown)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        timeout=functions.LIMIT,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
