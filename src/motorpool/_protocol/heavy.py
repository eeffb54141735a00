"""Tells of functions that bring large data with them: by variable, for who wants to avoid that."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from motorpool._protocol.plan import PickledNodes
    from motorpool._store import Collector

_logger = logging.getLogger("motorpool")
# From this size (bytes) on it is told.
_HEAVY = 10**6


def log_heavy(nodes: Sequence[Any], pickled: PickledNodes, script: Collector) -> None:
    """Log a line for each variable that makes functions large when pickled.

    Args:
        nodes: The nodes.
        pickled: The same.
        script: The variables of `__main__` that they refer to.
    """
    if not _logger.isEnabledFor(logging.INFO):
        return
    users: dict[tuple[str, int], list[str]] = {}
    for name, nbytes, needing in script.larger_than(_HEAVY):
        users[f"global {name!r}", nbytes] = [n.name for n in nodes if id(n.func) in needing]
    for node, number in zip(nodes, pickled.function_of, strict=True):
        if number >= 0 and (nbytes := pickled.functions[number].nbytes) > _HEAVY:
            users.setdefault((_heaviest(node.func), nbytes), []).append(node.name)
    for (where, nbytes), names in users.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        _logger.info(
            "The function of node %r%s has %.1f MB with it, in its %s. As an input of the node "
            "they would be released after their last reader.",
            names[0], more, nbytes / 1e6, where,
        )  # fmt: skip


def _heaviest(function: Any) -> str:
    """The largest thing that a function brings along."""
    sizes = {name: _size(value) for name, value in _parts(function)}
    return max(sizes, key=lambda name: sizes[name], default=type(function).__name__)


def _parts(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function brings along, by name."""
    if isinstance(function, functools.partial):
        yield from ((f"argument {i}", value) for i, value in enumerate(function.args, 1))
        yield from _named("argument", function.keywords.items())
        yield from _parts(function.func)
    elif isinstance(function, MethodType):
        yield from _parts(function.__func__)
        yield from _named("attribute", getattr(function.__self__, "__dict__", {}).items())
    elif isinstance(function, FunctionType):
        yield from _named("variable", inspect.getclosurevars(function).nonlocals.items())
        parameters = inspect.signature(function, follow_wrapped=False).parameters
        yield from _named("default for", ((n, p.default) for n, p in parameters.items()))
    else:
        yield from _named("attribute", getattr(function, "__dict__", {}).items())


def _named(kind: str, things: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    return ((f"{kind} {name!r}", value) for name, value in things)


def _size(value: Any) -> int:
    """About how large something is, in bytes."""
    if callable(value) and not isinstance(value, type):
        return max((_size(part) for _, part in _parts(value)), default=0)
    found = getattr(value, "nbytes", None)
    return found if isinstance(found, int) else sys.getsizeof(value, 0)
