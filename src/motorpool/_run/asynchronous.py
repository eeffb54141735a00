"""Runs beside the event loop of asyncio."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from motorpool._system.signals import Cancellation

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool._run.result import RunResult

T = TypeVar("T")


class AsyncRuns:
    """What a runner has for coroutines."""

    _outcome: Callable[..., RunResult | BaseException]

    async def arun(
        self,
        pipeline: Any,
        catalog: Any,
        hook_manager: Any = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
        resume: str | bool = False,
    ) -> RunResult:
        """Run a pipeline from a coroutine, in a thread beside the event loop.

        The arguments, the result and the errors are those of `run`. A task that is cancelled ends
        the run as Ctrl-C does, and is done when the workers have ended; a node that runs in a
        thread of this process cannot be ended, and with the backend `sequential` is waited for.
        """
        outcome = await _beside_loop(
            self._outcome, pipeline, catalog, hook_manager, run_id, only_missing_outputs, resume
        )
        if not isinstance(outcome, BaseException):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # as in `run`


async def _beside_loop(run: Callable[..., T], *arguments: Any) -> T:
    """Run in a thread, which has this task's context.

    Args:
        run: Called with the arguments, and a `Cancellation` after them.
        *arguments: For it.

    Returns:
        What it returns.

    Raises:
        asyncio.CancelledError: If the task is cancelled, as soon as the run has ended.
    """
    import asyncio  # noqa: PLC0415, takes 30 ms that `import motorpool` must not

    cancellation = Cancellation()
    running = asyncio.ensure_future(asyncio.to_thread(run, *arguments, cancellation))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancellation.cancel()
        while not running.done():  # who cancels it again has to wait as well
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        running.cancelled() or running.exception()  # which is no news to anyone
        raise
