"""The backend `threads`: nodes that release the GIL, or wait for others, in threads."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor

from motorpool.backend import Capabilities, ExecutorBackend, Isolation
from motorpool.hookspecs import hookimpl


class ThreadsBackend(ExecutorBackend):
    """Runs nodes in threads of this process: no copies, no start-up, one GIL."""

    name = "threads"
    capabilities = Capabilities(isolation=Isolation.THREAD)

    def _get_executor(self, max_workers: int) -> Executor:
        return ThreadPoolExecutor(max_workers, thread_name_prefix="motorpool")


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return ThreadsBackend
