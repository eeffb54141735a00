"""How a node's exception travels from a worker to the driver, however awkward it is."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool.errors import NodeError, RemoteError, WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PACKAGE = str(Path(__file__).parents[1])
# A message of this size fits on a screen many times over; some hold a whole table.
_LONGEST_TEXT = 64 * 1024


class Failure(NamedTuple):
    """An exception, packed.

    Attributes:
        pickled: The exception itself, or None if it cannot be pickled and unpickled.
        obstacle: Why it cannot; empty if it can.
        summary: Its type and text.
        traceback: As the worker would have printed it, from the node's own code on.
    """

    pickled: bytes | None
    summary: str
    traceback: str
    obstacle: str


class RemoteTraceback(Exception):  # noqa: N818, the name that concurrent.futures gives it
    """The traceback of an exception in the process that raised it; shown as its cause."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def pack(
    error: BaseException, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]
) -> Failure:
    """Pack an exception, with its traceback as text.

    It is unpickled once here: an exception whose constructor takes other arguments pickles well,
    and fails only where it arrives.
    """
    pickled, obstacle = None, ""
    try:
        data = dumps(error)
        try:
            pickled = data if type(loads(data)) is type(error) else None
            obstacle = "" if pickled else "it unpickles as something else"
        except BaseException as problem:  # noqa: BLE001, code of the exception's own runs here
            obstacle = (
                f"it cannot be unpickled: {summary_of(problem)}; let its __init__ pass all of its "
                "arguments to super().__init__, or define __reduce__"
            )
    except BaseException as problem:  # noqa: BLE001, same
        obstacle = f"it cannot be pickled: {summary_of(problem)}"
    return Failure(pickled, summary_of(error), format_error(error), obstacle)


def unpack(failure: Failure, loads: Callable[[bytes], Any]) -> BaseException:
    """Return the exception, with the remote traceback as its cause."""
    error: BaseException | None = None
    if failure.pickled is not None:
        try:
            error = loads(failure.pickled)
        except BaseException:  # noqa: BLE001, its module may be missing here
            error = None
    if error is None:
        obstacle = failure.obstacle or "it cannot be unpickled here"
        error = RemoteError(f"{failure.summary} (the exception itself stays behind: {obstacle})")
    error.__cause__ = RemoteTraceback(failure.traceback)
    return error


def format_error(error: BaseException) -> str:
    """Format an exception without the frames of this package that lead to the node's code."""
    try:
        lines = traceback.format_exception(type(error), error, own_frames(error.__traceback__))
        text = "".join(lines)
    except Exception:  # noqa: BLE001, a broken __str__ must not hide the failure
        text = summary_of(error)
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "\n[cut]\n"


def own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Skip the leading frames of this package; all are kept if there are no others."""
    first = tb
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        tb = tb.tb_next
    return tb or first


def summary_of(error: BaseException) -> str:
    """An exception's type and text, whatever its `__str__` does."""
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        text = str(error)
    except Exception:  # noqa: BLE001, as above
        text = "(its text cannot be shown)"
    return f"{name}: {text[:_LONGEST_TEXT]}"


def as_failure(error: BaseException) -> BaseException:
    """Turn SystemExit and KeyboardInterrupt, which would end the driver, into errors of ours."""
    if isinstance(error, SystemExit):
        crash = WorkerCrashedError(
            f"The node called sys.exit({error.code!r}). Let it raise instead."
        )
        crash.pid, crash.exitcode = os.getpid(), error.code if isinstance(error.code, int) else 1
        return crash.with_traceback(error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        return NodeError("The node raised KeyboardInterrupt.").with_traceback(error.__traceback__)
    return error


def explain_readonly(error: BaseException) -> None:
    """Say what to do where a node has tried to change an input of `readonly_inputs`."""
    text = str(error).lower()
    if "read-only" in text or "readonly" in text:
        error.add_note(
            "The run has readonly_inputs=True: a node that changes an input makes a copy first, "
            "as by `data = data.copy()`; or leave it out, and each node has a copy of its own."
        )
