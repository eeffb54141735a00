"""Notes and causes of exceptions whose own class does not let them be set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def set_attributes(error: BaseException, attributes: Mapping[str, Any]) -> None:
    """Set attributes of an exception, past a `__setattr__` of its class, as of a frozen one."""
    for name, value in attributes.items():
        try:
            object.__setattr__(error, name, value)
        except (AttributeError, TypeError):  # a property, or a slot that is gone
            vars(error)[name] = value


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an exception, if there is any place for it."""
    try:
        error.add_note(note)
    except Exception:  # noqa: BLE001, whatever its class raises; the note is not worth it
        notes = getattr(error, "__notes__", None)
        set_attributes(error, {"__notes__": [*(notes if isinstance(notes, list) else ()), note]})


def set_cause(error: BaseException, cause: BaseException) -> None:
    """Set what an exception is raised from."""
    object.__setattr__(error, "__cause__", cause)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, what it was raised from, what that was raised from, and so on; each once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__
