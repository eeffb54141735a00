"""Stretches: nodes that each need only the one before, and so run in one worker, in turn.

    a --> b --> c     b is all that waits for a, and a is all that b waits for; likewise c

A value that the next node of a stretch alone reads is handed to it: as it is, if it is an array
that has no other reference, or else as a copy; the driver does not hear of it. Where it may be
needed once more it is stored: by a node that would be tried again, or in a checkpoint.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from motorpool._pipeline.graph import Graph

NO_NODE = -1


class Stretches:
    """Which node follows which in one worker; empty unless made by `of`.

    Args:
        count: Number of nodes.

    Attributes:
        following: For each node the next one of its stretch, or NO_NODE.
        before: For each node the one before it in its stretch, or NO_NODE.
        handed: For each node the outputs that the next one is handed.
    """

    def __init__(self, count: int) -> None:
        self.following = [NO_NODE] * count
        self.before = [NO_NODE] * count
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
            stored: The datasets that must be stored, whatever reads them.
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

    @property
    def hand(self) -> bool:
        """Whether any node hands anything to the next."""
        return any(self.handed)

    def numbered(self, number: Mapping[str, int]) -> tuple[array[int], dict[int, tuple[int, ...]]]:
        """As workers know them.

        Args:
            number: The numbers of datasets.

        Returns:
            `before`, empty if there are no stretches; and what nodes hand, of those that do.
        """
        before = array("i", self.before)
        handed = {
            node: tuple(number[name] for name in names)
            for node, names in enumerate(self.handed)
            if names
        }
        return before if any(node != NO_NODE for node in before) else array("i"), handed
