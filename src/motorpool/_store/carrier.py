"""A value that brings what the names of `__main__` that it refers to stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._store.script_module import define, second

if TYPE_CHECKING:
    from motorpool._store.out_of_band import Pickled


class Carrier:
    """Unpickles as a value, once what its classes' names stand for is known.

    Args:
        value: The value.
        pickles: Of the names.
    """

    def __init__(self, value: Any, pickles: dict[str, Pickled]) -> None:
        self._value, self._pickles = value, pickles

    def __reduce__(self) -> tuple[Any, ...]:
        return second, (_Defining(self._pickles), self._value)


class _Defining:
    """Unpickles as nothing, and lets the names be known."""

    def __init__(self, pickles: dict[str, Pickled]) -> None:
        self._pickles = pickles

    def __reduce__(self) -> tuple[Any, ...]:
        return define, (self._pickles,)
