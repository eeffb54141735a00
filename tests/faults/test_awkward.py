"""Failures that are awkward to report, and nodes that treat their process badly."""

import os
import pickle
import sys
import time

import awkward_functions
import functions
import pytest
from functions import identity, present

from motorpool import ParallelRunner, create_hook_manager, node, pipeline
from motorpool.errors import NodeError, RemoteError, WorkerCrashedError
from motorpool.events import NodeCompleted, NodeFailed


def beside(path, bad, count=6):
    """A pipeline with one bad node among good ones that are counted."""
    good = [
        node(lambda x, i=i: present(path, f"n{i}") or i, "x", f"y{i}", name=f"n{i}")
        for i in range(count)
    ]
    return pipeline([*good[:2], node(bad, "x", "bad", name="bad"), *good[2:]])


def check_neighbours(roll_call, recorder, count=6):
    """Every good node has an outcome, at its first try; on exact backends it ran once."""
    done = [e for e in recorder.of(NodeCompleted) if e.node != "bad"]
    assert sorted(e.node for e in done) == [f"n{i}" for i in range(count)]
    assert {e.attempt for e in done} == {1}
    assert set(roll_call.counts()) == {f"n{i}" for i in range(count)}


@pytest.mark.parametrize(
    ("bad", "cause", "words"),
    [
        (awkward_functions.overflow_stack, "SIGSEGV", "in overflow_stack"),
        (awkward_functions.abort, "SIGABRT", "in abort"),
        (functions.segfault, "SIGSEGV", "in segfault"),
        (functions.kill_self, "SIGKILL", ""),
        (functions.exit_hard, "code 7", ""),
        (awkward_functions.close_everything, "closed descriptors that were not its own", ""),
    ],
)
def test_death_is_blamed_with_its_cause_and_last_words(
    process_backend, run, roll_call, recorder, bad, cause, words
):
    """Node, pid, signal or exit code, the node's own frames; and no other node is charged."""
    pipe = beside(roll_call.path, bad)
    with pytest.raises(WorkerCrashedError) as caught:
        run(process_backend, pipe, {"x": 1}, on_failure="continue", observers=[recorder])
    error = caught.value
    assert (error.node, error.backend) == ("bad", process_backend)
    assert [e.node for e in recorder.of(NodeFailed)] == ["bad"]
    assert cause in str(error)
    assert error.pid not in {None, os.getpid()}
    assert error.last_words.endswith(words)
    check_neighbours(roll_call, recorder)
    if process_backend in {"direct", "multiprocess"}:
        assert set(roll_call.counts().values()) == {1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (awkward_functions.close_everything_and_go_on, "it closed its pipe to the pool"),
        (awkward_functions.write_everywhere, "it sent what was no answer"),
        (awkward_functions.write_text_everywhere, "it sent what was no answer"),
    ],
)
@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
def test_worker_that_its_pool_ends_was_not_killed_by_the_kernel(
    run, roll_call, recorder, bad, reason, start_method
):
    """The reason is told, and no exit code: that would be of our own kill."""
    pipe = beside(roll_call.path, bad)
    with pytest.raises(WorkerCrashedError, match=f"ran the node 'bad' died: {reason}") as caught:
        run(
            "direct", pipe, {"x": 1}, on_failure="continue", observers=[recorder],
            start_method=start_method,
        )  # fmt: skip
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.reason.startswith(reason)
    assert error.exitcode is None
    assert "kernel" not in str(error)
    check_neighbours(roll_call, recorder)


@pytest.mark.parametrize(
    ("bad", "kind", "text"),
    [
        (awkward_functions.raise_unpicklable, (RemoteError, ValueError), "holds a lock"),
        (awkward_functions.raise_huge, ValueError, "xxx"),
        (awkward_functions.raise_group, ExceptionGroup, "two"),
        (awkward_functions.raise_keyboard, NodeError, "raised KeyboardInterrupt"),
        (awkward_functions.raise_leave, WorkerCrashedError, r"sys.exit\(3\)"),
    ],
)
def test_awkward_exception_fails_its_node_only(
    process_backend, run, roll_call, recorder, bad, kind, text
):
    """It arrives, names its node, and no neighbour notices."""
    with pytest.raises(kind, match=text) as caught:
        run(
            process_backend, beside(roll_call.path, bad), {"x": 1}, on_failure="continue",
            observers=[recorder],
        )  # fmt: skip
    assert "in node 'bad'" in "".join(caught.value.__notes__)
    check_neighbours(roll_call, recorder)
    assert set(roll_call.counts().values()) == {1}


def test_exit_of_a_node_does_not_end_the_run_in_this_process(local_backend, run, roll_call):
    """sys.exit(0) is no success, and no reason to end the driver."""
    pipe = beside(roll_call.path, lambda x: sys.exit(0))
    with pytest.raises(WorkerCrashedError, match=r"called sys.exit\(0\)"):
        run(local_backend, pipe, {"x": 1}, on_failure="continue")
    assert set(roll_call.counts()) == {f"n{i}" for i in range(6)}


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_notes_on_what_would_end_the_driver_are_kept(process_backend, run, kind):
    """Though the driver gets an exception of another class."""

    def leave(x):
        error = kind(3)
        error.add_note("what to do about it")
        raise error

    with pytest.raises(NodeError) as caught:
        run(process_backend, pipeline(node(leave, "x", "y")), {"x": 1})
    assert "what to do about it" in caught.value.__notes__


def test_result_that_does_not_unpickle_fails_its_reader(process_backend, run, roll_call):
    """Its maker has done its part; the reader's error names the dataset."""
    pipe = beside(roll_call.path, awkward_functions.one_way) + pipeline(
        node(identity, "bad", "out", name="reader")
    )
    with pytest.raises(ValueError, match="invalid literal") as caught:
        run(process_backend, pipe, {"x": 1}, on_failure="continue")
    notes = "".join(caught.value.__notes__)
    assert "in node 'reader'" in notes
    assert "while loading the dataset 'bad'" in notes
    assert set(roll_call.counts().values()) == {1}


@pytest.mark.parametrize(
    "bad",
    [
        awkward_functions.fork_and_go_on,
        awkward_functions.fork_and_return_in_both,
        awkward_functions.leave_a_thread,
        awkward_functions.leave_a_mess,
    ],
)
def test_badly_behaved_node_succeeds_and_the_run_ends(
    process_backend, run, roll_call, recorder, bad
):
    """And the run ends, whatever the node has left running."""
    result = run(process_backend, beside(roll_call.path, bad), {"x": 1}, observers=[recorder])
    assert result["bad"].load() == 1
    check_neighbours(roll_call, recorder)
    assert set(roll_call.counts().values()) == {1}


def test_process_state_is_restored_after_a_node(process_backend):
    """Folder, environment, signal handlers, timer, streams and what is behind them."""

    def wait_then_look(*_):
        time.sleep(1.2)  # longer than the alarm that was set
        return awkward_functions.surroundings()

    pipe = pipeline(
        [
            node(awkward_functions.surroundings, "x", "before"),
            node(awkward_functions.leave_a_mess, "before", "mess"),
            node(wait_then_look, "mess", "after"),
            node(identity, "before", "kept"),
        ]
    )
    result = ParallelRunner(process_backend, max_workers=1).run(pipe, {"x": 1})
    assert result["after"].load() == result["kept"].load()


def test_process_state_set_by_imports_and_set_up_is_kept(process_backend, tmp_path, monkeypatch):
    """A module that sets a variable when it is imported is imported once."""
    (tmp_path / "sets_variable.py").write_text(
        "import os\nos.environ['MOTORPOOL_TEST_SET'] = 'yes'\n"
        "def look(x):\n    return os.environ.get('MOTORPOOL_TEST_SET')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("MOTORPOOL_TEST_SET", raising=False)
    from sets_variable import look

    pipe = pipeline([node(look, "x", "a"), node(look, "a", "b"), node(look, "b", "c")])
    result = ParallelRunner(process_backend, max_workers=1).run(pipe, {"x": 1})
    assert result["c"].load() == "yes"
    monkeypatch.delenv("MOTORPOOL_TEST_SET", raising=False)


def test_process_state_set_by_a_hook_is_kept(process_backend, tmp_path):
    """Streams that are sent to a file, before the first node, are not put back."""
    log = tmp_path / "log"
    hooks = create_hook_manager(awkward_functions.RedirectOutput(str(log)))
    nodes = [node(functions.say, "x", "a"), node(functions.say, "a", "b")]
    ParallelRunner(process_backend, max_workers=1).run(pipeline(nodes), {"x": 1}, hooks)
    assert log.read_text() == "said\nsaid\n"


def test_stdout_without_file_attributes_is_accepted(monkeypatch):
    """A forked worker has the driver's own, whatever it is."""

    class Tee:
        def write(self, text):
            return len(text)

        def flush(self):
            pass

    monkeypatch.setattr("sys.stdout", Tee())
    runner = ParallelRunner("direct", max_workers=1, start_method="fork")
    assert runner.run(pipeline(node(functions.say, "x", "y")), {"x": 1})["y"].load() == 1


def test_process_that_a_node_starts_waits_for_its_own_threads(process_backend, run, tmp_path):
    """Only the worker itself leaves threads behind."""
    pipe = pipeline(node(awkward_functions.child_with_a_thread, "path", "code"))
    result = run(process_backend, pipe, {"path": str(tmp_path / "done")})
    assert result["code"].load() == 3
    assert (tmp_path / "done").exists()
