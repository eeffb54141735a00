"""The backend `process`: the standard library's ProcessPoolExecutor."""

from __future__ import annotations

import concurrent.futures.process
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motorpool.backend import Capabilities, ExecutorBackend, Isolation
from motorpool.hookspecs import hookimpl
from motorpool.processes import (
    StartMethod,
    is_running,
    start_server,
    watch_shutdown,
    worker_context,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from concurrent.futures import Future

# Processes to remember past their end, which with `max_tasks_per_child` comes often; each holds a
# descriptor.
_MANY = 100
# How long (s) a pool's thread may take to reap workers that have ended.
_REAP_TIME = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """Options of the backend `process`.

    Attributes:
        start_method: How workers start; by default forkserver on Linux, spawn elsewhere.
        max_tasks_per_child: Replace a worker after so many tasks.

    Raises:
        ValueError: If the number of tasks is not positive, or this Python would hang with it.
    """

    start_method: StartMethod | None = None
    max_tasks_per_child: int | None = None

    def __post_init__(self) -> None:
        tasks = self.max_tasks_per_child
        if tasks is None:
            return
        if tasks < 1:
            raise ValueError(f"max_tasks_per_child must be at least 1, not {tasks}.")
        if self.start_method == "fork":
            raise ValueError("max_tasks_per_child does not go with start_method='fork'.")
        if tasks > 1 and not _replaces_workers():
            raise ValueError(
                f"max_tasks_per_child={tasks} makes this Python's ProcessPoolExecutor hang "
                "(https://github.com/python/cpython/issues/115634). Use 1, a newer Python, or the "
                "backend 'direct', which has the same option."
            )


def _replaces_workers() -> bool:
    """Whether this Python's pool replaces each worker that has done its tasks.

    So it does where a class of the module has this method, which some releases of 3.13 to 3.15
    brought, and never in 3.11 and 3.12 (python/cpython#140900); with one task a worker the
    mistaken count cannot arise.
    """
    classes = [
        kind for kind in vars(concurrent.futures.process).values() if isinstance(kind, type)
    ]
    return any("_replace_dead_worker" in vars(kind) for kind in classes)


class ProcessBackend(ExecutorBackend):
    """Runs nodes in the standard library's process pool."""

    name = "process"
    capabilities = Capabilities(isolation=Isolation.PROCESS)
    options_type = ProcessOptions

    def _get_executor(self, max_workers: int) -> Executor:
        return _Executor(
            max_workers,
            mp_context=worker_context(self.options.start_method),
            max_tasks_per_child=self.options.max_tasks_per_child,
            initializer=self.initializer,
        )

    def warm_up(self) -> None:
        """Start the server that workers are forked from."""
        start_server(self.options.start_method)

    def worker_pids(self, executor: Executor) -> list[int]:
        """Process ids of the live workers."""
        started = getattr(executor, "started", [])
        return [p.pid for p in started if p.pid and is_running(p)]

    def exitcode(self, executor: Executor, pid: int) -> int | None:
        """Exit code of a worker, after `shutdown`: the pool's own thread reaps it before that."""
        manager = getattr(executor, "manager", None)
        if manager is not None:
            manager.join(_REAP_TIME)  # until it has asked, see `is_running`
        found = [p for p in getattr(executor, "started", []) if p.pid == pid]
        return found[0].exitcode if found else None


class _Executor(ProcessPoolExecutor):
    """Remembers the processes that it has started, past their end, and notices when one dies."""

    def __init__(self, max_workers: int, *, mp_context: Any, **options: Any) -> None:
        self.started: list[Any] = []
        self.manager: threading.Thread | None = None
        process_class, started = mp_context.Process, self.started

        def start_process(*args: Any, **kwargs: Any) -> Any:
            process = process_class(*args, **kwargs)
            if len(started) > _MANY:  # those that have ended well are of no interest
                started[:] = [p for p in started if is_running(p) or p.exitcode != 0]
            started.append(process)
            return process

        mp_context.Process = start_process
        super().__init__(max_workers, mp_context=mp_context, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Remember the pool's thread, which ends when its workers have, and see that they can."""
        self.manager = getattr(self, "_executor_manager_thread", None) or self.manager
        watch_shutdown(self)
        super().shutdown(wait=wait, cancel_futures=cancel_futures)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Say of a pool that breaks in this very moment that it is broken.

        A worker that is being started then finds the queues closed, which is an OSError.
        """
        known = self.started[-1:]
        try:
            future = super().submit(fn, *args, **kwargs)
        except (OSError, ValueError) as error:
            if not getattr(self, "_broken", False):
                raise
            raise BrokenProcessPool(str(error)) from error
        if self.started[-1:] != known:
            self._watch_new_worker()
        return future

    def _watch_new_worker(self) -> None:
        """Let the pool's thread wait for the new worker's death as well.

        It lists whom to wait for when it is woken, and `submit` wakes it before it starts the
        worker: that one's death would go unnoticed until another one has a result.
        """
        wakeup = getattr(self, "_executor_manager_thread_wakeup", None)
        if wakeup is not None:
            with self._shutdown_lock:
                wakeup.wakeup()


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return ProcessBackend
