"""Runs of one plan on the same workers: what is kept from one to the next, and what is not."""

import errno
import logging
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from functions import crash_if_large, fail_if_odd, identity

from motorpool import (
    Capabilities,
    Isolation,
    ParallelRunner,
    PickleDataset,
    create_hook_manager,
    hookimpl,
    node,
    pipeline,
    registry,
)
from motorpool._engine.sent import RunFiles, SentPlan, SentPlans, fingerprint_of
from motorpool.errors import WorkerCrashedError
from motorpool.events import NodeCompleted, WorkerLost


def counting():
    """A function that knows how often it was called."""
    calls = []

    def count(x):
        calls.append(x)
        return len(calls)

    return count


def test_functions_begin_anew_in_each_run(process_backend):
    """What they have changed in what they close over is gone with the run."""
    pipe = pipeline(node(counting(), "x", "y"))
    with ParallelRunner(process_backend, max_workers=1) as runner:
        assert [runner.run(pipe, {"x": 1})["y"].load() for _ in range(4)] == [1] * 4


@pytest.mark.parametrize("count", [10, 1000, 20_000, 100_000])
@pytest.mark.parametrize("others", [0, 80])
def test_arrays_of_functions_begin_anew_in_each_run(process_backend, count, others):
    """Whether they travel with the plan or lie in a file of their own, which workers map."""
    array = np.zeros(count)

    def add_one(_x):
        array[0] += 1
        return array[0]

    nodes = [node(identity, "x", f"z{i}", name=f"z{i}") for i in range(others)]
    pipe = pipeline([node(add_one, "x", "y"), *nodes])
    with ParallelRunner(process_backend, max_workers=1) as runner:
        assert [runner.run(pipe, {"x": 1})["y"].load() for _ in range(4)] == [1] * 4


@pytest.mark.parametrize("start", ["[]", "numpy.zeros(100, int)", "numpy.zeros(100_000, int)"])
def test_names_of_a_script_begin_anew_in_each_run(tmp_path, start):
    """A list that a script has is as long in each run, and an array as it was."""
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy\n"
        "from motorpool import ParallelRunner, node, pipeline\n"
        f"calls = {start}\n"
        "def count(x):\n"
        "    if isinstance(calls, list):\n"
        "        calls.append(x)\n"
        "        return len(calls)\n"
        "    calls[0] += 1\n"
        "    return int(calls[0])\n"
        "if __name__ == '__main__':\n"
        "    pipe = pipeline(node(count, 'x', 'y'))\n"
        "    with ParallelRunner('direct', max_workers=1, runs_folder=False) as runner:\n"
        "        print([runner.run(pipe, {'x': 1})['y'].load() for _ in range(4)])\n"
    )
    found = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert found.stdout == "[1, 1, 1, 1]\n"


@pytest.mark.parametrize("count", [6, 100])
def test_crash_in_a_later_run_is_blamed_on_its_node(process_backend, recorder, count):
    """Nothing is left of the run before, in which all nodes had ended; the next run is well."""
    pipe = pipeline([node(crash_if_large, f"x{i}", f"y{i}", name=f"n{i}") for i in range(count)])
    small = {f"x{i}": i for i in range(count)}
    options = {"max_workers": 2, "on_failure": "continue", "observers": [recorder]}
    with ParallelRunner(process_backend, **options) as runner:
        for _ in range(3):
            assert runner.run(pipe, small)["y3"].load() == 3
        recorder.events.clear()
        with pytest.raises(WorkerCrashedError) as caught:
            runner.run(pipe, small | {"x3": 5000})
        assert caught.value.node == "n3"
        assert {e.node for e in recorder.of(WorkerLost)} <= {"n3", None}
        assert len(recorder.of(NodeCompleted)) == count - 1
        assert runner.run(pipe, small)["y3"].load() == 3


def test_run_after_one_that_was_stopped_is_whole(process_backend):
    """That workers were told to start nothing more is not for the next run."""
    pipe = pipeline([node(fail_if_odd, f"x{i}", f"y{i}", name=f"n{i}") for i in range(6)])
    even = {f"x{i}": 2 * i for i in range(6)}
    with ParallelRunner(process_backend, max_workers=2) as runner:
        for _ in range(3):
            assert len(runner.run(pipe, even)) == 6
            with pytest.raises(ValueError, match="1 is odd"):
                runner.run(pipe, even | {"x0": 1})


def counting_slowly():
    """Likewise, in such a time that others come in between."""
    calls = []

    def count(x):
        calls.append(x)
        time.sleep(0.02)
        return len(calls)

    return count


class Lent(Executor):
    """An executor that ends when its owner says so."""

    def __init__(self, executor):
        self._executor = executor

    def submit(self, fn, /, *args, **kwargs):
        return self._executor.submit(fn, *args, **kwargs)


def test_two_runs_of_one_plan_at_once_on_one_worker():
    """That of a cluster, say, which both runners use: each run has functions of its own."""
    with ProcessPoolExecutor(1) as executor:

        class Shared(registry.get("process")):
            """Its workers are elsewhere, and are somebody else's as well."""

            capabilities = Capabilities(isolation=Isolation.CLUSTER, shares_memory=False)

            def _get_executor(self, _max_workers):
                return Lent(executor)

        count = counting_slowly()
        pipe = pipeline([node(count, "x", f"y{i}", name=f"n{i}") for i in range(20)])

        def run(_number):
            with ParallelRunner(Shared(), max_workers=1) as runner:
                return sorted(dataset.load() for dataset in runner.run(pipe, {"x": 1}).values())

        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(run, range(2))) == [list(range(1, 21))] * 2


def kept(runner):
    """Whether a runner's workers have a plan that the next run may use."""
    return runner._resources.places[""].pool.sent._last is not None


def test_plan_of_a_run_in_which_something_went_wrong_is_not_used_again(process_backend):
    """A worker may be at it still; nor is one that is large, of which there might be too much."""
    pipe = pipeline(
        [
            node(f, x, f"{x}_out", name=f"n{x}")
            for x, f in [("a", fail_if_odd), ("b", crash_if_large)]
        ]
    )
    data = bytes(2 << 20)
    large = pipeline(node(lambda x: x + len(data), "a", "c"))
    with ParallelRunner(process_backend, max_workers=2) as runner:
        for _ in range(2):
            runner.run(pipe, {"a": 2, "b": 2})
            assert kept(runner)
            with pytest.raises(ValueError, match="3 is odd"):
                runner.run(pipe, {"a": 3, "b": 2})
            assert not kept(runner)
            runner.run(pipe, {"a": 2, "b": 2})
            with pytest.raises(WorkerCrashedError):
                runner.run(pipe, {"a": 2, "b": 5000})
            assert not kept(runner)
            runner.run(pipe, {"a": 2, "b": 2})
            runner.run(large, {"a": 2})
            assert not kept(runner)
    with ParallelRunner(process_backend, max_workers=2, on_failure="continue") as runner:
        runner.run(pipe, {"a": 2, "b": 2})
        with pytest.raises(WorkerCrashedError):
            runner.run(pipe, {"a": 2, "b": 5000})
        assert not kept(runner)


def test_hooks_and_datasets_begin_anew_in_each_run(process_backend, tmp_path):
    """So do plug-ins, and what they have set in the worker is there in each run."""

    class Counts:
        def __init__(self):
            self.runs = []

        @hookimpl
        def motorpool_worker_started(self, run_id):
            self.runs.append(run_id)
            os.environ["RUNS_SEEN"] = f"{len(self.runs)} {run_id}"

    path = tmp_path / "x.pkl"
    PickleDataset(path).save(5)

    def seen(x):
        return x, os.environ["RUNS_SEEN"]

    pipe = pipeline([node(seen, "x", name, name=name) for name in ("y1", "y2", "y3")])
    with ParallelRunner(process_backend, max_workers=1) as runner:
        for name in ("one", "two", "three"):
            found = runner.run(
                pipe, {"x": PickleDataset(path)}, create_hook_manager(Counts()), run_id=name
            )
            assert [d.load() for d in found.values()] == [(5, f"1 {name}")] * 3
            assert kept(runner)


def test_log_of_each_run_is_told_once(process_backend, caplog):
    """Workers write on where they were, and so does the driver read."""

    def speak(x):
        logging.getLogger("of.a.node").warning("said %s", x)
        return x

    pipe = pipeline(node(speak, "x", "y"))
    with ParallelRunner(process_backend, max_workers=1) as runner:
        for i in range(4):
            runner.run(pipe, {"x": i})
    said = [r.getMessage() for r in caplog.records if r.name == "of.a.node"]
    assert said == [f"said {i}" for i in range(4)]


@pytest.mark.parametrize("count", [3, 200])
def test_runs_of_one_plan_leave_no_more_files_than_one(process_backend, count):
    """Of a plan, and of others in between, large or small."""
    pipe = pipeline([node(identity, "x", f"y{i}", name=f"n{i}") for i in range(count)])
    other = pipeline([node(identity, "x", f"z{i}", name=f"m{i}") for i in range(count)])
    with ParallelRunner(process_backend, max_workers=2) as runner:
        counts = []
        for _ in range(4):
            for each in (pipe, pipe, other):
                runner.run(each, {"x": 1})
            folder = runner._resources.places[""].store.scratch()
            kinds = (".outcomes", ".fault")  # as many as workers that have run something
            found = [p for p in folder.glob("**/*") if p.suffix not in kinds] if folder else []
            counts.append(len(found))
    assert counts[0] == counts[-1]


def sent_plan(folder, data):
    """A plan, and what has happened to it."""
    released = []
    files = RunFiles(folder, 3)
    return SentPlan(fingerprint_of([data]), b"head", files, lambda: released.append(1)), released


def test_plan_is_taken_by_a_run_of_the_same_one(tmp_path):
    """One that is taken is not there any more; another one is removed, its folder as well."""
    sent, released = sent_plan(tmp_path, b"one")
    plans = SentPlans()
    assert plans.take(sent.fingerprint) is None
    plans.keep(sent)
    assert plans.take(fingerprint_of([b"o", memoryview(b"ne")])) is sent
    assert plans.take(sent.fingerprint) is None
    plans.keep(sent)
    assert plans.take(fingerprint_of([b"two"])) is None
    assert (released, list(tmp_path.iterdir())) == ([1], [])
    other, _ = sent_plan(tmp_path, b"")
    other.fingerprint = b""  # of one that no other run may have
    plans.keep(other)
    assert plans.take(b"") is None
    assert list(tmp_path.iterdir()) == []


def test_files_are_as_new_for_the_next_run(tmp_path):
    """No stamps, no wish to stop, no outcomes."""
    sent, _ = sent_plan(tmp_path, b"one")
    start, finish = sent.files.status.stampers()
    start(0)
    finish(0)
    start(1)
    sent.files.status.stop()
    sent.files.status.press(waiting=True)
    body = pickle.dumps("old")
    path = sent.files.folder / f"{os.getpid()}.outcomes"
    path.write_bytes(len(body).to_bytes(4, "little") + body)
    plans = SentPlans()
    plans.keep(sent)
    files = plans.take(sent.fingerprint).files
    assert [files.status.finished(0), files.status.running(1)] == [None, None]
    assert (files.status.flags[0], files.status.pressed, files.poll()) == (0, False, [])
    del start, finish


def test_forked_child_leaves_the_plan_alone(tmp_path):
    """It is its parent's, whose workers use it."""
    sent, _ = sent_plan(tmp_path, b"one")
    plans = SentPlans()
    plans.keep(sent)
    if (pid := os.fork()) == 0:
        plans.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert sent.files.folder.exists()
    plans.close()
    assert not sent.files.folder.exists()


def test_run_that_finds_no_room_for_its_files_leaves_nothing(monkeypatch):
    """Neither its plan nor its folder; the next one has room."""
    pipe = pipeline([node(identity, "x", f"y{i}", name=f"n{i}") for i in range(100)])

    def no_room(*_):
        raise OSError(errno.ENOSPC, "no room")

    with ParallelRunner("direct", max_workers=1) as runner:
        runner.run(pipeline(node(identity, "x", "y")), {"x": 1})
        folder = runner._resources.places[""].store.scratch()
        with monkeypatch.context() as patch:
            patch.setattr("motorpool._protocol.status._reserve", no_room)
            with pytest.raises(OSError, match="no room"):
                runner.run(pipe, {"x": 1})
        assert {p.name for p in folder.iterdir()} <= {"lock", "quota", "free"}
        assert runner.run(pipe, {"x": 1})["y3"].load() == 1
