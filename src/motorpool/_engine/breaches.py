"""What to say of an executor that does not do what the contract of a backend asks of it."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, Any

from motorpool.errors import BrokenBackendError, MotorpoolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

# What the engine asks of a handle on what was submitted.
_METHODS = ("add_done_callback", "cancel", "cancelled", "exception", "result")


def submitted(submit: Callable[[], Future[Any]], backend: str, node: str) -> Future[Any]:
    """Submit something, and return its future.

    Args:
        submit: Does it.
        backend: Name of the backend.
        node: Name of the first node of it.

    Raises:
        BrokenExecutor: If the executor has broken.
        BrokenBackendError: If it does not do as it should.
    """
    try:
        future = submit()
    except (BrokenExecutor, MotorpoolError):
        raise
    except Exception as error:
        raise submit_raised(backend, node, error) from error
    if not all(callable(getattr(future, name, None)) for name in _METHODS):
        raise no_future(backend, node, future)
    return future


def submit_raised(backend: str, node: str, error: BaseException) -> BrokenBackendError:
    """The error of a node that an executor did not take.

    Args:
        backend: Name of the backend.
        node: Name of the node.
        error: What `submit` has raised.
    """
    return _breach(
        backend, node,
        f"`submit` raised {type(error).__name__}: {error}",
        "it returns a Future, or raises BrokenExecutor (of concurrent.futures) when the executor "
        "has to be replaced. After `shutdown` an executor takes no more nodes.",
    )  # fmt: skip


def no_future(backend: str, node: str, found: object) -> BrokenBackendError:
    """The error of a node for which `submit` has returned something else than a Future."""
    return _breach(
        backend, node,
        f"`submit` returned {_shown(found)}",
        "it returns a concurrent.futures.Future, or what has all of its methods. For pools that "
        "have other handles, `motorpool.adapters` makes executors.",
    )  # fmt: skip


def wrong_result(backend: str, node: str, found: object) -> BrokenBackendError:
    """The error of a node whose future has something else than what its call returned."""
    return _breach(
        backend, node,
        f"the result of a future was {_shown(found)}",
        "it is what the submitted function has returned (bytes, from a process), unchanged.",
    )  # fmt: skip


def lost_future(backend: str, node: str, seconds: float) -> BrokenBackendError:
    """The error of a node that an executor has lost.

    Args:
        backend: Name of the backend.
        node: Name of the node.
        seconds: For how long nothing was heard of it.
    """
    return _breach(
        backend, node,
        f"nothing has been heard of the node for {seconds:.0f} s, while all workers were idle or "
        "dead",
        "each future that `submit` has returned is done at some time: with the result, with the "
        "exception, with BrokenExecutor or WorkerCrashedError when its worker died, or cancelled.",
    )  # fmt: skip


def silent_death(backend: str, node: str, seconds: float) -> BrokenBackendError:
    """Why it took so long to notice that a worker had died, which its executor did not say."""
    return _breach(
        backend, node,
        f"its worker has been dead for {seconds:.0f} s, and the future was not done",
        "the future of a worker that died fails, with BrokenExecutor or WorkerCrashedError.",
    )  # fmt: skip


def _breach(backend: str, node: str, what: str, contract: str) -> BrokenBackendError:
    return BrokenBackendError(
        f"The executor of the backend {backend!r} breaks its contract, at the node {node!r}: "
        f"{what}. What the contract asks: {contract}",
        node=node,
        backend=backend,
    )


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001, code of the value's own
        text = "..."
    kind = type(value).__name__
    return "None" if value is None else f"a {kind}: {text[:80]}{'...' if len(text) > 80 else ''}"  # noqa: PLR2004, a line
