"""Messages for names that do not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A list of choices is read, not searched; beyond this many the rest is only counted.
_MOST_SHOWN = 20


def unknown_names(what: str, unknown: Iterable[str], known: Iterable[str]) -> str:
    """Say which names do not exist, which are near, and which there are.

    Args:
        what: What the names are of, such as "node".
        unknown: The names that do not exist.
        known: All that do.
    """
    import difflib  # noqa: PLC0415, only a mistake needs it

    choices = sorted(known)
    parts = []
    for name in unknown:
        near = difflib.get_close_matches(name, choices, n=1)
        hint = f"; do you mean {near[0]!r}?" if near else "."
        parts.append(f"There is no {what} {name!r}{hint}")
    shown = ", ".join(choices[:_MOST_SHOWN])
    if len(choices) > _MOST_SHOWN:
        shown += f", and {len(choices) - _MOST_SHOWN} more"
    return " ".join(parts) + f" There are: {shown or 'none'}."
