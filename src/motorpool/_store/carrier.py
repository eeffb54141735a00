"""A value that brings what the names of `__main__` that it refers to stand for."""

from __future__ import annotations

from typing import Any

from motorpool._store.script_module import define, second


class Carrier:
    """Unpickles as a value, once what its classes' names stand for is known.

    Args:
        value: The value.
        pickles: Of the names.
    """

    def __init__(self, value: Any, pickles: dict[str, bytes]) -> None:
        self._value, self._pickles = value, pickles

    def __reduce__(self) -> tuple[Any, ...]:
        return second, (_Defining(self._pickles), self._value)


class _Defining:
    """Unpickles as nothing, and lets the names be known."""

    def __init__(self, pickles: dict[str, bytes]) -> None:
        self._pickles = pickles

    def __reduce__(self) -> tuple[Any, ...]:
        return define, (self._pickles,)
