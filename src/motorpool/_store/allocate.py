"""Arrays that are made where others will read them."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import DTypeLike

# Up to here an array travels with the envelope, and a page of its own would be wasted.
_LEAST = 64 * 1024
_takers: list[Callable[[int], memoryview | None]] = []


class allocating:  # noqa: N801, in a `with` statement it reads as a function does
    """Let `allocate` take memory from a store, for as long as a node runs."""

    __slots__ = ("_take",)

    def __init__(self, take: Callable[[int], memoryview | None]) -> None:
        self._take = take

    def __enter__(self) -> None:
        _takers.append(self._take)

    def __exit__(self, *exc_info: object) -> None:
        _takers.pop()


def allocate(shape: int | tuple[int, ...], dtype: DTypeLike = "float64") -> np.ndarray[Any, Any]:
    """Make an array for a node to fill and return, in the memory that its readers will map.

    To return such an array, or views of it, copies nothing. What the node writes to it after it
    has returned is seen by nobody else. Outside of a node, on backends that run in this process,
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
    import numpy  # noqa: ICN001, PLC0415, whoever wants an array has numpy

    kind = numpy.dtype(dtype)
    sizes = tuple(map(operator.index, shape if numpy.iterable(shape) else (shape,)))
    sizes, kind = (*sizes, *kind.shape), kind.base
    if kind.hasobject:
        raise TypeError(f"An array of {kind} holds Python objects, which cannot be shared.")
    size = math.prod(sizes) * kind.itemsize
    memory = _takers[-1](size) if _takers and size > _LEAST else None
    if memory is None:
        return numpy.empty(sizes, kind)
    return numpy.frombuffer(memory, "u1").view(kind).reshape(sizes)
