"""Amounts that people write: numbers of bytes, and of what nodes take while they run."""

from __future__ import annotations

import math
import re
from typing import Any

_UNITS = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
#: The resource whose amounts are bytes.
MEMORY = "memory"


def parse_bytes(value: object) -> int | None:
    """A number of bytes, from a number or a text such as "4GiB"; None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", str(value).strip().lower())
    if not isinstance(value, str) or match is None or (match[2] or "b") not in _UNITS:
        return None
    return int(float(match[1]) * _UNITS[match[2] or "b"])


def parse_resources(value: Any) -> dict[str, float]:
    """Amounts by name of the resource, from a dict such as {"cpu": 2, "memory": "4GiB"}.

    Raises:
        ValueError: If it is none; says why.
    """
    if not isinstance(value, dict):
        raise ValueError(  # noqa: TRY004, as all that is wrong with it
            f"resources must be a dict such as {{'cpu': 2, 'memory': '4GiB', 'gpu': 1}}, not "
            f"{value!r}."
        )
    found: dict[str, float] = {}
    for name, amount in value.items():
        if not (isinstance(name, str) and name.strip()):
            raise ValueError(f"the name of a resource is a text, not {name!r}.")
        number: Any = parse_bytes(amount) if name == MEMORY else amount
        fits = isinstance(number, int | float) and not isinstance(number, bool)
        if not (fits and math.isfinite(number) and number > 0):
            kind = "a size such as '4GiB'" if name == MEMORY else "a positive number"
            raise ValueError(f"the resource {name!r} must be {kind}, not {amount!r}.")
        found[name] = number
    return found


def shown(name: str, amount: float) -> str:
    """An amount, as people write it."""
    if name == MEMORY:
        return f"{amount / 2**30:.3g} GiB"
    return f"{amount:g}"
