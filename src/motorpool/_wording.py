"""Words for people, in one way everywhere."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number of things: "1 node", "3 nodes"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
