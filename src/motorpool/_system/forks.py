"""Whether a process is a fork: `os.getpid` takes longer than a short node's bookkeeping."""

from __future__ import annotations

import os

_generation = [0]


def generation() -> int:
    """A number that is another one in each process that `os.fork` makes of this."""
    return _generation[0]


def _count() -> None:
    _generation[0] += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count)
