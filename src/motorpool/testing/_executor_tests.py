"""Core: what any `concurrent.futures.Executor` promises, and the engine builds on."""

from __future__ import annotations

import os
import threading
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from motorpool.backend import API_VERSION, Capabilities, ExecutorBackend, Isolation
from motorpool.errors import BackendOptionError, WorkerCountError
from motorpool.testing import _tasks as tasks
from motorpool.testing._harness import LOOK_OUT, Harness, wait_until
from motorpool.testing._marks import level, needs

if TYPE_CHECKING:
    from pathlib import Path

    from motorpool.testing._gate import Gate

_MEGABYTE = 1 << 20


@level("core")
class ExecutorTests(Harness):
    """Tasks, results, exceptions, cancellation and the number of workers."""

    def test_contract_is_kept_in_form(self) -> None:
        """The class has what the registry and the engine look at."""
        kind = self.backend_class()
        assert issubclass(kind, ExecutorBackend), f"{kind!r} is no subclass of ExecutorBackend."
        assert isinstance(kind.capabilities, Capabilities), "`capabilities` is no Capabilities."
        assert kind.api_version == API_VERSION, (
            f"It is written for version {kind.api_version!r} of the contract; this is "
            f"{API_VERSION}."
        )
        assert kind.get_executor is ExecutorBackend.get_executor, (
            "It overrides get_executor, which checks and caps the number of workers; implement "
            "_get_executor instead."
        )

    def test_isolation_is_what_it_declares(self) -> None:
        """Tasks run in the caller's thread, in others, or in other processes."""
        declared = self.make().capabilities.isolation
        with self.executor() as executor:
            pid, thread = self.result(executor.submit(tasks.place), "A task")
        found = Isolation.PROCESS
        if pid == os.getpid():
            found = Isolation.NONE if thread == threading.get_ident() else Isolation.THREAD
        fits = found is declared or (
            declared in {Isolation.INTERPRETER, Isolation.CLUSTER} and found is not Isolation.NONE
        )
        assert fits, f"Isolation {declared.name} is declared; tasks run as with {found.name}."

    def test_unknown_option_is_refused(self) -> None:
        """A typo must not be dropped in silence."""
        try:
            self.backend_class()(no_such_option=1)
        except BackendOptionError:
            return
        except Exception as error:  # noqa: BLE001, part of the message
            pytest.fail(f"An unknown option must be a BackendOptionError, not {error!r}.")
        pytest.fail("An unknown option was accepted: its typos will be dropped in silence.")

    def test_number_of_workers_is_checked(self) -> None:
        """Zero and nonsense are errors before anything starts."""
        for wrong in (0, -1, 1.5, "two", True):
            try:
                executor = self.make().get_executor(wrong)  # type: ignore[arg-type]
            except WorkerCountError:
                continue
            executor.shutdown()
            pytest.fail(f"max_workers={wrong!r} was accepted.")

    def test_every_result_goes_to_its_future(self) -> None:
        """Two hundred of them, in the order of submission."""
        with self.executor() as executor:
            futures = [executor.submit(tasks.echo, i) for i in range(200)]
            for i, future in enumerate(futures):
                value = self.result(future, f"Task {i} of 200")
                assert value == i, f"Task {i} got {value!r}, the result of another task."

    def test_each_task_runs_once(self, tmp_path: Path) -> None:
        """No more and no less."""
        path = str(tmp_path / "roll-call")
        with self.executor() as executor:
            for i, future in enumerate([executor.submit(tasks.note, path, i) for i in range(50)]):
                self.result(future, f"Task {i} of 50")
        counts = Counter((tmp_path / "roll-call").read_text().split())
        wrong = {f"task {task}": n for task, n in counts.items() if n != 1}
        assert not wrong, f"These ran more than once: {wrong}."
        assert len(counts) == 50, f"Only {len(counts)} of 50 tasks have run."

    def test_arguments_by_position_and_name(self) -> None:
        """Both reach the function."""
        with self.executor() as executor:
            future = executor.submit(tasks.add, 1, 2, plus=3)
            assert self.result(future, "A task with keywords") == 6, "Arguments got lost."

    def test_exception_is_raised(self) -> None:
        """Its type and arguments, by `result`, and the executor goes on."""
        with self.executor() as executor:
            value, error = self.answer(executor.submit(tasks.raise_deep_down, "odd", 3), "A task")
            assert error is not None, f"The task raised ValueError, and its result is {value!r}."
            assert type(error) is ValueError, f"ValueError arrived as {type(error).__name__}."
            assert error.args == ("odd", 3), f"The exception's arguments are {error.args!r}."
            assert self.result(executor.submit(tasks.echo, 1), "The next task") == 1

    def test_traceback_leads_to_the_line(self) -> None:
        """Printed, the exception shows where in the task it was raised."""
        with self.executor() as executor:
            _, error = self.answer(executor.submit(tasks.raise_deep_down, "odd"), "A task")
            assert error is not None, "The task raised, and has a result."
            printed = "".join(traceback.format_exception(error))
            assert "_deep_down" in printed, (
                "The traceback does not show the function that raised; chain the remote "
                "traceback as the exception's cause."
            )

    @needs("isolation")
    def test_result_that_cannot_be_pickled_is_an_error(self) -> None:
        """At once, and the executor goes on."""
        with self.executor() as executor:
            value, error = self.answer(
                executor.submit(tasks.make_unpicklable), "A task whose result cannot be pickled"
            )
            assert error is not None, f"A result that cannot be pickled arrived as {value!r}."
            assert self.result(executor.submit(tasks.echo, 1), "The next task") == 1

    @needs("isolation")
    def test_argument_that_cannot_be_pickled_is_an_error(self) -> None:
        """Of `submit` or of the future, and the executor goes on."""
        with self.executor() as executor:
            try:
                future = executor.submit(tasks.echo, tasks.Unpicklable())
            except Exception:  # noqa: BLE001, as good
                future = None
            if future is not None:
                _, error = self.answer(future, "A task whose argument cannot be pickled")
                assert error is not None, "An argument that cannot be pickled arrived."
            assert self.result(executor.submit(tasks.echo, 1), "The next task") == 1

    def test_large_arguments_and_results_do_not_block(self) -> None:
        """Sixty of 1 MB there and back, collected at the end: more than any pipe holds."""
        data = bytes(_MEGABYTE)
        with self.executor() as executor:
            futures = self.within(
                "submit has not returned for 60 tasks of 1 MB (a full pipe?)",
                lambda: [executor.submit(tasks.echo, data) for _ in range(60)],
            )
            for i, future in enumerate(futures):
                value = self.result(future, f"Task {i} of 60 with 1 MB")
                assert value == data, f"Task {i} got {len(value)} other bytes."

    @needs("isolation")
    def test_workers_may_say_a_lot(self, capfd: Any) -> None:
        """A worker whose output is not read must not block on it."""
        with self.executor() as executor:
            future = executor.submit(tasks.chatter, 200_000)
            assert self.result(future, "A task that prints 200 kB") == 200_000
        capfd.readouterr()

    def test_callback_is_called_once(self) -> None:
        """The engine waits for nothing else."""
        called: list[Any] = []
        with self.executor() as executor:
            future = executor.submit(tasks.echo, 1)
            future.add_done_callback(called.append)
            self.result(future, "A task")
            wait_until(lambda: bool(called), self.patience)
        assert called == [future], f"The callback was called {len(called)} times."

    def test_submitting_from_several_threads(self) -> None:
        """`submit` needs no lock of the caller's."""
        futures: list[tuple[int, Any]] = []
        with self.executor() as executor:

            def submit(start: int) -> None:
                futures.extend(
                    (i, executor.submit(tasks.echo, i)) for i in range(start, start + 25)
                )

            threads = [threading.Thread(target=submit, args=(100 * i,)) for i in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(self.patience)
            assert len(futures) == 100, f"Only {len(futures)} of 100 tasks were submitted."
            for i, future in futures:
                assert self.result(future, f"Task {i}") == i, f"Task {i} got another's result."

    def test_as_many_at_once_as_workers(self, gate: Gate) -> None:
        """Three tasks meet on three workers, and a fourth stays outside."""
        self.need_queue()
        with self.executor(3) as executor:
            futures = [executor.submit(tasks.wait_at, gate.ticket, i) for i in range(9)]
            met = gate.wait_for(3, self.patience)
            assert met, f"max_workers is 3, and only {len(gate.arrivals)} tasks run at once."
            more = gate.wait_for(4, LOOK_OUT)
            assert not more, f"max_workers is 3, and {len(gate.arrivals)} tasks run at once."
            gate.open()
            for i, future in enumerate(futures):
                assert self.result(future, f"Task {i}") == i

    def test_queued_task_can_be_cancelled(self, gate: Gate, tmp_path: Path) -> None:
        """It says so, and never runs; one that runs cannot be."""
        self.need_queue()
        path = str(tmp_path / "ran")
        with self.executor(1) as executor:
            first = executor.submit(tasks.wait_at, gate.ticket, "first")
            queued = [executor.submit(tasks.note, path, i) for i in range(8)]
            assert gate.wait_for(1, self.patience), "The first task has not begun."
            assert queued[-1].cancel(), "A task that is far back in the queue cannot be cancelled."
            gate.open()
            assert self.result(first, "The first task") == "first"
            for i, future in enumerate(queued[:-1]):
                self.result(future, f"Queued task {i}")
            after = executor.submit(tasks.note, path, "after")
            assert self.result(after, "The next task") == "after"
        assert queued[-1].cancelled(), "cancel returned True, and the future is not cancelled."
        ran = (tmp_path / "ran").read_text().split()
        assert "7" not in ran, "cancel returned True, and the task has run all the same."
