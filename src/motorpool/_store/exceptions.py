"""How exceptions are pickled: with all of their state, whatever their classes let be set."""

from __future__ import annotations

import copyreg
from typing import Any

from motorpool._system.exceptions import set_attributes

# Exceptions of Python whose `__init__` sets what no attribute can set afterwards.
_INITIALISED = (
    AttributeError, ImportError, NameError, OSError, StopIteration, SyntaxError, SystemExit,
    UnicodeError,
)  # fmt: skip


def reduce_exception(error: BaseException) -> Any:
    """What `reducer_override` of a pickler returns for an exception.

    Python's own way calls the class with the arguments that the exception keeps, which need not be
    those that it takes; sets attributes one by one, which a frozen class refuses; and leaves out
    those in `__slots__`.

    Returns:
        A reduced value, or NotImplemented for one that pickles in a way of its own.
    """
    kind = type(error)
    if (
        kind.__reduce__ is not BaseException.__reduce__
        or kind.__reduce_ex__ is not object.__reduce_ex__
        or kind.__setstate__ is not BaseException.__setstate__
    ):
        return NotImplemented
    make = _call if isinstance(error, _INITIALISED) else make_exception
    return make, (kind, error.args), state_of(error) or None, None, None, set_attributes


def _call(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    return kind(*arguments)


def state_of(error: BaseException) -> dict[str, Any]:
    """All attributes of an exception but its `args`, also those that its class keeps in slots."""
    state = dict(vars(error)) if hasattr(error, "__dict__") else {}
    if isinstance(error, (AttributeError, NameError)) and error.name is not None:
        state["name"] = error.name  # no argument
    for name in copyreg._slotnames(type(error)):  # type: ignore[attr-defined]  # noqa: SLF001, as pickle
        if hasattr(error, name):
            state[name] = getattr(error, name)
    return state


def make_exception(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    """Make an exception without its `__init__`, as objects of other classes are unpickled."""
    base: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    error: BaseException = base.__new__(kind, *arguments)
    set_attributes(error, {"args": arguments})
    return error
