"""How a node's exception travels from a worker to the driver, however awkward it is."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._protocol.sources import with_sources
from motorpool._store import make_exception, state_of
from motorpool._system.exceptions import add_note, causes, set_attributes, set_cause
from motorpool._system.interpreters import is_beside_others
from motorpool.errors import NodeError, RemoteError, WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PACKAGE = str(Path(__file__).parents[1])
# A message of this size fits on a screen many times over; some hold a whole table.
_LONGEST_TEXT = 64 * 1024
# What an exception was raised from, and so on, as far as it travels.
_LONGEST_CHAIN = 50


# By position in a list: its cause and its context, and whether the context is not to be shown.
_Link = tuple[int | None, int | None, bool]


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

    It goes with what it was raised from, and each of these as it is or, if that cannot be pickled,
    by its parts, of which some may be described only. All are unpickled once here: an exception
    whose constructor takes other arguments pickles well, and fails only where it arrives.
    """
    obstacles: list[str] = []

    def fitting(one: BaseException) -> Any:
        """What to pickle for an exception; None if that cannot be done."""
        for way in (one, _Parts(one, dumps)):
            try:
                if type(loads(dumps(way))) is type(one):
                    return way
                obstacles.append("it unpickles as something else")
            except BaseException as problem:  # noqa: BLE001, code of the exception's own runs here
                obstacles.append(f"it cannot be pickled: {summary_of(problem)}")
        return None

    chain = _Chain(error)
    first, *others = map(fitting, chain.errors)
    pickled = None if first is None else dumps(chain.of([first, *others]))
    obstacle = obstacles[0] if first is None else ""
    return Failure(pickled, summary_of(error), format_error(error), obstacle)


class _Chain:
    """An exception, what it was raised from, and what was handled meanwhile.

    Args:
        error: The exception.

    Attributes:
        errors: All of them, this one first.
    """

    def __init__(self, error: BaseException) -> None:
        self.errors = [error]
        self._links: list[_Link] = []
        for each in self.errors:  # which grows
            cause, context = self._index(each.__cause__), self._index(each.__context__)
            self._links.append((cause, context, each.__suppress_context__))

    def _index(self, error: BaseException | None) -> int | None:
        if error is None:
            return None
        for index, known in enumerate(self.errors):
            if known is error:
                return index
        if len(self.errors) == _LONGEST_CHAIN:
            return None
        self.errors.append(error)
        return len(self.errors) - 1

    def of(self, parts: list[Any]) -> _Linked:
        """What to pickle, given what to pickle for each; None for those that cannot be."""
        return _Linked(parts, self._links)


class _Linked:
    """Unpickles as an exception, linked to others."""

    def __init__(self, errors: list[Any], links: list[_Link]) -> None:
        self._errors, self._links = errors, links

    def __reduce__(self) -> tuple[Any, ...]:
        return _linked, (self._errors, self._links)


def _linked(errors: list[BaseException | None], links: list[_Link]) -> BaseException | None:
    for error, (cause, context, suppress) in zip(errors, links, strict=True):
        if error is not None:
            attributes: dict[str, Any] = {}
            if context is not None:
                attributes["__context__"] = errors[context]
            if cause is not None:
                attributes["__cause__"] = errors[cause]
            set_attributes(error, attributes | {"__suppress_context__": suppress})
    return errors[0]


class _Parts:
    """Unpickles as an exception, made without its `__init__`, of the parts that can be pickled.

    Args:
        error: The exception.
        dumps: The backend's.
    """

    def __init__(self, error: BaseException, dumps: Callable[[Any], bytes]) -> None:
        self._error, self._dumps = error, dumps

    def __reduce__(self) -> tuple[Any, ...]:
        error = self._error
        arguments = tuple(map(self._part, error.args))
        state = {name: self._part(value) for name, value in state_of(error).items()}
        return make_exception, (type(error), arguments), state, None, None, set_attributes

    def _part(self, part: Any) -> Any:
        try:
            self._dumps(part)
        except Exception:  # noqa: BLE001, whatever pickling raises
            return f"[stays in the worker: {_shown(part)}]"
        return part


def _shown(value: Any) -> str:
    try:
        return repr(value)[:200]
    except Exception:  # noqa: BLE001, code of the value's own
        return f"a {type(value).__name__}"


def unpack(failure: Failure, loads: Callable[[bytes], Any]) -> BaseException:
    """Return the exception, with the remote traceback as its first cause."""
    error: BaseException | None = None
    if failure.pickled is not None:
        try:
            error = loads(failure.pickled)
        except BaseException:  # noqa: BLE001, its module may be missing here
            error = None
    if error is None:
        obstacle = failure.obstacle or "it cannot be unpickled here"
        error = RemoteError(f"{failure.summary} (the exception itself stays behind: {obstacle})")
    *_, first = causes(error)
    set_cause(first, RemoteTraceback(with_sources(failure.traceback)))
    return error


def remote_traceback(error: BaseException) -> RemoteTraceback | None:
    """The remote traceback of an exception that has come from a worker, or None."""
    return next((e for e in causes(error) if isinstance(e, RemoteTraceback)), None)


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
    ours: BaseException
    if isinstance(error, SystemExit):
        ours = crash = WorkerCrashedError(
            f"The node called sys.exit({error.code!r}). Let it raise instead."
        )
        crash.pid, crash.exitcode = os.getpid(), error.code if isinstance(error.code, int) else 1
    elif isinstance(error, KeyboardInterrupt):
        ours = NodeError("The node raised KeyboardInterrupt.")
    else:
        return error
    notes = getattr(error, "__notes__", None)
    for note in notes if isinstance(notes, list) else ():
        add_note(ours, note)
    return ours.with_traceback(error.__traceback__)


def explain_terminal(error: BaseException) -> None:
    """Note on what `input()` and `breakpoint()` raise in a worker where they work."""
    if type(error) is EOFError or type(error).__name__ == "BdbQuit" or _has_left_pdb(error):
        add_note(
            error,
            "A node in another process has no terminal to read from. To use input(), breakpoint() "
            "or a debugger in it, run on the backend 'sequential'.",
        )


def _has_left_pdb(error: BaseException) -> bool:
    """Whether this is how a debugger that cannot read ends; from Python 3.14 on, by sys.exit."""
    if not isinstance(error, SystemExit):
        return False
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == "pdb" for frame, _ in frames)


def explain_interpreter(error: BaseException) -> None:
    """Note on an import that fails because of where the node runs which module it is."""
    if not isinstance(error, ImportError) or not is_beside_others():
        return
    if "subinterpreter" in str(error):  # numpy says so at great length
        add_note(
            error,
            "The node runs in an interpreter beside others in one process, where numpy and most "
            "other extension modules cannot be loaded. Run it on threads or in a process.",
        )


def explain_readonly(error: BaseException) -> None:
    """Say what to do where a node has tried to change an input of `readonly_inputs`."""
    text = summary_of(error).lower()
    if "read-only" in text or "readonly" in text:
        add_note(
            error,
            "The run has readonly_inputs=True: a node that changes an input makes a copy first, "
            "as by `data = data.copy()`; or leave it out, and each node has a copy of its own.",
        )
