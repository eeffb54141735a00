"""What stands against a run, as the checks find it; the runner words the advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from motorpool._store import Undefined


class Problem(NamedTuple):
    """Something that cannot go to other processes.

    Attributes:
        text: Which it is, why it cannot, and what to do about it.
        subject: The thing itself.
        in_process_only: Whether pickling it otherwise would not help.
    """

    text: str
    subject: Any
    in_process_only: bool = False


def unpicklable_value(name: str, value: Any, error: Exception) -> Problem:
    """The problem of an input that cannot be pickled."""
    text = (
        f"the input {name!r}, a {type(value).__name__}, cannot be pickled: "
        f"{type(error).__name__}: {error}. Load it in a node, or from a dataset."
    )
    return Problem(text, value)


def undefined_problem(undefined: Undefined) -> Problem:
    """The problem of a name of the script whose value cannot be pickled."""
    name, error = undefined.name, undefined.error
    text = (
        f"the global {name!r} of the script cannot be pickled: {type(error).__name__}: {error}. "
        "An input, a dataset or a hook of the run refers to it."
    )
    return Problem(text, undefined.value)
