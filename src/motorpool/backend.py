"""The contract of a backend: one method that returns an executor, and what it can do."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import sys
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, final

from motorpool._options import build_options
from motorpool._system import process
from motorpool.errors import BrokenBackendError, MotorpoolError, WorkerCountError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor

    from motorpool._store import Store

__all__ = [
    "API_VERSION",
    "Capabilities",
    "ExecutorBackend",
    "Isolation",
    "reduce_out_of_band",
    "reduce_script",
]

#: Version of this contract. It changes when a backend written for it would stop working.
API_VERSION = 1

# WaitForMultipleObjects takes 63 handles; two are the pool's own. See python/cpython#71090.
_MOST_WINDOWS_WORKERS = 61


class Isolation(Enum):
    """What stands between a node and the driver."""

    NONE = "none"
    THREAD = "thread"
    INTERPRETER = "interpreter"
    PROCESS = "process"
    CLUSTER = "cluster"

    @property
    def in_process(self) -> bool:
        """Whether nodes and driver share their objects."""
        return self in {Isolation.NONE, Isolation.THREAD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend's executor can do. The engine reads this, and never a class.

    `exact_blame`, `kills_workers`, `places_tasks` and `queues_tasks` are promises: the kit tests
    them, and `motorpool backends` shows them. The engine goes by what the executor raises and has.

    Attributes:
        isolation: What stands between a node and the driver.
        shares_memory: Workers see this host's files and processes, so data goes through mapped
            files, a stuck worker can be ended, and a status table says which node it was in.
        exact_blame: When a worker dies, the executor fails exactly the task that it was in, with
            `WorkerCrashedError`, and goes on. Without it the engine looks at the status table,
            and reruns suspects one by one.
        kills_workers: One worker can be killed without harm to the others.
        places_tasks: The executor has `submit_near(pid, fn, *args)`, which prefers a worker of the
            caller's choice if that is free.
        queues_tasks: The executor has `lone_calls()`, which returns the futures of calls that have
            a worker to themselves, each with the process id of that; and
            `submit_behind(pid, fn, *args)`, which queues a call on that worker behind what it has
            to do, or on any if it is gone. Then short nodes that wait for a unit are at its worker
            before it ends.
        restarts: The engine may get a new executor when this one has broken.
    """

    isolation: Isolation
    shares_memory: bool = True
    exact_blame: bool = False
    kills_workers: bool = False
    places_tasks: bool = False
    queues_tasks: bool = False
    restarts: bool = True

    @property
    def ends_nodes(self) -> bool:
        """Whether a running node can be ended: its process is ours, on this host, and its own."""
        own = self.isolation is Isolation.PROCESS
        return own and self.shares_memory and self.restarts


class ExecutorBackend(ABC):
    """Says how to get an executor; everything else is the engine's.

    A subclass sets `capabilities`, implements `_get_executor`, and, if it has options, sets
    `options_type` to a frozen dataclass. The name is the name of its entry point.

    Args:
        **options: The fields of `options_type`.

    Raises:
        BackendOptionError: If an option is unknown or of the wrong type; lists the valid ones.

    Attributes:
        name: What people write to choose it.
        capabilities: What its executor can do.
        options_type: A frozen dataclass, or None for a backend without options.
        api_version: Version of the contract that it is written for.
        options: An instance of `options_type`, or None.
    """

    name: ClassVar[str] = ""
    capabilities: Capabilities = Capabilities(isolation=Isolation.PROCESS)
    options_type: ClassVar[type[Any] | None] = None
    api_version: ClassVar[int] = API_VERSION

    def __init__(self, **options: Any) -> None:
        self.options = build_options(self.options_type, options, self.name or type(self).__name__)

    @abstractmethod
    def _get_executor(self, max_workers: int) -> Executor:
        """Return an executor.

        Args:
            max_workers: Number of workers, at least 1, already checked and capped.
        """

    @final
    def get_executor(self, max_workers: int | None = None) -> Executor:
        """Check the number of workers, then return an executor.

        Args:
            max_workers: Number of workers; by default as many as there are cores to use.

        Raises:
            WorkerCountError: If it is not a positive whole number.
            BrokenBackendError: If the backend fails, or returns no executor.
        """
        count = worker_count(max_workers)
        where = f"The backend {self.name or type(self).__name__!r}"
        try:
            executor = self._get_executor(count)
        except MotorpoolError:
            raise
        except Exception as error:
            raise BrokenBackendError(
                f"{where} cannot make an executor: {type(error).__name__}: {error}",
                backend=self.name,
            ) from error
        if not (hasattr(executor, "submit") and hasattr(executor, "shutdown")):
            raise BrokenBackendError(
                f"{where} made {executor!r}, which is no concurrent.futures.Executor.",
                backend=self.name,
            )
        return executor

    @staticmethod
    def dumps(
        obj: Any, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None
    ) -> bytes:
        """Pickle anything; large buffers go to the callback, if there is one."""
        from motorpool._store import dumps  # noqa: PLC0415, takes 10 ms that `import motorpool` must not

        return dumps(obj, buffer_callback)

    @staticmethod
    def loads(data: bytes, buffers: Iterable[Any] | None = None) -> Any:
        """Unpickle what `dumps` has pickled."""
        return pickle.loads(data, buffers=buffers)

    def open_store(
        self, *, memory_limit: int | None = None, readonly_inputs: bool = False
    ) -> Store:
        """Open the store that carries values between workers, for one run or several.

        Where workers do not share this host's memory, values travel by way of the driver.

        Args:
            memory_limit: Bytes to take of shared memory at most; None for half of what is free.
            readonly_inputs: Whether nodes may not write to what they read; what has travelled is
                the reader's own in any case.
        """
        from motorpool._store import FileStore, InBandStore  # noqa: PLC0415, same

        if not self.capabilities.shares_memory:
            return InBandStore(type(self).dumps, type(self).loads)
        return FileStore.create(
            type(self).dumps, type(self).loads, memory_limit=memory_limit,
            readonly=readonly_inputs,
        )  # fmt: skip

    @property
    def initializer(self) -> Callable[[], None]:
        """What an executor's workers should call when they start, if it takes such a function.

        They then leave Ctrl-C to the driver, and end with it even before their first node.
        """
        return functools.partial(process.start_worker, os.getpid())

    def warm_up(self) -> None:  # noqa: B027, not every backend has anything to do
        """Begin to start what takes long, and return at once: there will be a run soon."""

    def worker_pids(self, executor: Executor) -> list[int]:  # noqa: ARG002, part of the contract
        """Process ids of the executor's live workers, as far as they are known."""
        return []

    def exitcode(self, executor: Executor, pid: int) -> int | None:  # noqa: ARG002, same
        """Exit code of a worker that died, negative for a signal; None if unknown."""
        return None

    def kill_worker(self, executor: Executor, pid: int) -> None:  # noqa: ARG002, same
        """End a worker at once, whatever it does.

        Raises:
            ProcessLookupError: If there is no such process any more.
        """
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def reduce_out_of_band(obj: Any) -> Any:
    """What `reducer_override` of a backend's own pickler returns, so that large data do not copy.

    Strided arrays, dates, masked arrays, slices of Arrow data and polars then leave the pickle as
    buffers, as they do with the pickler that backends have by default.

    Returns:
        A reduced value, or NotImplemented for everything else.
    """
    from motorpool._store import reduce_out_of_band as reduce  # noqa: PLC0415, takes 10 ms

    return reduce(obj)


def reduce_script(obj: Any) -> Any:
    """What `reducer_override` of a backend's own pickler returns for what `__main__` defines.

    Functions and classes of a script then go to workers by name, where they are the same objects
    for everything that runs there; ask it before all else.

    Returns:
        A name, a reduced value, or NotImplemented for everything else.
    """
    from motorpool._store import reduce_script as reduce  # noqa: PLC0415, takes 10 ms

    return reduce(obj)


def worker_count(max_workers: int | None = None) -> int:
    """Number of workers to use.

    Args:
        max_workers: What was asked for; None for one worker a core that this process may use,
            the quota of its control group included.

    Returns:
        At least 1; at most 61 on Windows, for an explicit number as well.

    Raises:
        WorkerCountError: If it is not a positive whole number.
    """
    if max_workers is None:
        count = process.usable_cores()
    elif isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
        raise WorkerCountError(
            f"max_workers must be a whole number of at least 1, not {max_workers!r}; leave it out "
            "to use every core."
        )
    else:
        count = max_workers
    if sys.platform == "win32" and count > _MOST_WINDOWS_WORKERS:
        if max_workers is not None:
            warnings.warn(
                f"max_workers={max_workers} is more than Windows can wait for; "
                f"{_MOST_WINDOWS_WORKERS} are used.",
                RuntimeWarning,
                stacklevel=3,
            )
        count = _MOST_WINDOWS_WORKERS
    return count
