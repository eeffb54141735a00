"""Any executor as a backend: what it can do is found out by asking one of its workers."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, NamedTuple

from motorpool.backend import Capabilities, ExecutorBackend, Isolation
from motorpool.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

_logger = logging.getLogger("motorpool")
# A cluster may start a worker first. After this time (s) something is wrong that needs saying.
_PROBE_TIME = 120.0


class Probe(NamedTuple):
    """What a worker knows of itself.

    Attributes:
        pid: Its process.
        thread: Its thread.
        sees_files: Whether it sees a file that the driver has made.
        processes: Which processes it sees: a mark that others who see them have as well.
    """

    pid: int
    thread: int
    sees_files: bool
    processes: str


def probe(path: str, mark: list[bool]) -> Probe:
    """Look around in a worker, and leave a mark, which the driver sees if it is the same list."""
    mark.append(True)
    sees_files = os.path.exists(path)  # noqa: PTH110, as below
    return Probe(os.getpid(), threading.get_ident(), sees_files, _processes_seen())


def _processes_seen() -> str:
    """The namespace of process ids, where there are several; in a container they mean others."""
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115, as below
    except OSError:
        return ""


class AdoptedBackend(ExecutorBackend):
    """Runs nodes on an executor that the user has made.

    Args:
        executor: The executor.
        factory: Makes another when it breaks, given the number of workers; without it, the
            executor stays the caller's, and is neither replaced nor shut down.

    Raises:
        BackendError: If its workers cannot run our code.
    """

    def __init__(
        self, executor: Executor, factory: Callable[[int], Executor] | None = None
    ) -> None:
        super().__init__()
        self._first: Executor | None = executor
        self._factory = factory
        self.name = type(executor).__name__  # type: ignore[misc]
        self.capabilities = _capabilities(executor, owned=factory is not None)
        count = getattr(executor, "_max_workers", None)
        #: Number of workers, as far as the executor has it.
        self.workers = count if isinstance(count, int) else None

    def _get_executor(self, max_workers: int) -> Executor:
        if self._factory is None:
            assert self._first is not None  # noqa: S101, only an owned one is handed over
            return self._first
        executor, self._first = self._first or self._factory(max_workers), None
        return executor


def load_worker() -> str:
    """Import what a worker needs, in a worker.

    Returns:
        Why numpy cannot be loaded there; empty if it can, or is not installed.
    """
    import motorpool._worker.main  # noqa: PLC0415, F401, in the worker

    if importlib.util.find_spec("numpy") is None:
        return ""
    try:
        import numpy  # noqa: ICN001, PLC0415, F401, as above
    except ImportError as error:
        return str(error).strip().splitlines()[-1]
    return ""


def _look_into_interpreter(executor: Executor) -> None:
    """Check that our code runs in an interpreter, and say in one line what does not.

    Raises:
        BackendError: If our code does not.
    """
    kind = type(executor).__name__
    try:
        obstacle = executor.submit(load_worker).result(timeout=_PROBE_TIME)
    except Exception as error:
        raise BackendError(
            f"The interpreters of {executor!r} cannot load Motorpool: {error}", backend=kind
        ) from error
    if obstacle:
        _logger.warning("%s runs nodes of pure Python only: numpy says, %s", kind, obstacle)


def _capabilities(executor: Executor, *, owned: bool) -> Capabilities:
    import tempfile  # noqa: PLC0415, takes 5 ms, for a case that is rare

    mark: list[bool] = []
    with tempfile.NamedTemporaryFile(prefix="motorpool-probe-") as file:
        try:
            found = executor.submit(probe, file.name, mark).result(timeout=_PROBE_TIME)
        except BrokenExecutor as error:
            raise BackendError(
                f"The executor {executor!r} is broken: {error} Make a new one.",
                backend=type(executor).__name__,
            ) from error
        except Exception as error:
            raise BackendError(
                f"The executor {executor!r} cannot run Motorpool's code: {type(error).__name__}: "
                f"{error}. Its workers need the same packages as this process.",
                backend=type(executor).__name__,
            ) from error
    if mark:
        alone = found.thread == threading.get_ident()
        isolation = Isolation.NONE if alone else Isolation.THREAD
    elif found.pid == os.getpid():  # nothing is shared, and yet nothing can be killed
        isolation = Isolation.INTERPRETER
        _look_into_interpreter(executor)
    else:
        near = found.sees_files and found.processes == _processes_seen()
        isolation = Isolation.PROCESS if near else Isolation.CLUSTER
    return Capabilities(
        isolation=isolation, shares_memory=isolation is not Isolation.CLUSTER, restarts=owned
    )
