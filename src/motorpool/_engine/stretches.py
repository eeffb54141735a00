"""Stretches: nodes that each need only the one before, and so run in one worker, in turn.

    a --> b --> c     b is all that waits for a, and a is all that b waits for; likewise c

A value that the next node of a stretch alone reads is handed to it: as it is, if it is an array
that nobody else has, or else as a copy; the driver is not told of it. Where it may be needed once
more it is stored: by a node that would be tried again, or in a checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from motorpool._pipeline.graph import Graph

NOBODY = -1


class Stretches:
    """Who follows whom; without more, nobody.

    Args:
        count: Number of nodes.

    Attributes:
        following: For each node the next one of its stretch, or NOBODY.
        before: For each node the one before it in its stretch, or NOBODY.
        handed: For each node the outputs that the next one is handed.
    """

    def __init__(self, count: int) -> None:
        self.following = [NOBODY] * count
        self.before = [NOBODY] * count
        self.handed: list[tuple[str, ...]] = [()] * count

    @classmethod
    def of(
        cls, nodes: Sequence[Any], graph: Graph, *, stored: Container[str],
        once: Sequence[bool], lanes: Sequence[int | None],
    ) -> Stretches:  # fmt: skip
        """Find the stretches of a graph.

        Args:
            nodes: The nodes, in a topological order.
            graph: Who waits for whom.
            stored: The datasets that must be stored, whoever reads them.
            once: For each node, whether it needs its inputs once only.
            lanes: For each node the lane that it is of; None for one that has no part in this.
        """
        found = cls(len(nodes))
        for node, children in enumerate(graph.children):
            if len(children) == 1 and len(graph.parents[children[0]]) == 1:
                child = children[0]
                if lanes[node] is None or lanes[node] != lanes[child]:
                    continue
                found.following[node] = child
                found.before[child] = node
                if once[child]:
                    reads = set(nodes[child].inputs)
                    found.handed[node] = tuple(
                        name
                        for name in nodes[node].outputs
                        if name in reads and name not in stored
                    )
        return found
