"""Core: how an executor ends, and that nothing of it stays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from motorpool.testing import _tasks as tasks
from motorpool.testing._harness import LOOK_OUT, Harness, children, wait_until
from motorpool.testing._marks import level, needs

if TYPE_CHECKING:
    from motorpool.testing._gate import Gate

_CYCLES = 3
_SCRIPT = """
import base64, sys
sys.path[:] = {path!r}
import cloudpickle
from motorpool.testing import _tasks as tasks
backend = cloudpickle.loads(base64.b64decode({backend!r}))
executor = backend.get_executor(2)
print(executor.submit(tasks.echo, 41).result() + 1, flush=True)
{end}
"""


@level("core")
class LifeTests(Harness):
    """Shutdown, use after it, reuse, leaks, and the end of the interpreter."""

    def test_shutdown_waits_for_what_was_submitted(self, gate: Gate) -> None:
        """All of it has results then."""
        executor = self.make().get_executor(2)
        if self.has_queue():
            futures = [executor.submit(tasks.wait_at, gate.ticket, i) for i in range(4)]
            threading.Timer(LOOK_OUT, gate.open).start()
        else:
            futures = [executor.submit(tasks.echo, i) for i in range(4)]
        self.within("shutdown(wait=True) has not returned", executor.shutdown)
        late = [i for i, future in enumerate(futures) if not future.done()]
        assert not late, f"shutdown(wait=True) returned before tasks {late} had ended."
        assert [self.result(future, "A task") for future in futures] == list(range(4))

    def test_shutdown_without_waiting_loses_nothing(self, gate: Gate) -> None:
        """A task that runs goes on to its result."""
        self.need_queue()
        executor = self.make().get_executor(1)
        future = executor.submit(tasks.wait_at, gate.ticket, "under way")
        assert gate.wait_for(1, self.patience), "The task has not begun."
        self.within("shutdown(wait=False) has not returned", executor.shutdown, wait=False)
        gate.open()
        value = self.result(future, "A task that ran when shutdown(wait=False) was called")
        assert value == "under way"

    def test_shutdown_can_cancel_what_is_queued(self, gate: Gate) -> None:
        """With `cancel_futures`, and what runs ends well."""
        self.need_queue()
        executor = self.make().get_executor(1)
        first = executor.submit(tasks.wait_at, gate.ticket, "first")
        queued = [executor.submit(tasks.wait_at, gate.ticket, i) for i in range(8)]
        assert gate.wait_for(1, self.patience), "The first task has not begun."
        self.within(
            "shutdown(wait=False, cancel_futures=True) has not returned",
            executor.shutdown, wait=False, cancel_futures=True,
        )  # fmt: skip
        cancelled = wait_until(queued[-1].cancelled, self.patience / 3)
        gate.open()
        assert cancelled, "shutdown(cancel_futures=True) has not cancelled the last task in line."
        assert self.result(first, "The task that ran at shutdown") == "first"

    def test_shutdown_twice(self) -> None:
        """The second changes nothing."""
        executor = self.make().get_executor(1)
        assert self.result(executor.submit(tasks.echo, 1), "A task") == 1
        for time in ("first", "second"):
            try:
                self.within(f"The {time} shutdown has not returned", executor.shutdown)
            except Exception as error:  # noqa: BLE001, part of the message
                pytest.fail(f"The {time} shutdown raised {type(error).__name__}: {error}")

    def test_shutdown_of_what_was_never_used(self) -> None:
        """As easy."""
        self.within("shutdown has not returned", self.make().get_executor(2).shutdown)

    def test_no_submit_after_shutdown(self) -> None:
        """It would never be answered."""
        executor = self.make().get_executor(1)
        self.within("shutdown has not returned", executor.shutdown)
        with pytest.raises(RuntimeError):  # as concurrent.futures says
            executor.submit(tasks.echo, 1)

    def test_executors_one_after_the_other_and_side_by_side(self) -> None:
        """The end of one is nothing to another."""
        backend = self.make()
        for i in range(_CYCLES):
            executor = backend.get_executor(1)
            try:
                value = self.result(executor.submit(tasks.echo, i), f"A task of executor {i}")
            except RuntimeError as error:
                pytest.fail(
                    f"Executor {i} takes no task ({error}): _get_executor must return a new one, "
                    "or one that is alive."
                )
            assert value == i
            self.within("shutdown has not returned", executor.shutdown)
        one, other = backend.get_executor(1), backend.get_executor(1)
        assert self.result(one.submit(tasks.echo, 1), "A task of one of two executors") == 1
        self.within("shutdown has not returned", one.shutdown)
        text = "A task of an executor beside which another was shut down"
        assert self.result(other.submit(tasks.echo, 2), text) == 2
        self.within("shutdown has not returned", other.shutdown)

    def test_shutdown_leaves_nothing_behind(self) -> None:
        """No process, thread or descriptor more than after an earlier one."""
        self._use()
        before = self._holdings()
        for _ in range(_CYCLES):
            self._use()

        def left() -> dict[str, int]:
            now = self._holdings()
            return {kind: now[kind] - before[kind] for kind in now if now[kind] > before[kind]}

        wait_until(lambda: not left(), self.patience)
        assert not left(), f"{_CYCLES} executors, all of them shut down, have left {left()}."

    @needs("isolation")
    def test_workers_end_with_their_executor(self) -> None:
        """After `shutdown(wait=True)`, none is left."""
        with self.executor(2) as executor:
            futures = [executor.submit(tasks.pid) for _ in range(8)]
            pids = {self.result(f, "A task") for f in futures}
        assert os.getpid() not in pids, "A task ran in the driver's process."
        gone = wait_until(lambda: not any(map(psutil.pid_exists, pids)), self.patience)
        left = [pid for pid in pids if psutil.pid_exists(pid)]
        assert gone, (
            f"{len(left)} of {len(pids)} workers still live {self.patience:g} s after shutdown."
        )

    def test_interpreter_ends_without_shutdown(self) -> None:
        """A script that forgets it does not hang, and says nothing."""
        self._script("")

    def test_interpreter_ends_after_shutdown(self) -> None:
        """And with success."""
        self._script("executor.shutdown()")

    def _script(self, end: str) -> None:
        code = self.in_script(_SCRIPT, end=end)
        script = subprocess.Popen(  # noqa: S603, our own
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            printed, complaints = script.communicate(timeout=self.patience)
        except subprocess.TimeoutExpired:
            for process in [*psutil.Process(script.pid).children(recursive=True), script]:
                process.kill()
            script.communicate()
            pytest.fail(
                f"A script that uses the executor has not ended after {self.patience:g} s."
            )
        assert printed == "42\n", f"The script printed {printed!r} and {complaints!r}."
        assert script.returncode == 0, f"The script ended with {script.returncode}: {complaints}"
        assert not complaints, f"The script ended with complaints: {complaints}"

    def _use(self) -> None:
        with self.executor(2) as executor:
            for i, future in enumerate([executor.submit(tasks.echo, i) for i in range(4)]):
                assert self.result(future, f"Task {i}") == i

    @staticmethod
    def _holdings() -> dict[str, int]:
        process = psutil.Process()
        descriptors = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
        return {
            "processes": len(children()), "threads": threading.active_count(),
            "descriptors": descriptors,
        }  # fmt: skip
