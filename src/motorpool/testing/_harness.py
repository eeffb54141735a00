"""What all tests of the kit use: executors and runs, and words for those that do not end."""

from __future__ import annotations

import base64
import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import cloudpickle
import psutil
import pytest

from motorpool import ParallelRunner, registry
from motorpool.backend import ExecutorBackend, Isolation
from motorpool.testing._gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from motorpool.backend import Capabilities
    from motorpool.pipeline import Pipeline

#: How long to look out for what must not happen (s); who is slow passes all the same.
LOOK_OUT = 0.5
# How long processes of an executor may take to end after a test (s).
_GRACE = 2.0
_HELPERS = ("forkserver", "resource_tracker")


class Harness:
    """What a backend's author may set.

    Attributes:
        backend: Name of the backend, its class, or an instance.
        options: The backend's options.
        level: Run the tests of this level and of those before it: "core", "data", "faults" or
            "distributed". The command line's `--motorpool-level` goes first.
        patience: Seconds until something that does not end is a failure.
        expected_failures: Path of a file with the names of tests that are known to fail, one a
            line, each with a reason behind `#`; or None. One that passes is an error, and one
            that no test has a warning.
        host: The address of this host that workers can reach.
    """

    backend: ClassVar[str | type[ExecutorBackend] | ExecutorBackend] = ""
    options: ClassVar[dict[str, Any]] = {}
    level: ClassVar[str] = "distributed"
    patience: ClassVar[float] = 30.0
    expected_failures: ClassVar[str | Path | None] = None
    host: ClassVar[str] = "127.0.0.1"

    @classmethod
    def backend_class(cls) -> type[ExecutorBackend]:
        """The class of the backend."""
        if isinstance(cls.backend, str):
            return registry.get(cls.backend)
        return cls.backend if isinstance(cls.backend, type) else type(cls.backend)

    @classmethod
    def make(cls) -> ExecutorBackend:
        """The backend, with its options."""
        if isinstance(cls.backend, ExecutorBackend):
            return cls.backend
        return cls.backend_class()(**cls.options)

    @classmethod
    def capabilities(cls) -> Capabilities:
        """What the backend declares with these options."""
        return cls.make().capabilities

    @classmethod
    def has_queue(cls) -> bool:
        """Whether tasks run beside the caller of `submit`, so that some may have to wait."""
        return cls.capabilities().isolation is not Isolation.NONE

    def need_queue(self) -> None:
        """Skip a test of tasks that wait or are under way."""
        if not self.has_queue():
            pytest.skip("isolation is NONE: `submit` runs the task before it returns")

    @pytest.fixture(autouse=True)
    def _ends_what_it_started(self) -> Iterator[None]:
        """Whatever a test leaves running does not reach the next one."""
        before = children()
        yield
        wait_until(lambda: not children() - before, min(_GRACE, self.patience))
        for process in children() - before:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    @pytest.fixture
    def gate(self) -> Iterator[Gate]:
        """Where tasks wait."""
        with Gate(self.host) as gate:
            yield gate

    @contextlib.contextmanager
    def executor(self, max_workers: int = 2) -> Iterator[Executor]:
        """An executor, shut down at the end; one that does not end is a failure."""
        executor = self.make().get_executor(max_workers)
        try:
            yield executor
        except BaseException:
            with contextlib.suppress(Exception):
                executor.shutdown(wait=False)
            raise
        self.within("shutdown(wait=True) has not returned", executor.shutdown)

    def within(self, trouble: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function that must return in time; else fail with what the trouble is."""
        outcome: list[tuple[bool, Any]] = []

        def call() -> None:
            try:
                outcome.append((True, function(*args, **kwargs)))
            except BaseException as error:  # noqa: BLE001, raised below
                outcome.append((False, error))

        thread = threading.Thread(target=call, name="motorpool-kit", daemon=True)
        thread.start()
        thread.join(self.patience)
        if not outcome:
            pytest.fail(f"{trouble} after {self.patience:g} s.")
        well, value = outcome[0]
        if not well:
            raise value
        return value

    def answer(self, future: Future[Any], task: str) -> tuple[Any, BaseException | None]:
        """Wait for a future; its result and None, or None and its exception."""
        try:
            error = future.exception(timeout=self.patience)
        except TimeoutError:
            pytest.fail(
                f"{task} has neither a result nor an exception after {self.patience:g} s: every "
                "future of an executor must be answered."
            )
        return (future.result(), None) if error is None else (None, error)

    def result(self, future: Future[Any], task: str) -> Any:
        """Wait for the result of a future that has no reason to fail."""
        value, error = self.answer(future, task)
        if error is not None:
            pytest.fail(f"{task} failed, and it has no reason to: {type(error).__name__}: {error}")
        return value

    def in_script(self, template: str, **values: Any) -> str:
        """A script that has the backend, pickled, and finds modules as we do."""
        pickled = base64.b64encode(cloudpickle.dumps(self.make())).decode()
        return template.format(path=sys.path, backend=pickled, **values)

    def runner(self, max_workers: int = 2, **settings: Any) -> ParallelRunner:
        """A runner on the backend."""
        return ParallelRunner(self.make(), max_workers=max_workers, **settings)

    def run(
        self, pipe: Pipeline, data: Any = None, *, hooks: Any = None, max_workers: int = 2,
        **settings: Any,
    ) -> Any:  # fmt: skip
        """Run a pipeline; a run that does not end is a failure."""
        runner = self.runner(max_workers, **settings)
        return self.within("The run has not ended", runner.run, pipe, data or {}, hooks)


def children() -> set[psutil.Process]:
    """Descendants of this process, but for servers and trackers that stay by design."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and not any(helper in command for helper in _HELPERS):
                found.add(process)
    return found


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look again and again until something holds; whether it does at last."""
    pause, end = threading.Event(), time.monotonic() + seconds
    while time.monotonic() < end:  # a look may take long itself
        if condition():
            return True
        pause.wait(0.02)
    return condition()
