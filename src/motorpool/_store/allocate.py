"""Arrays that are made where others will read them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

# Returns so many bytes of a store, or None if it has no room.
Source = Callable[[int], memoryview | None]

# Up to here an array travels with the envelope, and a page of its own would be wasted.
_LEAST = 64 * 1024
# The source of the node that runs in this thread, and those of all nodes that run in this process:
# a thread that a node has started has none of its own.
_source: ContextVar[Source | None] = ContextVar("_source", default=None)
_active: list[Source] = []


class allocating:  # noqa: N801, in a `with` statement it reads as a function does
    """Let `allocate` take memory from a store, for as long as a node runs.

    Args:
        source: Where from.
    """

    __slots__ = ("_new", "_token")

    def __init__(self, source: Source) -> None:
        self._new = source

    def __enter__(self) -> None:
        self._token: Token[Source | None] = _source.set(self._new)
        _active.append(self._new)

    def __exit__(self, *exc_info: object) -> None:
        _active.remove(self._new)
        _source.reset(self._token)


def _current_source() -> Source | None:
    """The source of the node that calls; None if it is not known which one, or there is none."""
    source = _source.get()
    if source is None:
        active = _active.copy()  # a node may end meanwhile
        return active[0] if len(active) == 1 else None
    return source


def allocate(shape: int | tuple[int, ...], dtype: DTypeLike = "float64") -> np.ndarray[Any, Any]:
    """Make an array for a node to fill and return, in the memory that its readers will map.

    To return such an array, or views of it, copies nothing. What the node writes to it after it
    has returned is seen by no reader. Outside of a node, on backends that run in this process,
    and where shared memory is full, it is an array like any other.

    Args:
        shape: Its shape; a number stands for one dimension.
        dtype: Its type; any that holds no Python objects.

    Returns:
        An array with arbitrary contents, as `numpy.empty` gives.

    Raises:
        ValueError: If a dimension is negative.
        TypeError: If the type holds Python objects.
    """
    import numpy  # noqa: ICN001, PLC0415, there is numpy where arrays are

    kind = numpy.dtype(dtype)
    sizes = tuple(map(operator.index, shape if numpy.iterable(shape) else (shape,)))
    sizes, kind = (*sizes, *kind.shape), kind.base
    if kind.hasobject:
        raise TypeError(f"An array of {kind} holds Python objects, which cannot be shared.")
    size = math.prod(sizes) * kind.itemsize
    source = _current_source() if size > _LEAST else None
    memory = None if source is None else source(size)
    if memory is None:
        return numpy.empty(sizes, kind)
    return numpy.frombuffer(memory, "u1").view(kind).reshape(sizes)
