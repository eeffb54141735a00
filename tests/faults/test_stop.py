"""After a failure under `stop`, nothing that was only queued runs."""

import gc
from pathlib import Path

import pytest
from functions import present

from motorpool import ParallelRunner, Retry, node, pipeline
from motorpool._protocol.status import StatusTable
from motorpool.events import NodeCompleted, NodeSkipped, NodeSubmitted


@pytest.mark.parametrize("on_failure", ["stop", "kill"])
def test_what_was_queued_behind_a_failure_does_not_run(
    any_backend, roll_call, recorder, on_failure
):
    """With one worker, one node; the next one was on the worker's pipe already."""
    path = roll_call.path

    def fail(x, number):
        present(path, f"n{number}")
        raise ValueError(number)

    nodes = [node(lambda x, i=i: fail(x, i), "x", f"y{i}", name=f"n{i}") for i in range(6)]
    runner = ParallelRunner(
        any_backend, max_workers=1, on_failure=on_failure, observers=[recorder]
    )
    with pytest.raises(ValueError, match="0"):
        runner.run(pipeline(nodes), {"x": 1})
    assert roll_call.counts() == {"n0": 1}
    assert {e.node for e in recorder.of(NodeSkipped)} == {f"n{i}" for i in range(1, 6)}


def test_failure_without_retry_stops_what_was_queued(any_backend, roll_call):
    """Only the driver knows which failures are; until then nothing behind it is started."""
    path = roll_call.path

    def fail(x, number):
        present(path, f"n{number}")
        raise ValueError(number)

    nodes = [
        node(lambda x, i=i: fail(x, i), "x", f"y{i}", name=f"n{i}", retries=Retry(2, on=OSError))
        for i in range(6)
    ]
    with pytest.raises(ValueError, match="0"):
        ParallelRunner(any_backend, max_workers=1).run(pipeline(nodes), {"x": 1})
    assert roll_call.counts() == {"n0": 1}


def test_failure_with_retry_lets_queued_nodes_run_uncharged(any_backend, roll_call):
    """What was held behind it runs, and is charged no try."""
    path = roll_call.path

    def fail_once(x, number):
        present(path, f"n{number}")
        if Path(path).read_text().split() == ["n0"]:
            raise OSError(number)
        return number

    nodes = [
        node(lambda x, i=i: fail_once(x, i), "x", f"y{i}", name=f"n{i}",
             retries=Retry(1, on=OSError))
        for i in range(6)
    ]  # fmt: skip
    result = ParallelRunner(any_backend, max_workers=1).run(pipeline(nodes), {"x": 1})
    assert [result[f"y{i}"].load() for i in range(6)] == list(range(6))
    assert roll_call.counts() == {"n0": 2, **{f"n{i}": 1 for i in range(1, 6)}}


def test_failure_with_retry_does_not_stop_the_run(any_backend, roll_call):
    """Nor does one under `continue`."""
    path = roll_call.path

    def fail(x):
        present(path, "bad")
        raise ValueError

    nodes = [node(fail, "x", "bad", name="bad", retries=Retry(2))]
    nodes += [node(lambda x, i=i: present(path, f"n{i}") or i, "x", f"y{i}") for i in range(5)]
    with pytest.raises(ValueError):
        ParallelRunner(any_backend, max_workers=1, on_failure="continue").run(
            pipeline(nodes), {"x": 1}
        )
    assert roll_call.counts() == {"bad": 3, **{f"n{i}": 1 for i in range(5)}}


def test_stop_flag_of_a_worker_that_died_is_cleared(process_backend, run, recorder):
    """A worker may ask all to stop and die before it can say why: the run goes on."""

    def ask(x):
        found = [o for o in gc.get_objects() if type(o) is StatusTable]
        found[-1].stop()
        return x

    nodes = [node(ask, "x", "first", name="ask")]
    nodes += [node(lambda x, i=i: i, "x", f"y{i}", name=f"n{i}") for i in range(6)]
    result = run(process_backend, pipeline(nodes), {"x": 1}, observers=[recorder])
    assert [result[f"y{i}"].load() for i in range(6)] == list(range(6))
    assert len(recorder.of(NodeCompleted)) == 7
    assert {e.attempt for e in recorder.of(NodeSubmitted)} == {1}
