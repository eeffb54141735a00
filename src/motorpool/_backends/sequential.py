"""The backend `sequential`: one node after the other, in the calling thread."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from motorpool.backend import Capabilities, ExecutorBackend, Isolation
from motorpool.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable


class SequentialExecutor(Executor):
    """Runs each task when it is submitted."""

    def __init__(self) -> None:
        self._shut_down = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a task; return its finished future.

        Raises:
            RuntimeError: After `shutdown`.
        """
        if self._shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001, an executor hands on whatever a task raises
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Take no more tasks; none is ever waiting."""
        self._shut_down = True


class SequentialBackend(ExecutorBackend):
    """Runs nodes one after the other, in this process: for debugging, and to compare with."""

    name = "sequential"
    capabilities = Capabilities(isolation=Isolation.NONE)
    #: There is one, whatever was asked for.
    workers = 1

    def _get_executor(self, max_workers: int) -> Executor:  # noqa: ARG002, there is one
        return SequentialExecutor()


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return SequentialBackend
