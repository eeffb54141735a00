"""Counts, pauses and conditions of retries."""

import time
from pathlib import Path

import functions
import pytest
from functions import identity, present
from hook_functions import TryRecorder

from motorpool import ParallelRunner, Retry, create_hook_manager, node, pipeline
from motorpool.errors import NodeTimeoutError, PipelineError
from motorpool.events import NodeCompleted, NodeFailed, NodeSkipped, NodeSubmitted


def failing(path, *, times, kind=ValueError):
    """A function that fails so many times."""

    def flaky(_):
        present(path, "flaky")
        if len(Path(path).read_text().split()) <= times:
            raise kind("not yet")
        return "done"

    return flaky


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": -1}, {"count": 1.5}, {"count": True}, {"count": 1, "delay": -1},
        {"count": 1, "delay": "2"}, {"count": 1, "backoff": 0.5}, {"count": 1, "jitter": 2},
        {"count": 1, "max_delay": -1}, {"count": 1, "on": 7}, {"count": 1, "on": int},
        {"count": 1, "on": (ValueError, 3)},
    ],
)  # fmt: skip
def test_bad_retry_is_refused(arguments):
    """The field is named, before any run."""
    name = list(arguments)[-1]
    with pytest.raises(PipelineError, match=f"Retry: {name} must be"):
        Retry(**arguments)


def test_pauses_grow_up_to_the_longest():
    """Without jitter they are exact."""
    retry = Retry(9, delay=1.0, backoff=3.0, max_delay=20.0, jitter=0.0)
    assert [retry.pause(n) for n in range(1, 6)] == [1.0, 3.0, 9.0, 20.0, 20.0]
    assert retry.pause(100_000) == 20.0


def test_jitter_takes_its_share_and_no_more():
    """Pauses lie between one minus the share and the whole, and differ."""
    pauses = [Retry(1, delay=8.0, jitter=0.25).pause(1) for _ in range(200)]
    assert min(pauses) >= 6.0
    assert max(pauses) <= 8.0
    assert len(set(pauses)) > 100


def test_pause_is_never_shorter_than_was_asked_for(any_backend, roll_call, recorder):
    """And grows from try to try."""
    flaky = failing(roll_call.path, times=2)
    nodes = [node(flaky, "x", "out", name="flaky", retries=Retry(3, delay=0.3, jitter=0))]
    runner = ParallelRunner(any_backend, max_workers=1, observers=[recorder])
    began = time.time()
    assert runner.run(pipeline(nodes), {"x": 1})["out"].load() == "done"
    assert time.time() - began >= 0.3 + 0.6
    assert [e.attempt for e in recorder.of(NodeSubmitted)] == [1, 2, 3]
    assert roll_call.counts() == {"flaky": 3}


@pytest.mark.parametrize(
    ("on", "tries"),
    [
        (KeyError, 1), (ValueError, 3), ((KeyError, ValueError), 3),
        (lambda error: "not yet" in str(error), 3), (lambda error: "other" in str(error), 1),
        (lambda error: error.nothing, 1),
    ],
)  # fmt: skip
def test_only_failures_that_match_are_retried(any_backend, run, roll_call, on, tries):
    """By class, classes or a function, which may be a lambda and may raise."""
    pipe = pipeline(node(failing(roll_call.path, times=99), "x", "y", retries=Retry(2, on=on)))
    with pytest.raises(ValueError, match="not yet") as caught:
        run(any_backend, pipe, {"x": 1})
    assert roll_call.counts() == {"flaky": tries}
    notes = "".join(caught.value.__notes__)
    assert ("Retry(on=...) raised AttributeError" in notes) == (
        "nothing" in str(on.__code__.co_names) if hasattr(on, "__code__") else False
    )


def test_run_wide_retry_holds_where_the_node_says_nothing(any_backend, run, roll_call):
    """Crashes, timeouts and exceptions are distinguished by class."""
    pipe = pipeline(
        [
            node(failing(roll_call.path, times=1), "x", "y", name="again"),
            node(failing(roll_call.path + "2", times=1), "x", "z", name="never", retries=0),
        ]
    )
    with pytest.raises(ValueError, match="not yet") as caught:
        run(any_backend, pipe, {"x": 1}, retries=Retry(2, on=ValueError), on_failure="continue")
    assert "in node 'never'" in "".join(caught.value.__notes__)
    assert roll_call.counts() == {"flaky": 2}


def test_timeouts_may_be_tried_again_and_errors_not(process_backend, run, roll_call, recorder):
    """A predicate sees the timeout as what it is."""

    def hang_once(path):
        present(path, "hang")
        if len(Path(path).read_text().split()) == 1:
            functions.hang(path)
        return "done"

    # Tries enough for a machine that is too busy to do in half a second what takes no time.
    one = node(hang_once, "p", "y", timeout=0.5, retries=Retry(20, on=NodeTimeoutError))
    result = run(process_backend, pipeline(one), {"p": roll_call.path}, observers=[recorder])
    assert result["y"].load() == "done"
    failed = recorder.of(NodeFailed)
    assert failed
    assert {type(e.error) for e in failed} == {NodeTimeoutError}


def test_hooks_get_the_number_of_the_attempt(any_backend, run, tmp_path, roll_call):
    """In the worker, as in events."""
    flaky = failing(str(tmp_path / "flaky"), times=1)
    hooks = create_hook_manager(TryRecorder(roll_call.path))
    run(any_backend, pipeline(node(flaky, "x", "y", retries=1)), {"x": 1}, hook_manager=hooks)
    assert roll_call.counts() == {"before1": 1, "error1": 1, "before2": 1, "after2": 1}


def test_node_that_pauses_is_skipped_when_the_run_stops(
    any_backend, roll_call, recorder, tmp_path
):
    """It keeps no worker waiting, is not tried again, and the run does not wait for it."""
    pauses = tmp_path / "pauses"

    class Watch:
        def on_event(self, event):
            if isinstance(event, NodeFailed) and event.node == "pauses":
                pauses.touch()

    def stop(*_):
        functions.wait_for(pauses)
        raise ZeroDivisionError

    pipe = pipeline(
        [
            node(failing(roll_call.path, times=9), "x", "y", name="pauses",
                 retries=Retry(5, delay=5000.0, jitter=0)),
            # The longest path goes first, so that `stops` finds it tried where only one node runs.
            *(node(identity, "yabc"[i], "yabcd"[i + 1], name=f"after{i}") for i in range(4)),
            *(node(identity, "x", f"o{i}", name=f"n{i}") for i in range(3)),
            node(stop, [f"o{i}" for i in range(3)], "z", name="stops"),
        ]
    )  # fmt: skip
    runner = ParallelRunner(any_backend, max_workers=1, observers=[recorder, Watch()])
    with pytest.raises(ZeroDivisionError):
        runner.run(pipe, {"x": 1})
    assert {e.node for e in recorder.of(NodeCompleted)} == {"n0", "n1", "n2"}
    assert [(e.node, e.retried) for e in recorder.of(NodeFailed)] == [
        ("pauses", True), ("stops", False),
    ]  # fmt: skip
    skipped = {e.node: e.reason for e in recorder.of(NodeSkipped)}
    assert set(skipped) == {"pauses", *(f"after{i}" for i in range(4))}
    assert skipped["pauses"] == "the node 'stops' failed, before it was tried again"
