"""Faults: workers that die or hang, who is to blame, and that no other task suffers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

import psutil
import pytest

from motorpool import node, pipeline
from motorpool.errors import NodeTimeoutError, WorkerCrashedError
from motorpool.testing import _tasks as tasks
from motorpool.testing._harness import Harness, wait_until
from motorpool.testing._marks import level, needs

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from motorpool.testing._gate import Gate

_DRIVER = """
import base64, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
sys.path[:] = {path!r}
import cloudpickle
from motorpool import ParallelRunner, node, pipeline
from motorpool.testing import _tasks as tasks
backend = cloudpickle.loads(base64.b64decode({backend!r}))
nodes = [node(tasks.wait_at, ["ticket", f"n{{i}}"], f"o{{i}}", name=f"n{{i}}") for i in range(2)]
data = {{"ticket": tuple({ticket!r}), "n0": 0, "n1": 1}}
ParallelRunner(backend, max_workers=2).run(pipeline(nodes), data)
"""


@level("faults")
class FaultTests(Harness):
    """Death, blame, hangs, and the end of the driver."""

    @needs("isolation")
    @pytest.mark.parametrize("how", tasks.DEATHS)
    def test_death_is_answered(self, how: str) -> None:
        """By an exception of the future, however the worker dies."""
        with self.executor(1) as executor:
            _, error = self.answer(executor.submit(tasks.die, how), f"A task that dies ({how})")
            kinds = (BrokenExecutor, WorkerCrashedError)
            assert isinstance(error, kinds), (
                f"A worker died ({how}) and its task came to {error!r}; it must fail with "
                "WorkerCrashedError, or BrokenExecutor if it is not known which task it was."
            )

    @needs("isolation", "restarts")
    @pytest.mark.parametrize("how", tasks.DEATHS)
    def test_death_is_blamed_on_its_node(self, how: str, tmp_path: Path) -> None:
        """By name; every independent node runs, and is charged with nothing."""
        path = tmp_path / "ran"
        nodes = [node(tasks.die, "how", "never", name="culprit")]
        nodes += [node(tasks.note, ["path", f"i{i}"], f"o{i}", name=f"n{i}") for i in range(10)]
        data = {"how": how, "path": str(path), **{f"i{i}": i for i in range(10)}}
        with pytest.raises(WorkerCrashedError) as caught:
            self.run(pipeline(nodes), data, on_failure="continue")
        assert caught.value.node == "culprit", (
            f"The node 'culprit' killed its worker ({how}), and {caught.value.node!r} is blamed."
        )
        ran = set(path.read_text().split())
        missing = sorted({str(i) for i in range(10)} - ran)
        assert not missing, f"Innocent nodes {missing} never ran."

    @needs("isolation", "restarts")
    def test_runner_goes_on_after_a_death(self) -> None:
        """The next run on warm workers is as any other."""
        with self.runner() as runner:
            for _ in range(2):
                with pytest.raises(WorkerCrashedError):
                    self.within(
                        "A run whose worker died has not ended",
                        runner.run, pipeline(node(tasks.die, "how", "y")), {"how": "kill"},
                    )  # fmt: skip
                pipe = pipeline(node(tasks.increment, "x", "y"))
                assert runner.run(pipe, {"x": 1})["y"].load() == 2

    @needs("isolation", "ends_nodes")
    def test_death_before_the_first_task_is_answered(self) -> None:
        """When a worker is killed as it starts; shutdown does not wait for it."""
        backend = self.make()
        executor = backend.get_executor(1)
        future = executor.submit(tasks.echo, 1)
        seen = wait_until(lambda: bool(backend.worker_pids(executor)), self.patience)
        assert seen, "A task was submitted, and worker_pids names no worker."
        for pid in backend.worker_pids(executor):
            backend.kill_worker(executor, pid)
        value, error = self.answer(future, "The task of a worker that was killed as it started")
        assert value == 1 or isinstance(error, (BrokenExecutor, WorkerCrashedError)), (
            f"A worker was killed as it started, and its task came to {error or value!r}."
        )
        self.within("shutdown has not returned", executor.shutdown)

    @needs("isolation", "shares_memory")
    def test_death_of_idle_workers_is_answered(self, gate: Gate) -> None:
        """By a result of new workers, or by an exception: of `submit`, or of every future."""
        with self.executor(2) as executor:
            self._kill_idle_workers(executor, gate)
            try:
                futures = [executor.submit(tasks.echo, i) for i in range(10)]
            except BrokenExecutor:
                return
            for i, future in enumerate(futures):
                value, error = self.answer(future, f"Task {i}, submitted after idle workers died,")
                kinds = (BrokenExecutor, WorkerCrashedError)
                assert value == i or isinstance(error, kinds), (
                    f"Idle workers died, and a later task came to {error or value!r}; it must "
                    "have its result, or fail with BrokenExecutor or WorkerCrashedError."
                )

    @needs("isolation", "shares_memory", "restarts")
    def test_runner_goes_on_after_idle_workers_died(self, gate: Gate) -> None:
        """As the system may kill them between two runs."""
        with self.runner(2, fuse=False) as runner:
            pipe = pipeline(node(tasks.increment, "x", f"y{i}", name=f"n{i}") for i in range(10))
            nodes = [node(tasks.wait_at, ["ticket", f"n{i}"], f"o{i}") for i in range(2)]
            started = threading.Thread(
                target=runner.run,
                args=(pipeline(nodes), {"ticket": gate.ticket, "n0": 0, "n1": 1}),
            )
            started.start()
            assert gate.wait_for(2, self.patience), "Two nodes have not begun on two workers."
            gate.open()
            started.join()
            _kill({arrival.pid for arrival in gate.arrivals}, self.patience)
            found = self.within(
                "A run on workers that died before it has not ended", runner.run, pipe, {"x": 1}
            )
            assert [found[f"y{i}"].load() for i in range(10)] == [2] * 10

    def _kill_idle_workers(self, executor: Executor, gate: Gate) -> None:
        """Let two workers do a task each, and kill them when they have done it."""
        futures = [executor.submit(tasks.wait_at, gate.ticket, i) for i in range(2)]
        assert gate.wait_for(2, self.patience), "Two tasks have not begun on two workers."
        gate.open()
        for future in futures:
            self.result(future, "A task that waited")
        _kill({arrival.pid for arrival in gate.arrivals}, self.patience)

    @needs("isolation", "exact_blame")
    def test_only_the_culprit_fails(self, gate: Gate) -> None:
        """Its neighbour, under way in another worker, has its result; so has what was queued."""
        with self.executor(2) as executor:
            neighbour = executor.submit(tasks.wait_at, gate.ticket, "neighbour")
            assert gate.wait_for(1, self.patience), "The first task has not begun."
            culprit = executor.submit(tasks.die, "kill")
            queued = [executor.submit(tasks.echo, i) for i in range(10)]
            _, error = self.answer(culprit, "The task that died")
            assert isinstance(error, WorkerCrashedError), (
                f"`exact_blame` is declared, and the culprit's error is {error!r}."
            )
            gate.open()
            for i, future in enumerate([neighbour, *queued]):
                value = self.result(future, f"`exact_blame` is declared, and innocent task {i}")
                assert value in {"neighbour", *range(10)}

    @needs("isolation", "exact_blame")
    def test_exit_code_is_told(self) -> None:
        """By the error itself: negative for a signal."""
        with self.executor(1) as executor:
            for how, code in (("kill", -signal.SIGKILL), ("exit", 13)):
                _, error = self.answer(executor.submit(tasks.die, how), "A task that died")
                told = getattr(error, "exitcode", None)
                assert told == code, f"The worker ended with {code}, and the error says {told}."

    @needs("isolation", "kills_workers")
    def test_one_worker_is_killed(self, gate: Gate) -> None:
        """And its neighbour goes on."""
        backend = self.make()
        executor = backend.get_executor(2)
        futures = {i: executor.submit(tasks.wait_at, gate.ticket, i) for i in range(2)}
        assert gate.wait_for(2, self.patience), "Two tasks have not begun on two workers."
        victim, neighbour = gate.arrivals[:2]
        backend.kill_worker(executor, victim.pid)
        _, error = self.answer(futures[victim.name], "The task of a worker that was killed")
        assert error is not None, "A worker was killed, and its task has a result."
        gate.open()
        text = "`kills_workers` is declared, and the task of a neighbour of one that was killed"
        assert self.result(futures[neighbour.name], text) == neighbour.name
        self.within("shutdown has not returned", executor.shutdown)

    @needs("isolation", "ends_nodes")
    def test_worker_pids_are_those_of_workers(self, gate: Gate) -> None:
        """All that run something, and none that has ended."""
        backend = self.make()
        executor = backend.get_executor(2)
        futures = [executor.submit(tasks.wait_at, gate.ticket, i) for i in range(2)]
        assert gate.wait_for(2, self.patience), "Two tasks have not begun on two workers."
        told, busy = set(backend.worker_pids(executor)), set(gate.pids())
        assert busy <= told, (
            f"Tasks run in {sorted(busy)}, and worker_pids says {sorted(told)}: a worker that "
            "hangs could not be ended."
        )
        dead = [pid for pid in told if not psutil.pid_exists(pid)]
        assert not dead, f"worker_pids names {dead}, which do not exist."
        gate.open()
        for future in futures:
            self.result(future, "A task")
        self.within("shutdown has not returned", executor.shutdown)

    @needs("isolation", "ends_nodes")
    def test_hang_is_ended(self) -> None:
        """By the node's deadline; the others run."""
        nodes = [node(tasks.hang, "x", "never", name="hangs", timeout=1.0)]
        nodes += [node(tasks.increment, "x", f"y{i}", name=f"n{i}") for i in range(4)]
        with pytest.raises(NodeTimeoutError, match="hangs"):
            self.run(pipeline(nodes), {"x": 1}, on_failure="continue")

    @needs("isolation", "ends_nodes")
    def test_kill_ends_what_runs(self, tmp_path: Path) -> None:
        """With `on_failure="kill"`, a failure does not wait for a node that hangs."""
        fifo = str(tmp_path / "begun")
        os.mkfifo(fifo)
        nodes = [
            node(tasks.tell_and_hang, "fifo", "never", name="hangs"),
            node(tasks.fail_when_told, "fifo", "none", name="culprit"),
        ]
        with pytest.raises(ValueError, match="told"):
            self.run(pipeline(nodes), {"fifo": fifo}, on_failure="kill")

    @needs("isolation", "places_tasks")
    def test_task_runs_where_it_is_sent(self, gate: Gate) -> None:
        """`submit_near` prefers the worker that it names, if that is free."""
        with self.executor(2) as executor:
            futures = [executor.submit(tasks.wait_at, gate.ticket, i) for i in range(2)]
            assert gate.wait_for(2, self.patience), "Two tasks have not begun on two workers."
            gate.open()
            for future in futures:
                self.result(future, "A task")
            for pid in gate.pids() * 3:
                near = executor.submit_near(pid, tasks.pid)  # type: ignore[attr-defined]
                found = self.result(near, "A task for a certain worker")
                assert found == pid, f"A task for the idle worker {pid} ran in {found}."

    @needs("isolation", "queues_tasks")
    def test_task_queues_behind_another(self, gate: Gate) -> None:
        """`submit_behind` queues a call on a worker that is busy, and `lone_calls` says which."""
        with self.executor(2) as executor:
            futures = [executor.submit(tasks.wait_at, gate.ticket, i) for i in range(2)]
            assert gate.wait_for(2, self.patience), "Two tasks have not begun on two workers."
            lone, pids = executor.lone_calls(), sorted(gate.pids())  # type: ignore[attr-defined]
            complaint = f"lone_calls has {lone} of {futures}, on the workers {pids}."
            assert lone.keys() == {*futures} and sorted(lone.values()) == pids, complaint  # noqa: PT018
            behind = [executor.submit_behind(pid, tasks.pid) for pid in pids]  # type: ignore[attr-defined]
            gate.open()
            ran = [self.result(future, "A task that was queued") for future in behind]
            assert ran == pids, f"Tasks that were queued on the workers {pids} ran in {ran}."

    @needs("isolation", "shares_memory")
    @pytest.mark.parametrize("number", ["SIGKILL", "SIGINT"])
    def test_workers_end_with_the_driver(self, gate: Gate, number: str) -> None:
        """Whether it is killed or interrupted, in the middle of a run."""
        script = subprocess.Popen(  # noqa: S603, our own
            [sys.executable, "-c", self._driver(gate)], stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            assert gate.wait_for(2, self.patience), "Two nodes have not begun on two workers."
            script.send_signal(getattr(signal, number))
            script.wait(self.patience)
            pids = gate.pids()
            gone = wait_until(lambda: not any(map(psutil.pid_exists, pids)), self.patience)
            assert gone, (
                f"{self.patience:g} s after the driver's {number}, workers {pids} still live."
            )
        except subprocess.TimeoutExpired:
            pytest.fail(f"The driver has not ended {self.patience:g} s after {number}.")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGKILL)
            script.wait()

    def _driver(self, gate: Gate) -> str:
        return self.in_script(_DRIVER, ticket=tuple(gate.ticket))


def _kill(pids: set[int], patience: float) -> None:
    """Kill processes, and wait until they have ended."""
    processes = [psutil.Process(pid) for pid in pids]
    for process in processes:
        process.kill()
    wait_until(lambda: not any(map(_is_alive, processes)), patience)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
