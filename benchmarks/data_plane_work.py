"""What the nodes of `data_plane.py` do; workers import it, so that it costs them nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from motorpool import allocate

MB = 1_000_000


@cache
def array_of(nbytes: int) -> np.ndarray:
    """Random numbers, the same each time, so that making them costs nothing."""
    return np.random.default_rng(1).random(nbytes // 8)


@cache
def table_of(kind: str) -> pd.DataFrame:
    """About 100 MB of numbers, or of texts in Arrow's form."""
    if kind == "numbers":
        return pd.DataFrame({f"c{i}": array_of(10 * MB) for i in range(10)})
    texts = pd.array([f"text number {i:09d}" for i in range(3_500_000)], "string[pyarrow]")
    return pd.DataFrame({"t": texts})


def make_array(_after: Any) -> np.ndarray:
    """100 MB."""
    return array_of(100 * MB)


def make_large(nbytes: int) -> np.ndarray:
    """So many bytes, to which no reference is kept."""
    return np.arange(nbytes // 8, dtype="float64")


def make_in_place(_after: Any) -> np.ndarray:
    """100 MB that lie in the store from the beginning."""
    array = allocate(100 * MB // 8)
    array[0] = array[-1] = 1.0
    return array


def make_numbers(_after: Any) -> pd.DataFrame:
    """A table of numbers."""
    return table_of("numbers")


def make_texts(_after: Any) -> pd.DataFrame:
    """A table of texts."""
    return table_of("texts")


def make_small(_after: Any) -> bytes:
    """1 KB."""
    return b"x" * 1000


def look(value: Any) -> int:
    """Look at a value, here and there."""
    return len(value)


def touch(value: np.ndarray) -> float:
    """Read from every page."""
    return float(value[::512].sum())


def total(value: np.ndarray) -> float:
    """Read everything."""
    return float(value.sum())


def add_one(value: np.ndarray) -> np.ndarray:
    """Make another of the same size."""
    return value + 1.0
