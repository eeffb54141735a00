"""Executors that break the contract: each breach is an error that names backend, node and rule."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import functions
import pytest
from functions import identity, increment

from motorpool import (
    Capabilities,
    DataCatalog,
    ExecutorBackend,
    Isolation,
    ParallelRunner,
    node,
    pipeline,
    registry,
)
from motorpool._engine import watchdog
from motorpool._system import activity
from motorpool.errors import BrokenBackendError, NodeTimeoutError, WorkerCrashedError
from motorpool.events import NodeCompleted, NodeFailed

TWO = pipeline([node(increment, "a", "b", name="first"), node(increment, "a", "c", name="second")])


class SubmitRaises(ProcessPoolExecutor):
    """Takes no call."""

    def submit(self, fn, /, *args, **kwargs):
        raise ValueError("no room")


class NoFuture(ProcessPoolExecutor):
    """Forgets to return the future."""

    def submit(self, fn, /, *args, **kwargs):
        super().submit(fn, *args, **kwargs)


class WrongResult(ProcessPoolExecutor):
    """Wraps results."""

    def submit(self, fn, /, *args, **kwargs):
        inner, outer = super().submit(fn, *args, **kwargs), Future()
        inner.add_done_callback(lambda done: outer.set_result({"result": done.result()}))
        return outer


class LosesFutures(ProcessPoolExecutor):
    """Runs calls of more than one argument less than others: their futures are never done."""

    def submit(self, fn, /, *args, **kwargs):
        future = super().submit(fn, *args, **kwargs)
        return Future() if args else future


class LosesCalls(ProcessPoolExecutor):
    """Runs nothing."""

    def submit(self, fn, /, *args, **kwargs):
        return Future()


class LosesFuturesOfThreads(ThreadPoolExecutor):
    """The same as with processes."""

    def submit(self, fn, /, *args, **kwargs):
        future = super().submit(fn, *args, **kwargs)
        return Future() if args else future


class RunsTwice(ProcessPoolExecutor):
    """Runs each call a second time, as executors do that have lost a worker and its result."""

    def submit(self, fn, /, *args, **kwargs):
        return super().submit(functions.call_twice, fn, *args, **kwargs)


class ShutdownRaises(ProcessPoolExecutor):
    """Ends its workers, and says that it could not."""

    def shutdown(self, wait=True, *, cancel_futures=False):
        super().shutdown(wait, cancel_futures=cancel_futures)
        raise OSError("no way down")


class ExpiredError(Exception):
    """What a pool of somebody else's says of a worker that has died."""

    def __init__(self, exitcode):
        super().__init__("a worker has expired")
        self.exitcode = exitcode


CALL = """
import pickle, sys
fn, args = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps(fn(*args)))
"""


class Singles(Executor):
    """Runs each call in a process of its own, and has its own words for those that die."""

    def __init__(self, notices, prefix=()):
        self.notices, self.prefix = notices, prefix
        self.processes = []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        threading.Thread(target=self._run, args=(future, fn, args), daemon=True).start()
        return future

    def _run(self, future, fn, args):
        process = subprocess.Popen(
            [*self.prefix, sys.executable, "-c", CALL],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        self.processes.append(process)
        process.stdin.write(pickle.dumps((fn, args)))
        process.stdin.close()
        with process.stdout:
            result = process.stdout.read()
        if result:
            future.set_result(pickle.loads(result))
        elif self.notices:
            future.set_exception(ExpiredError(process.wait()))

    def shutdown(self, wait=True, *, cancel_futures=False):
        for process in self.processes:
            process.kill()
            process.wait()


def backend_of(make, isolation=Isolation.PROCESS):
    """A backend whose executor `make` makes."""

    class Bad(ExecutorBackend):
        name = "bad"
        capabilities = Capabilities(isolation=isolation)

        def _get_executor(self, max_workers):
            return make(max_workers)

    return Bad()


@pytest.fixture
def _impatient(monkeypatch):
    """The watchdog waits for a part of the time."""
    monkeypatch.setattr(watchdog, "_INTERVAL", 0.1)
    for name, seconds in {"_PATIENCE": 2, "_SILENCE": 2, "_START": 4, "_UNNOTICED": 1}.items():
        monkeypatch.setattr(watchdog, name, seconds)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SubmitRaises, "`submit` raised ValueError: no room"),
        (NoFuture, "`submit` returned None"),
        (WrongResult, "the result of a future was a dict: {'result': b"),
    ],
)
def test_breach_names_backend_node_and_rule(kind, text):
    """At once, and the other node fails by itself."""
    with pytest.raises(ExceptionGroup) as caught:
        ParallelRunner(backend_of(kind), 1, on_failure="continue").run(TWO, DataCatalog({"a": 1}))
    errors = caught.value.exceptions
    assert {type(e) for e in errors} == {BrokenBackendError}
    assert {(e.node, e.backend) for e in errors} == {("first", "bad"), ("second", "bad")}
    for error in errors:
        assert f"backend 'bad' breaks its contract, at the node {error.node!r}: {text}" in str(
            error
        )
        assert "What the contract asks: it " in str(error)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("kind", "isolation"),
    [
        (LosesFutures, Isolation.PROCESS),
        (LosesCalls, Isolation.PROCESS),
        (LosesFuturesOfThreads, Isolation.THREAD),
    ],
)
def test_lost_nodes_fail(kind, isolation):
    """Nothing is heard of them, and nothing runs."""
    runner = ParallelRunner(backend_of(kind, isolation), 2, on_failure="continue", fuse=False)
    with pytest.raises((ExceptionGroup, BrokenBackendError)) as caught:
        runner.run(TWO, DataCatalog({"a": 1}))
    errors = getattr(caught.value, "exceptions", [caught.value])
    assert all(isinstance(e, BrokenBackendError) for e in errors)
    assert "nothing has been heard of the node for" in str(errors[0])
    assert errors[0].node in {"first", "second"}


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("backend", ["direct", "process", "threads"])
def test_patience_is_not_tried_by_nodes_that_run_for_long_or_wait(backend):
    """One sleeps for longer than the watchdog waits, and the others wait for its worker."""
    nodes = [node(lambda seconds: time.sleep(seconds) or seconds, "long", "b", name="sleeps")]
    nodes += [node(increment, "a", f"c{i}") for i in range(8)]
    result = ParallelRunner(backend, 1).run(pipeline(nodes), DataCatalog({"a": 1, "long": 5.0}))
    assert result["c7"].load() == 2


@pytest.mark.usefixtures("_impatient")
def test_death_that_the_executor_misses_is_noticed():
    """With the exit code, as the system has it, and what the contract asks as the cause."""
    nodes = [node(functions.exit_hard, "a", "b", name="dies"), node(identity, "a", "c", name="ok")]
    made = []
    backend = backend_of(lambda _: made.append(Singles(notices=False)) or made[-1])
    seen = []
    with pytest.raises(WorkerCrashedError, match="'dies' died: it exited with code 7") as caught:
        ParallelRunner(backend, 2, on_failure="continue", observers=[Seen(seen)]).run(
            pipeline(nodes), DataCatalog({"a": 1})
        )
    assert caught.value.node == "dies"
    assert isinstance(caught.value.__cause__, BrokenBackendError)
    assert "its worker has been dead" in str(caught.value.__cause__)
    assert [e.node for e in seen if isinstance(e, NodeCompleted)] == ["ok"]


@pytest.mark.usefixtures("_impatient")
def test_death_that_an_executor_of_the_callers_own_misses_disturbs_no_other_node(tmp_path):
    """It is neither replaced nor ended: what else it runs goes on, and runs once."""
    path, gate = str(tmp_path / "ran"), str(tmp_path / "gate")

    def note_and_wait(gate):
        functions.append(path, "once")
        return functions.wait_for(gate)

    nodes = [
        node(functions.exit_hard, "a", "b", name="dies"),
        node(note_and_wait, "gate", "c", name="waits"),
    ]
    opens = threading.Event()

    class Opens:
        def on_event(self, event):
            if isinstance(event, NodeFailed):
                functions.touch(gate)
                opens.set()

    with Singles(notices=False) as executor:
        runner = ParallelRunner(executor, 2, on_failure="continue", observers=[Opens()])
        with pytest.raises(WorkerCrashedError, match="'dies' died: it exited with code 7"):
            runner.run(pipeline(nodes), DataCatalog({"a": 1, "gate": gate}))
    assert opens.is_set()
    assert Path(path).read_text().split() == ["once"]


ELSEWHERE = ["unshare", "--pid", "--fork", "--mount-proc"]


def test_process_ids_of_a_container_are_not_taken_for_those_of_this_host():
    """It shares files, and not processes: a number of its own means another one here."""
    allowed = subprocess.run(["bash", "-c", f"{' '.join(ELSEWHERE)} true"], check=False)
    if allowed.returncode:
        pytest.skip("a namespace of process ids needs unshare and rights that this user lacks")
    with Singles(notices=False, prefix=ELSEWHERE) as executor:
        backend = registry.resolve(executor)
        assert backend.capabilities.isolation is Isolation.CLUSTER
        result = ParallelRunner(executor, 2).run(TWO, DataCatalog({"a": 1}))
        assert result["c"].load() == 2


class Seen:
    """Keeps events."""

    def __init__(self, events):
        self.on_event = events.append


def test_death_in_the_pools_own_words_is_a_crash_of_the_node():
    """With the exit code that its exception has."""
    pipe = pipeline(node(functions.exit_hard, "a", "b", name="dies"))
    with pytest.raises(WorkerCrashedError, match="'dies' died: it exited with code 7") as caught:
        ParallelRunner(backend_of(lambda _: Singles(notices=True)), 1).run(
            pipe, DataCatalog({"a": 1})
        )
    assert caught.value.exitcode == 7
    assert isinstance(caught.value.__cause__, ExpiredError)


def test_deadline_in_the_pools_own_words_is_a_timeout_of_the_node():
    """The engine has ended the worker, and the pool says that one has expired."""
    pipe = pipeline(node(functions.hang, "a", "b", name="hangs", timeout=0.5))
    with pytest.raises(NodeTimeoutError, match="'hangs' ran longer than its timeout of 0.5 s"):
        ParallelRunner(backend_of(lambda _: Singles(notices=True)), 1).run(
            pipe, DataCatalog({"a": 1})
        )


def test_what_has_come_before_counts_once(recorder, tmp_path):
    """The first call is heard of while it runs; the second one says all of it once more."""
    marked = {"x": 0, "mark": str(tmp_path / "mark")}
    slow = functions.slow_once  # in its first node only, so the second call tells of all at once
    pipe = pipeline(
        [
            node(increment, "x", "a", name="a"),
            node(slow, ["a", "mark"], "b", name="b"),
            node(slow, ["b", "mark"], "c", name="c"),
            node(increment, "c", "d", name="d"),
        ]
    )
    with RunsTwice(1) as executor:
        result = ParallelRunner(executor, observers=[recorder]).run(pipe, marked)
    assert result["d"].load() == 4
    assert sorted(e.node for e in recorder.of(NodeCompleted)) == ["a", "b", "c", "d"]
    assert len(result.summary.nodes) == 4


def test_shutdown_that_raises_costs_no_results(caplog):
    """It is logged."""
    result = ParallelRunner(backend_of(ShutdownRaises), 2).run(TWO, DataCatalog({"a": 1}))
    assert result["c"].load() == 2
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "backend 'bad' breaks its contract: `shutdown` raised" in record.message
    assert "no way down" in str(record.exc_info[1])


@pytest.mark.parametrize("death", [functions.kill_self, functions.exit_hard])
def test_broken_executor_of_the_callers_own_names_who_broke_it(death, tmp_path):
    """Though two nodes ran; the pool cannot be had again."""
    gate = str(tmp_path / "never")
    nodes = [node(death, "a", "b", name="dies"), node(functions.hang, "p", "c", name="innocent")]
    catalog = DataCatalog({"a": 1, "p": gate})
    with ProcessPoolExecutor(2) as executor, pytest.raises(Exception, match="broken") as caught:
        ParallelRunner(executor).run(pipeline(nodes), catalog)
    (note,) = [n for n in caught.value.__notes__ if "It broke when" in n]
    assert "'dies' died: it " in note
    assert "innocent" not in note
    assert caught.value.node == "dies"


def test_what_the_system_knows_of_a_process():
    """Alive, dead and not reaped, gone."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        pid = process.pid
        assert not activity.is_gone(pid)
        assert not activity.is_ending(pid)
        assert activity.exit_code(pid) is None
        process.send_signal(signal.SIGKILL)
        assert activity.ends(pid)
        assert activity.is_ending(pid)
        assert activity.exit_code(pid) == -signal.SIGKILL
        process.wait()
        assert activity.is_ending(pid)
        assert activity.is_gone(pid)
        assert activity.exit_code(pid) is None
        assert activity.used_seconds([pid]) == 0.0
    assert activity.used_seconds([os.getpid()]) > 0


STOPPED = """
import functools, threading, time
from concurrent.futures import ProcessPoolExecutor
from motorpool import ExecutorBackend, ParallelRunner, node, pipeline
from motorpool._engine import watchdog

class Late(ExecutorBackend):
    def _get_executor(self, max_workers):
        return ProcessPoolExecutor(max_workers, initializer=functools.partial(time.sleep, 1.0))

watchdog._INTERVAL, watchdog._PATIENCE = 0.05, 0.5
watchdog._SILENCE = watchdog._START = 4.0
threading.Timer(0.5, lambda: print("waiting", flush=True)).start()
pipe = pipeline([node(lambda x, i=i: x + i, "x", f"y{i}") for i in range(4)])
result = ParallelRunner(Late(), 2, runs_folder=False).run(pipe, {"x": 1})
print(sum(dataset.load() for dataset in result.values()))
"""


def test_run_that_was_stopped_for_long_goes_on(tmp_path):
    """As by Ctrl-Z: what was not heard meanwhile is no sign of anything."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "waiting\n"
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(5)  # longer than the watchdog waits
        os.killpg(process.pid, signal.SIGCONT)
        assert process.stdout.read() == "10\n"
    assert process.returncode == 0
