"""The backend `loky`: loky's worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import loky
from loky.backend import get_context

from motorpool import Capabilities, ExecutorBackend, Isolation, hookimpl

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["LokyBackend", "LokyOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LokyOptions:
    """Options of the backend `loky`.

    Attributes:
        context: How workers start, one of loky's contexts.
        idle_timeout: End a worker that has had nothing to do for so many seconds.
    """

    context: str = "loky"
    idle_timeout: float | None = None

    def __post_init__(self) -> None:
        """Check the context's name."""
        if self.context not in {"loky", "loky_init_main", "spawn"}:
            raise ValueError(
                f"context must be 'loky', 'loky_init_main' or 'spawn', not {self.context!r}."
            )


class LokyBackend(ExecutorBackend):
    """Runs nodes in loky's process pool, which starts workers by fork and exec."""

    name = "loky"
    capabilities = Capabilities(isolation=Isolation.PROCESS)
    options_type = LokyOptions

    def _get_executor(self, max_workers: int) -> Executor:
        executor: Executor = loky.ProcessPoolExecutor(
            max_workers,
            context=get_context(self.options.context),
            timeout=self.options.idle_timeout,
            initializer=self.initializer,
        )
        return executor

    def worker_pids(self, executor: Executor) -> list[int]:
        """Process ids of the live workers."""
        return list(getattr(executor, "_processes", None) or ())


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return LokyBackend
