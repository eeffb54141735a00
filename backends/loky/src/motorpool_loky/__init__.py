"""The backend `loky`: loky's worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing import resource_tracker as python_tracker
from typing import TYPE_CHECKING

import loky
from loky.backend import get_context, resource_tracker

from motorpool import Capabilities, ExecutorBackend, Isolation, hookimpl
from motorpool.processes import (
    interpreter_variables,
    interrupts_deferred,
    refuse_frozen,
    starting_processes,
    watch_shutdown,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["LokyBackend", "LokyOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LokyOptions:
    """Options of the backend `loky`.

    Attributes:
        idle_timeout: End a worker that has had nothing to do for so many seconds.
    """

    idle_timeout: float | None = None

    def __post_init__(self) -> None:
        """Check the number."""
        if self.idle_timeout is not None and self.idle_timeout <= 0:
            raise ValueError(f"idle_timeout must be positive, not {self.idle_timeout!r}.")


class _Executor(loky.ProcessPoolExecutor):  # type: ignore[misc]
    """Starts workers with Ctrl-C blocked, until they say that they leave it to the driver."""

    def _adjust_process_count(self) -> None:
        for tracker in (resource_tracker, python_tracker):  # starting one would unblock it
            tracker.ensure_running()
        with starting_processes(), interrupts_deferred(forking=False):
            super()._adjust_process_count()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers; loky's own cannot cancel what is queued."""
        if cancel_futures:
            for item in list(self._pending_work_items.values()):
                item.future.cancel()
        watch_shutdown(self)
        super().shutdown(wait=wait)


class LokyBackend(ExecutorBackend):
    """Runs nodes in loky's process pool, which starts workers by fork and exec."""

    name = "loky"
    capabilities = Capabilities(isolation=Isolation.PROCESS)
    options_type = LokyOptions

    def _get_executor(self, max_workers: int) -> Executor:
        refuse_frozen("loky")
        executor: Executor = _Executor(
            max_workers,
            context=get_context("loky"),  # its others run the user's script again
            timeout=self.options.idle_timeout,
            initializer=self.initializer,
            env=interpreter_variables(),
        )
        return executor

    def worker_pids(self, executor: Executor) -> list[int]:
        """Process ids of the live workers."""
        return list(getattr(executor, "_processes", None) or ())


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return LokyBackend
