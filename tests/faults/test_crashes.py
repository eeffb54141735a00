"""Workers that die and nodes that hang, on every backend with processes."""

import copy
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import _ExecutorManagerThread
from pathlib import Path

import awkward_functions
import functions
import hook_functions
import numpy as np
import pytest
from functions import append, hang, identity, increment

from motorpool import DataCatalog, ParallelRunner, create_hook_manager, node, pipeline, registry
from motorpool._backends.adapter import probe
from motorpool.errors import BackendError, NodeError, NodeTimeoutError, WorkerCrashedError
from motorpool.events import NodeCompleted, NodeFailed, WorkerLost

DEATHS = {
    "segfault": (functions.segfault, "SIGSEGV"),
    "killed": (functions.kill_self, "SIGKILL"),
    "os_exit": (functions.exit_hard, "code 7"),
}


@pytest.mark.parametrize("death", DEATHS)
def test_crash_is_blamed_on_its_node_and_all_others_run(process_backend, run, recorder, death):
    """Two nodes crash among twenty: two failures, eighteen results, no other node charged."""
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
    failed = recorder.of(NodeFailed)
    assert len(failed) == 1
    assert all(isinstance(e.error, WorkerCrashedError) and e.retried for e in failed)


def test_hanging_node_is_ended_and_its_neighbours_go_on(process_backend, run, recorder):
    """A hard timeout, counted from the start of the node."""
    nodes = [node(increment, "x", f"o{i}", name=f"good{i}") for i in range(6)]
    nodes += [node(functions.hang, "x", "never", name="stuck", timeout=0.5)]
    with pytest.raises(NodeTimeoutError, match="'stuck' ran longer than its timeout of 0.5 s"):
        run(
            process_backend, pipeline(nodes), {"x": 1}, on_failure="continue", observers=[recorder]
        )
    assert len(recorder.of(NodeCompleted)) == 6


def test_processes_of_a_hanging_node_end_with_it(process_backend, run, tmp_path):
    """A tool that hangs is why most nodes hang."""

    def call_tool(path):
        tool = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        Path(path + ".new").write_text(str(tool.pid))
        os.rename(path + ".new", path)
        tool.wait()

    pid_file = tmp_path / "pid"
    limit = 1.0
    while not pid_file.exists():  # a limit that is too short for the node to begin proves nothing
        pipe = pipeline(node(call_tool, "p", "y", timeout=limit))
        with pytest.raises(NodeTimeoutError):
            run(process_backend, pipe, {"p": str(pid_file)})
        limit *= 2
    assert functions.wait_until(lambda: not functions.is_alive(pid_file.read_text()))


def test_timeout_of_the_run_holds_for_every_node(process_backend, run):
    """And a node's own goes before it."""
    pipe = pipeline(
        [
            node(functions.hang, "x", "a", name="stuck"),
            node(lambda x: time.sleep(0.7) or x, "x", "b", name="slow", timeout=functions.LIMIT),
        ]
    )
    with pytest.raises(NodeTimeoutError) as caught:
        run(process_backend, pipe, {"x": 1}, timeout=0.5, on_failure="continue")
    assert caught.value.node == "stuck"


def test_kill_ends_running_nodes(process_backend, run, tmp_path):
    """What runs beside the failing node is ended, and the run with it."""
    started = tmp_path / "started"

    def wait_and_fail(path):
        functions.wait_for(path)
        raise ValueError("enough")

    def start_and_hang(path):
        functions.touch(path)
        threading.Event().wait()

    pipe = pipeline(
        [node(start_and_hang, "p", "a", name="hangs"), node(wait_and_fail, "p", "b", name="fails")]
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
    from motorpool._backends.direct import worker

    monkeypatch.setattr(worker, "worker_main", functions.exit_hard_at_start)
    with pytest.raises(BackendError, match="broke .* times in a row"):
        run("direct", pipeline(node(identity, "x", "y")), {"x": 1})


def test_worker_that_dies_before_its_node_is_not_replaced_for_ever(process_backend, run):
    """A set-up hook that kills the worker: an error after a few tries, on every backend."""
    hooks = create_hook_manager(hook_functions.DeadlySetUp())
    with pytest.raises(BackendError, match="broke .* times in a row"):
        run(process_backend, pipeline(node(identity, "x", "y")), {"x": 1}, hook_manager=hooks)


def test_node_that_crashes_at_each_retry_fails(process_backend, run, recorder):
    """A pool may break again and again, as long as a node is charged each time."""
    pipe = pipeline(node(functions.exit_hard, "x", "y", retries=5))
    with pytest.raises(WorkerCrashedError):
        run(process_backend, pipe, {"x": 1}, observers=[recorder])
    assert [e.attempt for e in recorder.of(NodeFailed)] == [1, 2, 3, 4, 5, 6]


def test_crash_of_one_run_does_not_touch_another(process_backend):
    """Two runs at once on one warm runner: one crashes again and again, one does not notice."""
    crash = pipeline(node(functions.exit_hard, "x", "y", retries=3))
    chain = pipeline([node(increment, f"d{i}", f"d{i + 1}", name=f"n{i}") for i in range(30)])
    with ParallelRunner(process_backend, max_workers=2) as runner, ThreadPoolExecutor(2) as pool:
        bad = pool.submit(runner.run, crash, {"x": 1})
        good = pool.submit(runner.run, chain, {"d0": 0})
        result = good.result()
        assert isinstance(bad.exception(), WorkerCrashedError)
    assert result["d30"].load() == 30


def test_crashed_try_leaves_nothing_in_the_store(process_backend):
    """What a worker had stored before it died is removed, long before the runner closes."""

    def store_and_die(n):
        yield np.ones(100_000)
        os._exit(1)

    def files(runner):
        store = runner._resources.places[""].store
        return [
            p.name
            for p in store.scratch().iterdir()
            if p.is_file() and p.name not in {"lock", "quota"}
        ]

    with ParallelRunner(process_backend, max_workers=1) as runner:
        with pytest.raises(WorkerCrashedError):
            runner.run(pipeline(node(store_and_die, "x", "y", retries=2)), {"x": 1})
        assert files(runner) == []


def test_child_forked_by_a_node_sends_no_result(process_backend, run):
    """Its child comes back into our code and ends there, without an answer of its own."""

    def fork(x):
        import sys

        if os.fork() == 0:
            sys.exit(0)
        return x

    nodes = [node(fork, "x", f"o{i}", name=f"n{i}") for i in range(3)]
    result = run(process_backend, pipeline(nodes), {"x": 1})
    assert [d.load() for d in result.values()] == [1, 1, 1]


def test_future_cancelled_from_outside_is_a_failure():
    """An executor of the caller's own, emptied behind our back: an error, and no endless loop."""

    class Cancelling(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            future = super().submit(fn, *args, **kwargs)
            if fn is not probe:
                future.result()
                future = Future()
                future.cancel()
            return future

    with Cancelling(1) as executor, pytest.raises(NodeError, match="cancelled the node"):
        ParallelRunner(executor).run(
            pipeline([node(identity, "x", "y"), node(identity, "y", "z")]), {"x": 1}
        )


def test_forked_child_leaves_the_parents_workers_and_results_alone():
    """It can neither use the pool nor remove the files."""
    pipe = pipeline(node(np.arange, "n", "big"))
    with ParallelRunner("direct", max_workers=1) as runner:
        result = runner.run(pipe, {"n": 50_000})
        executor = runner._resources.places[""].pool.executor
        child = os.fork()
        if child == 0:
            code = 1
            try:
                executor.submit(increment, 1000)
            except RuntimeError:
                result.clear()
                runner.close()
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert runner.run(pipe, {"n": 50_000})["big"].load()[-1] == 49_999
    assert result["big"].load()[1] == 1
    assert copy.deepcopy(result)["big"].load()[1] == 1


def test_death_of_an_idle_worker_is_not_blamed_on_a_node(process_backend, run, tmp_path, recorder):
    """A node leaves a thread that kills its worker later, while another node runs elsewhere."""

    def leave_a_bomb(path):
        pid = os.getpid()

        def kill():
            functions.wait_for(f"{path}/go")
            os.kill(pid, signal.SIGKILL)

        functions.wait_for(f"{path}/tries")  # the other node is at work in the other worker
        threading.Thread(target=kill, daemon=True).start()
        Path(path, "pid").write_text(str(pid))
        return path

    def innocent(path):
        append(f"{path}/tries", "x")
        functions.wait_for(f"{path}/bomb is done")  # so that its worker is idle
        Path(path, "go").touch()
        functions.wait_until(lambda: not functions.is_alive(Path(path, "pid").read_text()))
        return len(Path(path, "tries").read_text().split())

    class Watch:
        def on_event(self, event):
            if isinstance(event, NodeCompleted) and event.node == "bomb":
                (tmp_path / "bomb is done").touch()

    pipe = pipeline(
        [
            node(leave_a_bomb, "path", "bomb", name="bomb"),
            node(innocent, "path", "tries", name="innocent"),
        ]
    )
    result = run(process_backend, pipe, {"path": str(tmp_path)}, observers=[recorder, Watch()])
    assert recorder.of(NodeFailed) == []
    assert result["tries"].load() >= 1


def test_node_that_terminates_itself_is_blamed(process_backend, run):
    """SIGTERM is also what a pool sends to the others when one of its workers dies."""
    pipe = pipeline(
        [
            node(lambda x: os.kill(os.getpid(), signal.SIGTERM), "x", "y", name="culprit"),
            *(node(increment, "x", f"o{i}", name=f"good{i}") for i in range(4)),
        ]
    )
    with pytest.raises(WorkerCrashedError) as caught:
        run(process_backend, pipe, {"x": 1}, on_failure="continue")
    assert caught.value.node == "culprit"


@pytest.mark.skipif(
    hasattr(_ExecutorManagerThread, "_terminate_broken"),
    reason="a pool of this Python cannot break in the midst of submit, which holds its lock",
)
def test_pool_that_breaks_while_a_worker_is_being_started_is_broken():
    """Its queues are closed by then, which is no error of the run's (soak, seed 9-282)."""
    executor = registry.get("process")().get_executor(2)
    first = executor.submit(hang, None)
    start_process = executor._mp_context.Process

    def start_late(*args, **kwargs):
        while not executor.started[0].pid:
            pass
        os.kill(executor.started[0].pid, signal.SIGKILL)
        functions.wait_until(lambda: executor._call_queue._reader.closed)
        return start_process(*args, **kwargs)

    executor._mp_context.Process = start_late
    with pytest.raises(BrokenExecutor):
        executor.submit(hang, None)
    with pytest.raises(BrokenExecutor):
        first.result()
    executor.shutdown()


@pytest.mark.parametrize("backend", ["process", "loky"])
def test_worker_killed_while_it_waits_for_work_does_not_keep_a_pool_from_ending(backend, tmp_path):
    """It had the lock that the others need to hear that they are to end."""
    executor = registry.get(backend)().get_executor(2)
    busy = executor.submit(functions.wait_for, tmp_path / "gate")
    idle = executor.submit(os.getpid).result()
    manager, lock = executor._executor_manager_thread, executor._call_queue._rlock
    look, may_look = manager.wait_result_broken_or_wakeup, threading.Event()
    results = executor._result_queue._reader

    def look_when_there_is_a_result():
        may_look.wait()
        functions.wait_until(results.poll)
        return look()

    manager.wait_result_broken_or_wakeup = look_when_there_is_a_result
    # The idle worker runs it, and the pool's thread looks at nothing until it may.
    done = executor.submit(increment, 1)

    def is_taken():
        if lock.acquire(timeout=0):
            lock.release()
            return False
        return True

    assert functions.wait_until(lambda: (done.done() or results.poll()) and is_taken())
    os.kill(idle, signal.SIGKILL)
    functions.touch(tmp_path / "gate")
    ending = threading.Thread(target=executor.shutdown)
    ending.start()
    assert functions.wait_until(manager.is_shutting_down)
    may_look.set()
    ending.join()
    assert busy.result() == str(tmp_path / "gate")


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("backend", ["process", "loky"])
def test_worker_killed_while_it_sends_does_not_keep_a_pool_from_ending(backend, others, tmp_path):
    """The pool waits for the rest, and the other worker for the lock (soak, seed 4001-414)."""
    executor = registry.get(backend)().get_executor(1 + others)
    kept = [executor.submit(functions.wait_for, tmp_path / "gate") for _ in range(others)]
    killed = executor.submit(awkward_functions.send_half_a_result, tmp_path / "gate")
    executor.shutdown()
    assert (tmp_path / "gate").exists()
    for future in [killed, *kept]:
        assert isinstance(future.exception(timeout=0), BrokenExecutor)


@pytest.mark.parametrize("backend", ["process", "loky"])
def test_pool_that_is_made_to_end_closes_its_pipe_once(backend, tmp_path):
    """Closed by two threads at once, the descriptor was closed twice (stress, 1 of 3 rounds)."""
    executor = registry.get(backend)().get_executor(1)
    writer = executor._result_queue._writer
    closed, close = [], writer._close

    def close_while_the_pool_does():
        closed.append(writer.fileno())
        if len(closed) == 1:
            close()
            functions.wait_until(lambda: len(closed) > 1, seconds=0.5)

    writer._close = close_while_the_pool_does
    executor.submit(awkward_functions.send_half_a_result, tmp_path / "gate")
    executor.shutdown()
    assert len(closed) == 1
    assert writer.closed


def test_broken_executor_of_the_caller_is_an_error_that_names_what_ran(run):
    """It is not ours to replace; used again, it says that it is broken."""
    with ProcessPoolExecutor(1) as executor:
        nodes = [node(functions.exit_hard, "x", "bad", name="bad")]
        with pytest.raises(BackendError, match="only its owner can make another") as caught:
            run(executor, pipeline(nodes), {"x": 1})
        assert caught.value.node == "bad"
        assert "that ran 'bad' died: it exited with code 7" in "".join(caught.value.__notes__)
        with pytest.raises(BackendError, match="is broken: .* Make a new one"):
            run(executor, pipeline(nodes), {"x": 1})
