"""Which of the nodes that are ready goes first.

The one with the longest path to the end of the pipeline, in seconds where they are known from an
earlier run, else in nodes: what is on the critical path must not wait. That is list scheduling by
highest level first (HLF; T. L. Adam, K. M. Chandy, J. R. Dickson, CACM 17(12), 1974,
doi:10.1145/361604.361619); the levels by measured durations are the upward ranks of CPOP
(H. Topcuoglu, S. Hariri, M.-Y. Wu, IEEE TPDS 13(3), 2002, doi:10.1109/71.993206).

Of paths that are about as long, the node that frees more than it makes goes first, as in
`dask.order`: so fewer values are held at a time. The rest goes in topological order. Equal input
gives equal order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._pipeline.graph import Graph

# Measured paths are about as long if the longer one is no longer than this, times the other.
_ALIKE = 1.25


def urgency(graph: Graph, nodes: Sequence[Any], expected: Sequence[float | None]) -> list[int]:
    """All nodes, the most urgent first.

    Args:
        graph: Who waits for whom.
        nodes: The nodes, in a topological order.
        expected: Seconds that each will take, or None.
    """
    count = len(nodes)
    levels = _levels(graph, expected)
    balance = _balance(nodes)
    return sorted(range(count), key=lambda node: (-levels[node], balance[node], node))


def middle(numbers: Sequence[float]) -> float:
    """The middle one of some numbers by size; `statistics` takes milliseconds to import."""
    return sorted(numbers)[len(numbers) // 2]


def _levels(graph: Graph, expected: Sequence[float | None]) -> list[int]:
    """Lengths of paths; equal for those that are about as long."""
    known = [seconds for seconds in expected if seconds is not None]
    if not known:
        return graph.path_lengths(range(len(expected)))  # type: ignore[return-value]
    usual = middle(known)
    costs = [usual if seconds is None else seconds for seconds in expected]
    lengths = graph.path_lengths(range(len(costs)), [max(cost, 1e-6) for cost in costs])
    step = math.log(_ALIKE)
    return [round(math.log(length) / step) for length in lengths]


def _balance(nodes: Sequence[Any]) -> list[int]:
    """For each node, how many values it adds to those that are held: less for those it frees."""
    readers: dict[str, int] = {}
    for node in nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    return [len(node.outputs) - sum(readers[name] == 1 for name in node.inputs) for node in nodes]
