"""What to say of a worker that died, or had to."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from motorpool._protocol.sources import with_sources
from motorpool._system.exceptions import add_note
from motorpool.errors import (
    MotorpoolError,
    NodeTimeoutError,
    OutOfMemoryError,
    WorkerCrashedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a signal that kills a process usually means for the code that ran in it.
_HINTS = {
    "SIGABRT": "A C or C++ library gave up (abort); its message is above, on standard error.",
    "SIGBUS": "A mapped file was cut short, or memory is misaligned.",
    "SIGFPE": "A C extension divided by zero.",
    "SIGILL": "A compiled library wants a newer processor.",
    "SIGKILL": "It was killed; mostly by the kernel, when memory runs out: look at `dmesg`, run "
    "fewer workers, or give the node smaller pieces.",
    "SIGSEGV": "A C extension touched memory that is not its own, or the stack overflowed.",
    "SIGTERM": "It was asked to end.",
}

# What faulthandler calls them.
_FAULTS = {
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Floating-point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
    "Segmentation fault": "SIGSEGV",
}

_FIGURES = {
    "held": "The worker held {:,.0f} MiB when it was last looked at.",
    "peak": "All processes and values of the run, and what shares its control group, held "
    "{:,.0f} MiB at most.",
    "limit": "The control group may hold {:,.0f} MiB.",
}


def crash_error(
    *, node: str, backend: str, pid: int | None, exitcode: int | None, last_words: str,
    reason: str = "",
) -> WorkerCrashedError:  # fmt: skip
    """The error of a node whose worker died.

    Args:
        node: Name of the node.
        backend: Name of the backend.
        pid: Process id of the worker, if known.
        exitcode: Its exit code, negative for a signal, if known.
        last_words: What faulthandler wrote, if anything.
        reason: Why its pool ended it, if it did.
    """
    if exitcode is None:
        exitcode = _fault_in(last_words)
    how = "its last words were:" if exitcode is None and last_words else end_of(exitcode)
    error = WorkerCrashedError(
        f"{_worker(pid)} that ran the node {node!r} died: {reason or how}"
        + (f"\n{with_sources(last_words)}" if last_words else ""),
        node=node,
        backend=backend,
    )
    error.pid, error.exitcode, error.last_words, error.reason = pid, exitcode, last_words, reason
    return error


def memory_error(
    *, node: str, backend: str, pid: int | None, exitcode: int | None,
    alone: bool, figures: Mapping[str, int | None],
) -> OutOfMemoryError:  # fmt: skip
    """The error of a node whose worker the kernel killed for want of memory.

    Args:
        node: Name of the node.
        backend: Name of the backend.
        pid: Process id of the worker, if known.
        exitcode: Its exit code, if known.
        alone: Whether no other node ran beside it.
        figures: Bytes: what the worker `held`, the `peak` and the `limit` of the control group.
    """
    known = [
        text.format(value / 2**20)
        for name, text in _FIGURES.items()
        if (value := figures[name]) is not None
    ]
    error = OutOfMemoryError(
        f"{_worker(pid)} that ran the node {node!r} was killed by the kernel: out of memory"
        f"{', with no other node beside it' if alone else ''}. {' '.join(known)} Give the node "
        "smaller pieces, or the machine or container more memory.",
        node=node,
        backend=backend,
    )
    error.pid, error.exitcode = pid, exitcode
    error.held, error.peak, error.limit = figures["held"], figures["peak"], figures["limit"]
    return error


def _worker(pid: int | None) -> str:
    return "The worker" if pid is None else f"The worker (pid {pid})"


def timeout_error(
    *, node: str, backend: str, pid: int | None, limit: float | None
) -> NodeTimeoutError:
    """The error of a node that ran past its deadline.

    Args:
        node: Name of the node.
        backend: Name of the backend.
        pid: Process id of the worker, if known.
        limit: The time that the node had, in seconds.
    """
    return NodeTimeoutError(
        f"The node {node!r} ran longer than its timeout of {limit:g} s, and its worker "
        f"(pid {pid}) was ended. Give it more time, or make it faster.",
        node=node,
        backend=backend,
    )


def noted(error: BaseException, node: str, backend: str, pid: int | None) -> BaseException:
    """Note on a node's own exception where it comes from; return it."""
    worker = "" if pid is None else f", worker {pid}"
    add_note(error, f"in node {node!r}, on backend {backend!r}{worker}")
    if isinstance(error, MotorpoolError):
        error.node, error.backend = error.node or node, error.backend or backend
    return error


def _fault_in(last_words: str) -> int | None:
    """The exit code of a process with these last words, if faulthandler says by which signal."""
    for text, name in _FAULTS.items():
        if f"Fatal Python error: {text}" in last_words:
            return -int(getattr(signal, name))
    return None


def end_of(exitcode: int | None) -> str:
    """How a worker ended, as a sentence, and what that means."""
    if exitcode is None:
        return "its pool does not say how. The backend 'direct' does."
    if exitcode >= 0:
        return (
            f"it exited with code {exitcode}. The node, or a library it uses, called os._exit, or "
            "closed descriptors that were not its own."
        )
    name = _signal_name(-exitcode)
    return f"it was ended by {name}. {_HINTS.get(name, '')}".rstrip()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number} ({sys.platform})"
