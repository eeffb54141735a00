"""Nodes that make, keep or change values of the store."""

from __future__ import annotations

from motorpool import allocate

KEPT = []


def make_allocated(n):
    """An array in the store, which its maker keeps as well."""
    array = allocate((n, 2))
    array[:] = 3
    make_allocated.kept = array
    return array


def change_what_was_kept(array):
    before = array.sum()
    make_allocated.kept[:] = 100
    return float(before + array.sum())


def make_range(n):
    import numpy as np  # not above: a fresh worker would take 0.3 s longer to begin with any node

    return np.arange(n, dtype="float64")


def keep_range(n):
    KEPT[:] = [make_range(n)]
    return KEPT[0]


def range_is_kept(_copy, n):
    return bool((KEPT.pop() == make_range(n)).all())
