"""The direct pool, used alone as an executor; and start methods of local backends."""

import functools
import gc
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import BrokenExecutor, CancelledError, wait
from pathlib import Path

import awkward_functions
import functions
import numpy as np
import pytest
from functions import increment

from motorpool import ParallelRunner, node, pipeline, registry
from motorpool._backends.direct.pool import DirectPool
from motorpool._backends.process import _replaces_workers
from motorpool._engine.pool import Pool
from motorpool.errors import WorkerCrashedError


@pytest.fixture
def pool():
    executor = registry.get("direct")().get_executor(2)
    yield executor
    executor.shutdown()


def test_results_and_exceptions_come_back(pool):
    """Of many tasks, in whatever order they end."""
    futures = [pool.submit(increment, i) for i in range(200)]
    bad = pool.submit(functions.fail, 3)
    assert [f.result() for f in futures] == list(range(1, 201))
    with pytest.raises(ValueError, match="cannot use 3") as caught:
        bad.result()
    assert "raise ValueError" in str(caught.value.__cause__)


def test_large_arguments_and_results_pass(pool):
    """More than a pipe holds, both ways, several at once."""
    data = os.urandom(3_000_000)
    futures = [pool.submit(functions.identity, data) for _ in range(6)]
    assert all(f.result() == data for f in futures)
    assert pool.submit(len, data).result() == len(data)


def test_result_that_does_not_unpickle_is_that_tasks_error(pool):
    """And the pool goes on."""

    class Trap:
        def __reduce__(self):
            return (functions.fail, (1,))

    with pytest.raises(ValueError, match="cannot use 1"):
        pool.submit(lambda: Trap()).result()
    assert pool.submit(increment, 1).result() == 2


def test_unpicklable_task_is_refused_at_once(pool):
    """By `submit`, with nothing sent."""
    with pytest.raises(TypeError, match="stays here"):
        pool.submit(increment, functions.Unpicklable())
    assert pool.submit(increment, 1).result() == 2


def test_worker_that_dies_fails_only_its_own_task(pool):
    """Thirty innocents beside three deaths."""
    good = [pool.submit(increment, i) for i in range(30)]
    bad = [pool.submit(functions.exit_hard, 0) for _ in range(3)]
    wait([*good, *bad])
    assert [f.result() for f in good] == list(range(1, 31))
    for future in bad:
        error = future.exception()
        assert isinstance(error, WorkerCrashedError)
        assert error.exitcode == 7


def test_idle_worker_that_is_killed_is_replaced(pool):
    """No task fails for it."""
    pool.submit(increment, 1).result()
    (pid,) = pool.worker_pids()
    pool.kill_worker(pid)
    while pool.worker_pids():  # until its death is noticed, a task could still be sent to it
        threading.Event().wait(0.01)
    assert pool.submit(increment, 2).result() == 3


def test_worker_that_closes_its_pipe_is_replaced(pool):
    """A node may close any descriptor; it hurts itself only."""
    future = pool.submit(os.closerange, 3, 100)
    assert isinstance(future.exception(), WorkerCrashedError)
    assert pool.submit(increment, 2).result() == 3


class Fatal:
    """Pickles, and keeps a worker that unpickles it from coming up."""

    def __init__(self, function, argument):
        self._call = function, (argument,)

    def __call__(self, value):
        return pickle.dumps(value)

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize(
    ("fatal", "how"),
    [
        (Fatal(os._exit, 3), "exit code 3"),
        (Fatal(awkward_functions.close_everything_and_go_on, 0), "it closed its pipe to the pool"),
    ],
)
def test_workers_that_do_not_come_up_break_the_pool(fatal, how):
    """Not one after the other for ever; how the last one ended is told."""
    pool = DirectPool(
        max_workers=1, context=multiprocessing.get_context("spawn"), dumps=fatal,
        loads=pickle.loads, max_tasks_per_child=None,
    )  # fmt: skip
    try:
        error = pool.submit((increment, (1,), {})).exception()
        assert isinstance(error, BrokenExecutor)
        assert re.match(rf"3 workers in a row did not come up: .* died: {how}", str(error))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def test_child_that_outlives_its_worker_does_not_hide_its_death(pool, tmp_path):
    """The forked child keeps the pipe open; the death is noticed all the same."""
    marker = tmp_path / "pid"

    def fork_and_die(path):
        child = os.fork()
        if child == 0:
            threading.Event().wait(functions.LIMIT)
            os._exit(0)
        with open(path, "w") as file:
            file.write(str(child))
        os._exit(5)

    error = pool.submit(fork_and_die, str(marker)).exception()
    os.kill(int(marker.read_text()), 9)
    assert error.exitcode == 5


def test_queued_tasks_can_be_cancelled(pool, tmp_path):
    """Those that no worker has yet."""
    gate = tmp_path / "gate"

    def wait_for(path):
        while not os.path.exists(path):
            threading.Event().wait(0.01)

    blockers = [pool.submit(wait_for, str(gate)) for _ in range(2)]
    queued = [pool.submit(increment, i) for i in range(5)]
    assert all(f.cancel() for f in queued[2:])
    pool.shutdown(wait=False, cancel_futures=True)
    gate.touch()
    wait(blockers)
    with pytest.raises(CancelledError):
        queued[-1].result()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(increment, 1)


def test_call_is_queued_behind_another_on_its_worker(pool, tmp_path):
    """Whatever else is free; on any worker, if that one is gone."""

    def wait_here(begun, gate):
        functions.touch(begun)
        functions.wait_for(gate)
        return os.getpid()

    paths = [[str(tmp_path / f"{kind}{i}") for kind in ("begun", "gate")] for i in range(2)]
    first, second = (pool.submit(wait_here, *path) for path in paths)
    for begun, _ in paths:
        functions.wait_for(begun)
    lone = pool.lone_calls()
    assert lone.keys() == {first, second}
    assert sorted(lone.values()) == sorted(pool.worker_pids())
    functions.touch(paths[1][1])
    second.result()  # now one worker is idle, and the calls go to the other one
    behind = [pool.submit_behind(lone[first], os.getpid) for _ in range(2)]
    assert pool.lone_calls() == {}
    functions.touch(paths[0][1])
    assert {first.result(), *(f.result() for f in behind)} == {lone[first]}
    pool.kill_worker(lone[first])
    assert functions.wait_until(lambda: lone[first] not in pool.worker_pids())
    assert pool.submit_behind(lone[first], os.getpid).result() not in {lone[first], os.getpid()}


def test_nothing_is_queued_behind_a_call_while_others_wait(pool, tmp_path):
    """It would wait behind these."""
    begun, gate = str(tmp_path / "begun"), str(tmp_path / "gate")

    def wait_here(i):
        functions.touch(begun + str(i))
        functions.wait_for(gate)

    running = [pool.submit(wait_here, i) for i in range(2)]
    for i in range(2):
        functions.wait_for(begun + str(i))
    assert pool.lone_calls().keys() == {*running}
    waiting = [pool.submit(increment, i) for i in range(5)]  # at most one waits at each worker
    assert pool.lone_calls() == {}
    functions.touch(gate)
    assert [f.result() for f in waiting] == [1, 2, 3, 4, 5]


def test_shutdown_finishes_what_there_is_and_may_be_repeated(pool):
    """Work in flight is not lost."""
    futures = [pool.submit(increment, i) for i in range(20)]
    pool.shutdown()
    pool.shutdown()
    assert [f.result() for f in futures] == list(range(1, 21))
    assert pool.worker_pids() == []


def test_garbage_collected_pool_ends_its_workers():
    """Without shutdown, when the last reference is gone."""
    executor = registry.get("direct")().get_executor(1)
    executor.submit(increment, 1).result()
    gone = weakref.ref(executor)
    del executor
    gc.collect()
    assert gone() is None


def test_interpreter_exits_though_shutdown_was_not_called():
    """A script that forgets it ends all the same, and leaves no worker."""
    code = (
        "from motorpool import registry\n"
        "pool = registry.get('direct')().get_executor(2)\n"
        "print(pool.submit(__import__('os').getpid).result())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


@pytest.mark.parametrize("tasks", [1, 3])
def test_worker_is_replaced_after_max_tasks_per_child(tasks):
    """max_tasks_per_child, without the standard library's hang."""
    with registry.get("direct")(max_tasks_per_child=tasks).get_executor(1) as executor:
        pids = [f.result() for f in [executor.submit(os.getpid) for _ in range(7)]]
    assert max(map(pids.count, pids)) == tasks
    assert len(set(pids)) == -(-7 // tasks)


def test_worker_whose_task_left_a_thread_is_ended(pool):
    """A node may start a thread that never ends; the pool does."""

    def leave_a_thread():
        threading.Thread(target=functions.hang, args=(0,)).start()
        return os.getpid()

    assert pool.submit(leave_a_thread).result() != os.getpid()
    assert pool.submit(increment, 1).result() == 2


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("backend", ["direct", "process", "multiprocess"])
def test_every_start_method_runs_closures_and_reports_crashes(backend, method):
    """And a script needs no guard around its main part."""
    offset = 5
    pipe = pipeline(
        [
            node(lambda x: x + offset, "x", "y", name="closure"),
            node(functools.partial(os._exit), "x", "z", name="dies"),
        ]
    )
    runner = ParallelRunner(backend, 2, start_method=method, on_failure="continue")
    with pytest.raises(WorkerCrashedError) as caught:
        runner.run(pipe, {"x": 1})
    assert caught.value.node == "dies"


def test_max_tasks_per_child_of_process_is_refused_on_pythons_where_it_hangs():
    """Unless this Python has the fix; one task a worker always works."""
    from motorpool.errors import BackendOptionError

    pipe = pipeline([node(increment, "x", f"o{i}", name=f"n{i}") for i in range(6)])
    runner = ParallelRunner("process", 2, max_tasks_per_child=1)
    assert runner.run(pipe, {"x": 1}).summary.completed == 6
    if _replaces_workers():
        assert sys.version_info >= (3, 13)
        runner = ParallelRunner("process", 2, max_tasks_per_child=2)
        assert runner.run(pipe, {"x": 1}).summary.completed == 6
    else:
        assert sys.version_info < (3, 14, 8)
        with pytest.raises(BackendOptionError, match="hang.*direct"):
            ParallelRunner("process", 2, max_tasks_per_child=2)


@pytest.mark.parametrize("backend", ["direct", "process", "multiprocess"])
def test_sigterm_ends_forked_workers_whatever_the_drivers_handler(backend):
    """Whatever handler the driver has: pools end their workers so, and wait for them."""
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        executor = registry.get(backend)(start_method="fork").get_executor(1)
        pid = executor.submit(os.getpid).result()
        future = executor.submit(functions.hang, 0)
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(Exception, match="died|terminated abruptly"):
            future.result()
        executor.shutdown()
    finally:
        signal.signal(signal.SIGTERM, previous)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_runner_inside_a_node_whatever_the_start_method(method):
    """A forked worker starts workers of its own."""

    def nested(x):
        inner = pipeline(node(increment, "x", "y"))
        return ParallelRunner("direct", 1, start_method=method).run(inner, {"x": x})["y"].load()

    outer = ParallelRunner("direct", 1, start_method=method)
    assert outer.run(pipeline(node(nested, "x", "y")), {"x": 1})["y"].load() == 2


def test_work_in_flight_is_done_before_the_interpreter_ends(tmp_path):
    """As with the standard library's pools."""
    code = (
        "import sys; from motorpool import registry\n"
        "from pathlib import Path\n"
        "pool = registry.get('direct')().get_executor(1)\n"
        f"for i in range(4): pool.submit(Path({str(tmp_path)!r}, str(i)).touch)\n"
        "pool.shutdown(wait=False)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2", "3"]


def test_callable_that_changed_between_calls_is_pickled_again(pool):
    """What is pickled by name is sent again as before; an object is pickled anew."""

    class Adder:
        def __init__(self, n):
            self.n = n

        def __call__(self, data):
            return self.n + len(data)

        def __eq__(self, other):
            return True

        __hash__ = None

    adder = Adder(1)
    assert pool.submit(adder, b"x").result() == 2
    adder.n = 10
    assert pool.submit(adder, b"x").result() == 11


def test_pool_killed_while_workers_start_runs_no_queued_task(tmp_path):
    """What waits is given up at once: no worker that comes up later runs it, and nothing waits."""
    for delay in (0.0, 0.005, 0.02, 0.05, 0.1):  # at several moments; each will do
        backend = registry.get("direct")()
        pool = Pool(backend, 2)
        futures = [pool.executor.submit(functions.hang, 1) for _ in range(6)]
        time.sleep(delay)
        executor = pool.executor
        pool.kill()
        executor.shutdown(wait=True)
        assert all(f.done() for f in futures)


def test_node_goes_to_the_worker_that_made_its_largest_input(tmp_path):
    """Of two idle workers; the other one would be the first to be asked."""
    made, blocked = str(tmp_path / "made"), str(tmp_path / "blocked")

    def block(x):
        functions.touch(blocked)
        functions.wait_for(made)
        return os.getpid()

    def make(x):
        functions.wait_for(blocked)  # else one worker could do both, one after the other
        array = np.full(2**20, x)
        functions.touch(made)
        return array, os.getpid()

    pipe = pipeline(
        [
            node(block, "x", "blocker", name="a_block"),
            node(make, "x", ["large", "maker"], name="b_make"),
            node(lambda _, __: os.getpid(), ["large", "blocker"], "reader", name="c_read"),
        ]
    )
    with ParallelRunner("direct", max_workers=2) as runner:
        for turn in range(5):
            for path in (made, blocked):
                Path(path).unlink(missing_ok=True)
            result = runner.run(pipe + _shown("maker", "blocker", "reader"), {"x": turn})
            pids = result["pids"].load()
            assert pids[2] == pids[0] != pids[1]


def _shown(*names):
    return pipeline(node(lambda *pids: pids, list(names), "pids", name="d_show"))


WARY = """
import sys
import numpy as np
from motorpool import DataCatalog, ParallelRunner, node, pipeline

def fail(x):
    raise ValueError("expected")

if __name__ == "__main__":
    options = {"start_method": sys.argv[2]} if len(sys.argv) > 2 else {}
    pipe = pipeline([node(np.zeros, "n", "array"), node(np.sum, "array", "total")])
    with ParallelRunner(sys.argv[1], 2, **options) as runner:
        for _ in range(2):
            runner.run(pipe, DataCatalog({"n": 300_000}))
        try:
            runner.run(pipeline(node(fail, "n", "y")), DataCatalog({"n": 1}))
        except ValueError:
            pass
"""


@pytest.fixture
def complaints(tmp_path):
    """Run a script with all warnings on, in workers too; return what was said of resources."""

    def run(*arguments):
        script = tmp_path / "wary.py"
        script.write_text(WARY)
        done = subprocess.run(
            [sys.executable, "-W", "default", str(script), *arguments], capture_output=True,
            text=True, check=False, cwd=tmp_path, timeout=100,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [line for line in done.stderr.splitlines() if "ResourceWarning" in line]

    return run


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
@pytest.mark.parametrize("backend", ["direct", "process", "multiprocess", "pebble"])
def test_nothing_is_left_open(complaints, backend, method):
    """By the driver or by workers, however these start."""
    assert complaints(backend, method) == []


@pytest.mark.parametrize("backend", ["sequential", "threads", "loky", "executorlib"])
def test_nothing_is_left_open_on_other_backends(complaints, backend):
    """The same."""
    assert complaints(backend) == []
