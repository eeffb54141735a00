"""The backend `direct`: worker processes with a pipe each. The default."""

from __future__ import annotations

import weakref
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motorpool._backends.direct.pool import DirectPool
from motorpool.backend import Capabilities, ExecutorBackend, Isolation
from motorpool.hookspecs import hookimpl
from motorpool.processes import StartMethod, start_server, worker_context

if TYPE_CHECKING:
    from collections.abc import Callable


class DirectExecutor(Executor):
    """Worker processes with one duplex pipe each, and nothing that they share.

    A task whose worker dies fails with `WorkerCrashedError`; all others are run, on a new worker
    if need be.

    Args:
        max_workers: Number of workers; each is started when there is a task for it.
        context: A multiprocessing context.
        dumps: Pickles tasks and results; must itself pickle by name.
        loads: Unpickles them; likewise.
        max_tasks_per_child: Replace a worker after so many tasks; None for never.
    """

    def __init__(
        self, max_workers: int, *, context: Any,
        dumps: Callable[[Any], bytes] = ExecutorBackend.dumps,
        loads: Callable[[bytes], Any] = ExecutorBackend.loads,
        max_tasks_per_child: int | None = None,
    ) -> None:  # fmt: skip
        self._pool = DirectPool(
            max_workers=max_workers,
            context=context,
            dumps=dumps,
            loads=loads,
            max_tasks_per_child=max_tasks_per_child,
        )
        # An executor that is dropped without a shutdown leaves no thread and no process behind.
        weakref.finalize(self, self._pool.abandon).atexit = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; return its future.

        Raises:
            RuntimeError: After `shutdown`.
            BrokenExecutor: If workers cannot be started.
        """
        return self._pool.submit((fn, args, kwargs))

    def submit_near(self, pid: int, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Queue a call that had best run on one worker; on another one, if that is free first.

        Args:
            pid: Process id of the worker.
            fn: What to call.
            *args: With what.

        Raises:
            RuntimeError: After `shutdown`.
            BrokenExecutor: If workers cannot be started.
        """
        return self._pool.submit((fn, args, {}), near=pid)

    def submit_behind(self, pid: int, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Queue a call on one worker, behind what that has to do; on any, if it is gone.

        Args:
            pid: Process id of the worker.
            fn: What to call.
            *args: With what.

        Raises:
            RuntimeError: After `shutdown`.
            BrokenExecutor: If workers cannot be started.
        """
        return self._pool.submit((fn, args, {}), near=pid, insists=True)

    def lone_calls(self) -> dict[Future[Any], int]:
        """The calls that have a worker to themselves: the process id of that, by future.

        None while other calls wait for a worker.
        """
        return self._pool.lone_tasks()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks, and end the workers when they have done what there is."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def worker_pids(self) -> list[int]:
        """Process ids of the live workers."""
        return self._pool.pids()

    def kill_worker(self, pid: int) -> None:
        """Kill one worker; the task that it is at fails."""
        self._pool.kill(pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectOptions:
    """Options of the backend `direct`.

    Attributes:
        start_method: How workers start; by default forkserver on Linux, spawn elsewhere.
        max_tasks_per_child: Replace a worker after so many tasks.

    Raises:
        ValueError: If the number of tasks is not positive.
    """

    start_method: StartMethod | None = None
    max_tasks_per_child: int | None = None

    def __post_init__(self) -> None:
        if self.max_tasks_per_child is not None and self.max_tasks_per_child < 1:
            raise ValueError(
                f"max_tasks_per_child must be at least 1, not {self.max_tasks_per_child}."
            )


class DirectBackend(ExecutorBackend):
    """Runs nodes in processes with a pipe each: fast, and exact about who crashed."""

    name = "direct"
    capabilities = Capabilities(
        isolation=Isolation.PROCESS,
        exact_blame=True,
        kills_workers=True,
        places_tasks=True,
        queues_tasks=True,
    )
    options_type = DirectOptions

    def _get_executor(self, max_workers: int) -> Executor:
        return DirectExecutor(
            max_workers,
            context=worker_context(self.options.start_method),
            max_tasks_per_child=self.options.max_tasks_per_child,
        )

    def warm_up(self) -> None:
        """Start the server that workers are forked from."""
        start_server(self.options.start_method)

    def worker_pids(self, executor: Executor) -> list[int]:
        """Process ids of the live workers."""
        return executor.worker_pids() if isinstance(executor, DirectExecutor) else []

    def kill_worker(self, executor: Executor, pid: int) -> None:
        """Kill one worker; the node that it is at fails."""
        if isinstance(executor, DirectExecutor):
            executor.kill_worker(pid)


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return DirectBackend
