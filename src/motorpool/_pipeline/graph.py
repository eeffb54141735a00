"""An index graph over any pipeline: order, layers, critical path, and the cycle it found.

Nodes are the integers 0 .. n-1, in the order in which they were given. Everything here is linear
in nodes and edges, but for sorting each layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motorpool.errors import CyclicPipelineError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TRANSCODING_SEPARATOR = "@"


def untranscoded(dataset: str) -> str:
    """Name of the data behind a dataset: `cars@spark` and `cars@pandas` are both `cars`."""
    return dataset.partition(TRANSCODING_SEPARATOR)[0]


@dataclass(frozen=True, slots=True)
class Graph:
    """Who waits for whom.

    Attributes:
        parents: For each node, those that it waits for, without repeats.
        children: For each node, those that wait for it.
    """

    parents: tuple[tuple[int, ...], ...]
    children: tuple[tuple[int, ...], ...]

    @classmethod
    def from_parents(cls, parents: Iterable[Iterable[int]]) -> Graph:
        """Build the graph from each node's parents."""
        unique = tuple(tuple(dict.fromkeys(p)) for p in parents)
        children: list[list[int]] = [[] for _ in unique]
        for child, its_parents in enumerate(unique):
            for parent in its_parents:
                children[parent].append(child)
        return cls(unique, tuple(map(tuple, children)))

    @classmethod
    def from_datasets(
        cls, inputs: Sequence[Iterable[str]], outputs: Sequence[Iterable[str]]
    ) -> Graph:
        """Build the graph from the names of the datasets that each node reads and writes."""
        producer = {untranscoded(name): i for i, names in enumerate(outputs) for name in names}
        bases = ((untranscoded(name) for name in names) for names in inputs)
        return cls.from_parents([producer[b] for b in names if b in producer] for names in bases)

    @classmethod
    def from_pipeline(cls, nodes: Sequence[Any], dependencies: Any) -> Graph:
        """Build the graph from `pipeline.nodes` and `pipeline.node_dependencies`.

        Raises:
            PipelineError: If a node waits for something that is no node of the pipeline.
        """
        index = {node: i for i, node in enumerate(nodes)}
        parents: list[list[int]] = []
        for node in nodes:
            waits_for = dependencies.get(node, ())
            if strange := [each for each in waits_for if each not in index]:
                raise PipelineError(
                    f"The node {node.name!r} waits for {strange[0]!r}, which is no node of the "
                    "pipeline."
                )
            parents.append(sorted(index[parent] for parent in waits_for))
        return cls.from_parents(parents)

    def layers(self, names: Sequence[str]) -> list[list[int]]:
        """Group the nodes by the length of the longest path that leads to them.

        Args:
            names: A name for each node; each layer is sorted by it, so that the order depends on
                nothing but the graph.

        Returns:
            Layers, first to last; every parent is in an earlier layer than its child.

        Raises:
            CyclicPipelineError: If some nodes wait for each other.
        """
        waiting = [len(p) for p in self.parents]
        layer = [i for i, count in enumerate(waiting) if count == 0]
        layers: list[list[int]] = []
        while layer:
            layers.append(sorted(layer, key=names.__getitem__))
            following = []
            for parent in layer:
                for child in self.children[parent]:
                    waiting[child] -= 1
                    if waiting[child] == 0:
                        following.append(child)
            layer = following
        if sum(map(len, layers)) < len(waiting):
            self._raise_cycle(waiting, names)
        return layers

    def _raise_cycle(self, waiting: Sequence[int], names: Sequence[str]) -> None:
        """Walk up from a node that never became ready until a node repeats."""
        stuck = {i for i, count in enumerate(waiting) if count}
        node = min(stuck, key=names.__getitem__)
        seen: dict[int, int] = {}
        while node not in seen:
            seen[node] = len(seen)
            node = next(p for p in self.parents[node] if p in stuck)
        path = list(seen)[seen[node] :][::-1]
        first = min(range(len(path)), key=lambda k: names[path[k]])
        cycle = [names[i] for i in path[first:] + path[:first]]
        raise CyclicPipelineError(
            "The nodes wait for each other in a circle: "
            + " -> ".join([*cycle, cycle[0]])
            + ". Rename one of the datasets on the way, so that the circle opens.",
            node=cycle[0],
        )

    def path_lengths(
        self, order: Iterable[int], costs: Sequence[float] | None = None
    ) -> list[float]:
        """Length of the longest path from each node to an end of the graph, itself included.

        Args:
            order: All nodes in a topological order.
            costs: The length of each node; by default 1.

        Highest level first (HLF) list scheduling starts the node with the longest path first:
        T. L. Adam, K. M. Chandy, J. R. Dickson, CACM 17(12), 1974, doi:10.1145/361604.361619.
        """
        lengths: list[float] = list(costs) if costs is not None else [1] * len(self.parents)
        for node in reversed(list(order)):
            if self.children[node]:
                lengths[node] += max([lengths[c] for c in self.children[node]])
        return lengths

    def reach(self, start: Iterable[int], *, down: bool) -> set[int]:
        """All nodes that can be reached from some, themselves included.

        Args:
            start: Where to begin.
            down: Towards children if true, else towards parents.
        """
        edges = self.children if down else self.parents
        seen = set(start)
        todo = list(seen)
        while todo:
            for neighbour in edges[todo.pop()]:
                if neighbour not in seen:
                    seen.add(neighbour)
                    todo.append(neighbour)
        return seen


def longest_chain(parents: Sequence[Sequence[int]], costs: Sequence[float]) -> list[int]:
    """The chain of nodes, each a parent of the next, whose costs add up to the most.

    Args:
        parents: Of each node, those that it waits for; nodes are in a topological order.
        costs: Of each node.
    """
    lengths, before = list(costs), [-1] * len(costs)
    for node, its_parents in enumerate(parents):
        if its_parents:
            before[node] = max(its_parents, key=lengths.__getitem__)
            lengths[node] += lengths[before[node]]
    node = max(range(len(lengths)), key=lengths.__getitem__, default=-1)
    found = []
    while node >= 0:
        found.append(node)
        node = before[node]
    return found[::-1]
