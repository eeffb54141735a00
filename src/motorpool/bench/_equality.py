"""How far two values are apart: equal, equal but for rounding, or not.

Two runs of one pipeline may add up the same numbers in another order, as libraries do that have
more threads in one process than in another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

# How far into values that hold others.
_DEEPEST = 20


def apart(one: Any, other: Any) -> float:
    """As `distance`; infinity as well for those whose own code cannot compare them."""
    try:
        return distance(one, other)
    except Exception:  # noqa: BLE001, whatever `__eq__` raises
        return math.inf


def distance(one: Any, other: Any, depth: int = 0) -> float:
    """The largest relative difference of their floating-point numbers, if all else is equal.

    Two that are not a number are equal, as are tables whose columns lie in memory differently.

    Returns:
        0 for values that are equal; infinity for those that differ in more than such numbers.
    """
    if one is other:
        return 0.0
    if type(one) is not type(other) or depth > _DEEPEST:
        return math.inf
    package = type(one).__module__.partition(".")[0]
    compare = _BY_CLASS.get((package, type(one).__name__))
    if compare is None and package == "numpy" and getattr(one, "shape", None) == ():
        return distance(one.item(), other.item(), depth + 1)
    if compare is None:
        kinds = (found for kind, found in _BY_KIND.items() if isinstance(one, kind))
        compare = next(kinds, _of_objects)
    return compare(one, other, depth)


def _of_numbers(one: Any, other: Any, _depth: int) -> float:
    if one == other or (one != one and other != other):  # noqa: PLR0124, NaN
        return 0.0
    difference = abs(one - other)
    return difference / max(abs(one), abs(other)) if math.isfinite(difference) else math.inf


def _of_dicts(one: Any, other: Any, depth: int) -> float:
    if one.keys() != other.keys():
        return math.inf
    return _of_sequences([one[key] for key in one], [other[key] for key in one], depth)


def _of_sequences(one: Any, other: Any, depth: int) -> float:
    if len(one) != len(other):
        return math.inf
    pairs = zip(one, other, strict=True)
    return max((distance(a, b, depth + 1) for a, b in pairs), default=0.0)


def _of_objects(one: Any, other: Any, depth: int) -> float:
    """By their own equality, if they have one; else by their attributes."""
    if hasattr(one, "equals"):  # as tables' indexes have it
        return 0.0 if one.equals(other) else math.inf
    if (one == other) is True:
        return 0.0
    if type(one).__module__ == "builtins" or not hasattr(one, "__dict__"):
        return math.inf
    return distance(vars(one), vars(other), depth + 1)


def _of_arrays(one: Any, other: Any, depth: int) -> float:
    import numpy as np  # noqa: PLC0415, only those who have arrays have it

    if one.shape != other.shape or one.dtype != other.dtype:
        return math.inf
    if one.dtype.hasobject:
        return _of_sequences(one.ravel().tolist(), other.ravel().tolist(), depth)
    if one.dtype.kind not in "fc":
        return 0.0 if np.array_equal(one, other) else math.inf
    with np.errstate(all="ignore"):
        same = (one == other) | ((one != one) & (other != other))  # noqa: PLR0124, NaN
        ratios = np.abs(one - other) / np.maximum(np.abs(one), np.abs(other))
    left = ratios[~same]
    if not left.size:
        return 0.0
    return float(left.max()) if np.isfinite(left).all() else math.inf


def _of_pandas(one: Any, other: Any, depth: int) -> float:
    if one.shape != other.shape or not one.index.equals(other.index):
        return math.inf
    if one.ndim == 1:
        return _of_columns(one, other, one.name == other.name and one.dtype == other.dtype, depth)
    if not one.columns.equals(other.columns):
        return math.inf
    pairs = [(one.iloc[:, k], other.iloc[:, k]) for k in range(one.shape[1])]
    return max((_of_pandas(a, b, depth) for a, b in pairs), default=0.0)


def _of_columns(one: Any, other: Any, alike: bool, depth: int) -> float:
    if not alike or one.equals(other):
        return 0.0 if alike else math.inf
    return distance(one.to_numpy(), other.to_numpy(), depth + 1)


def _of_polars(one: Any, other: Any, depth: int) -> float:
    if one.shape != other.shape:
        return math.inf
    if not hasattr(one, "get_columns"):
        alike = one.name == other.name and one.dtype == other.dtype
        return _of_columns(one, other, alike, depth)
    columns = zip(one.get_columns(), other.get_columns(), strict=True)
    return max((_of_polars(a, b, depth) for a, b in columns), default=0.0)


def _of_arrow(one: Any, other: Any, depth: int) -> float:
    if not hasattr(one, "schema"):
        alike = len(one) == len(other) and one.type == other.type
        if not alike or one.equals(other):
            return 0.0 if alike else math.inf
        return distance(one.to_pylist(), other.to_pylist(), depth + 1)
    if one.schema != other.schema or one.num_rows != other.num_rows:
        return math.inf
    columns = zip(one.itercolumns(), other.itercolumns(), strict=True)
    return max((_of_arrow(a, b, depth) for a, b in columns), default=0.0)


_Compare = Callable[[Any, Any, int], float]
_BY_KIND: dict[type, _Compare] = {
    float: _of_numbers, complex: _of_numbers, dict: _of_dicts, list: _of_sequences,
    tuple: _of_sequences,
}  # fmt: skip
# By package and class, so that no library is imported.
_BY_CLASS: dict[tuple[str, str], _Compare] = {
    ("numpy", "ndarray"): _of_arrays,
    ("pandas", "DataFrame"): _of_pandas,
    ("pandas", "Series"): _of_pandas,
    ("polars", "DataFrame"): _of_polars,
    ("polars", "Series"): _of_polars,
    ("pyarrow", "Array"): _of_arrow,
    ("pyarrow", "ChunkedArray"): _of_arrow,
    ("pyarrow", "RecordBatch"): _of_arrow,
    ("pyarrow", "Table"): _of_arrow,
}
