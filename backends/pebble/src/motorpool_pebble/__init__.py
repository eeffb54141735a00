"""The backend `pebble`: pebble's process pool, as an executor."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, cast

import pebble

from motorpool import Capabilities, ExecutorBackend, Isolation, hookimpl
from motorpool.adapters import Single, SinglesExecutor
from motorpool.errors import WorkerCrashedError
from motorpool.processes import StartMethod, start_server, worker_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor

__all__ = ["PebbleBackend", "PebbleExecutor", "PebbleOptions"]


class PebbleExecutor(SinglesExecutor):
    """An executor on pebble's pools, of one worker each.

    Workers of one pool share a lock, which one that is killed can leave held: pebble's others then
    wait a minute, and give up.

    Args:
        max_workers: Number of workers.
        context: One of multiprocessing's, to start them with.
        max_tasks: Replace a worker after so many tasks; 0 for never.
        initializer: What a worker calls when it starts, or None.
    """

    def __init__(
        self, max_workers: int, *, context: Any, max_tasks: int = 0,
        initializer: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(max_workers, lambda: _Pool(context, max_tasks, initializer))


class _Pool(Single):
    """A pool of one worker, which knows the process that it has.

    Args:
        context: One of multiprocessing's.
        max_tasks: Replace the worker after so many tasks; 0 for never.
        initializer: What the worker calls when it starts, or None.
    """

    def __init__(
        self, context: Any, max_tasks: int, initializer: Callable[[], None] | None
    ) -> None:
        self._context = context
        self._max_tasks = max_tasks
        self._tasks = 0
        self._process: Any = None
        self._pool = pebble.ProcessPool(
            1, max_tasks=max_tasks, initializer=initializer, context=cast("Any", self)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def Process(self, *args: Any, **kwargs: Any) -> Any:  # noqa: N802, multiprocessing's name
        self._process = self._context.Process(*args, **kwargs)
        return self._process

    def pid(self) -> Any:
        """Process id of the worker, if it lives."""
        process = self._process
        return None if process is None or self._has_ended() else process.pid

    def is_usable(self) -> bool:
        """Whether the worker lives, or is about to be replaced as agreed."""
        return not self._has_ended() or bool(
            self._max_tasks and self._tasks % self._max_tasks == 0
        )

    def schedule(
        self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Future[Any]:
        """Give the worker a task."""
        self._tasks += 1
        try:
            return self._pool.schedule(fn, args=args, kwargs=kwargs)
        except RuntimeError as error:  # it has given up
            future: Future[Any] = Future()
            future.set_exception(BrokenProcessPool(str(error)))
            return future

    def crash(self, error: BaseException | None) -> WorkerCrashedError | None:
        """What became of the worker of a task, if it died."""
        gave_up = isinstance(error, BrokenProcessPool) and not self._pool.active
        if not gave_up and not isinstance(error, pebble.ProcessExpired):
            return None
        crash = WorkerCrashedError(f"The worker died: {error}")
        if isinstance(error, pebble.ProcessExpired):
            crash.pid, crash.exitcode = error.pid, error.exitcode
        return crash

    def end(self) -> None:
        """End the pool, which takes a tenth of a second."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
        self._process = None

    def _has_ended(self) -> bool:
        # `is_alive` could take the exit code away from pebble's own thread.
        process = self._process
        return (
            process is not None and process.pid is not None and bool(wait([process.sentinel], 0))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PebbleOptions:
    """Options of the backend `pebble`.

    Attributes:
        start_method: How workers start; by default forkserver on Linux, spawn elsewhere.
        max_tasks: Replace a worker after so many tasks; 0 for never.

    Raises:
        ValueError: If the number of tasks is negative.
    """

    start_method: StartMethod | None = None
    max_tasks: int = 0

    def __post_init__(self) -> None:
        if self.max_tasks < 0:
            raise ValueError(f"max_tasks must be at least 0, not {self.max_tasks}.")


class PebbleBackend(ExecutorBackend):
    """Runs nodes in pebble's process pool."""

    name = "pebble"
    capabilities = Capabilities(isolation=Isolation.PROCESS, exact_blame=True, kills_workers=True)
    options_type = PebbleOptions

    def _get_executor(self, max_workers: int) -> Executor:
        return PebbleExecutor(
            max_workers,
            context=worker_context(self.options.start_method),
            max_tasks=self.options.max_tasks,
            initializer=self.initializer,
        )

    def warm_up(self) -> None:
        """Start the server that workers are forked from."""
        start_server(self.options.start_method)

    def worker_pids(self, executor: Executor) -> list[int]:
        """Process ids of the live workers."""
        return executor.worker_pids() if isinstance(executor, PebbleExecutor) else []


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return PebbleBackend
