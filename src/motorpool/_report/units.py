"""Figures as people read them."""

from __future__ import annotations

import math

# From here on, three digits would hide seconds.
_LONG = 1000.0
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def seconds(value: float) -> str:
    """A duration, to three digits, in the unit that suits it."""
    if math.isinf(value):
        return "never"
    scale, unit = _unit_of(value)
    return f"{_digits(value / scale)} {unit}"


def span(middle: float, low: float, high: float) -> str:
    """A duration and its interval, in one unit."""
    scale, unit = _unit_of(middle)
    return f"{_digits(middle / scale)} {unit} ({_digits(low / scale)} - {_digits(high / scale)})"


def size(nbytes: float) -> str:
    """An amount of memory, to three digits."""
    for unit in ("B", "KiB", "MiB"):
        if nbytes < _LONG:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.3g} GiB"


def _unit_of(value: float) -> tuple[float, str]:
    return next((pair for pair in _UNITS if value >= pair[0]), _UNITS[-1])


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < _LONG else f"{value:.0f}"
