"""Nodes, and pipelines of them.

A node wraps a function and names the datasets that it reads and writes; a pipeline is a set of
nodes in a topological order that depends on nothing but the nodes.
"""

from __future__ import annotations

from array import array
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from motorpool._pipeline.foreign import is_pipeline, tagged, with_settings
from motorpool._pipeline.graph import Graph, untranscoded
from motorpool._pipeline.members import check_unique, nodes_of
from motorpool._pipeline.node import Node
from motorpool._wording import counted
from motorpool.errors import PipelineError, unknown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Node", "Pipeline", "node", "pipeline"]

_SETTINGS = frozenset({"backend", "resources", "retries", "timeout"})
# A picture of more boxes shows nothing.
_MOST_DRAWN = 300


class Pipeline:
    """A set of nodes, in a topological order.

    Args:
        nodes: Nodes, or pipelines whose nodes are taken, of ours or of another library such as
            Kedro; the same node twice counts once. A single one need not be in a list.
        tags: Tags to add to every node.

    Raises:
        PipelineError: If two nodes share a name or write the same dataset.
        CyclicPipelineError: If nodes wait for each other.
    """

    def __init__(
        self, nodes: Node | Pipeline | Iterable[Node | Pipeline], *, tags: str | Iterable[str] = ()
    ) -> None:
        found = nodes_of(nodes)
        extra = frozenset([tags] if isinstance(tags, str) else tags)
        if extra:
            found = [tagged(n, extra) for n in found]
        check_unique(found)
        self._lay_out(found)

    def _lay_out(self, found: list[Node]) -> None:
        names = [n.name for n in found]
        graph = Graph.from_datasets([n.inputs for n in found], [n.outputs for n in found])
        layers = graph.layers(names)
        self._layer_ends = array("q", accumulate(map(len, layers)))
        self._nodes = [found[i] for layer in layers for i in layer]
        self._index = {n.name: i for i, n in enumerate(self._nodes)}
        self._graph = Graph.from_datasets(
            [n.inputs for n in self._nodes], [n.outputs for n in self._nodes]
        )

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in a topological order; the same for the same nodes, however given."""
        return list(self._nodes)

    @property
    def grouped_nodes(self) -> list[list[Node]]:
        """The nodes in layers: each depends on earlier layers only."""
        starts = [0, *self._layer_ends[:-1]]
        return [self._nodes[a:b] for a, b in zip(starts, self._layer_ends, strict=True)]

    @property
    def node_dependencies(self) -> dict[Node, set[Node]]:
        """For each node, those whose outputs it reads."""
        nodes = self._nodes
        return {
            n: {nodes[p] for p in ps} for n, ps in zip(nodes, self._graph.parents, strict=True)
        }

    def inputs(self) -> set[str]:
        """Names of the datasets that are read but not written."""
        return set(self._ends[0])

    def outputs(self) -> set[str]:
        """Names of the datasets that are written but not read."""
        return set(self._ends[1])

    @cached_property
    def _ends(self) -> tuple[frozenset[str], frozenset[str]]:
        read = {untranscoded(i) for n in self._nodes for i in n.inputs}
        written = {untranscoded(o): o for n in self._nodes for o in n.outputs}
        inputs = (i for n in self._nodes for i in n.inputs if untranscoded(i) not in written)
        outputs = (o for base, o in written.items() if base not in read)
        return frozenset(inputs), frozenset(outputs)

    def datasets(self) -> set[str]:
        """Names of all datasets that are read or written."""
        return {name for n in self._nodes for name in (*n.inputs, *n.outputs)}

    def only_nodes(self, *names: str) -> Pipeline:
        """The pipeline of just these nodes.

        Raises:
            PipelineError: If there is no node of that name.
        """
        return self._pick(self._indices(names))

    def filter(
        self,
        *,
        tags: Iterable[str] | None = None,
        from_nodes: Iterable[str] | None = None,
        to_nodes: Iterable[str] | None = None,
        node_names: Iterable[str] | None = None,
        from_inputs: Iterable[str] | None = None,
        to_outputs: Iterable[str] | None = None,
    ) -> Pipeline:
        """The pipeline of the nodes that meet every given condition.

        Args:
            tags: Has at least one of these tags.
            from_nodes: Is one of these nodes or comes after one.
            to_nodes: Is one of these nodes or comes before one.
            node_names: Is one of these nodes.
            from_inputs: Reads one of these datasets or comes after a node that does.
            to_outputs: Writes one of these datasets or comes before a node that does.

        Raises:
            PipelineError: If a name is unknown, or no node meets all conditions.
        """
        graph, kept = self._graph, set(range(len(self._nodes)))
        if tags is not None:
            wanted = set(tags)
            kept &= {i for i, n in enumerate(self._nodes) if n.tags & wanted}
        if from_nodes is not None:
            kept &= graph.reach(self._indices(from_nodes), down=True)
        if to_nodes is not None:
            kept &= graph.reach(self._indices(to_nodes), down=False)
        if node_names is not None:
            kept &= self._indices(node_names)
        if from_inputs is not None:
            kept &= graph.reach(self._touching(from_inputs, "inputs"), down=True)
        if to_outputs is not None:
            kept &= graph.reach(self._touching(to_outputs, "outputs"), down=False)
        if not kept and self._nodes:
            raise PipelineError(
                "No node meets all the conditions of the filter; drop one of them."
            )
        return self._pick(kept)

    def _pick(self, indices: Iterable[int]) -> Pipeline:
        return Pipeline([self._nodes[i] for i in sorted(indices)])

    def _indices(self, names: Iterable[str]) -> set[int]:
        names = [names] if isinstance(names, str) else list(names)
        unknown = [n for n in names if n not in self._index]
        if unknown:
            raise PipelineError(unknown_names("node", unknown, self._index))
        return {self._index[n] for n in names}

    def _touching(self, datasets: Iterable[str], side: str) -> set[int]:
        wanted = {datasets} if isinstance(datasets, str) else set(datasets)
        found = {i for i, n in enumerate(self._nodes) if wanted.intersection(getattr(n, side))}
        known = {name for n in self._nodes for name in getattr(n, side)}
        if unknown := sorted(wanted - known):
            raise PipelineError(unknown_names(f"dataset among the {side}", unknown, known))
        return found

    def with_settings(self, **settings: Any) -> Pipeline:
        """The pipeline with other settings for each node, of another library's as well.

        Args:
            **settings: `retries`, `timeout` and `backend`, as for `node`; those that are left out
                stay as they are.

        Raises:
            PipelineError: If a setting is unknown, or a value is of another kind.
        """
        if unknown := settings.keys() - _SETTINGS:
            raise PipelineError(unknown_names("setting of nodes", sorted(unknown), _SETTINGS))
        return Pipeline([with_settings(n, **settings) for n in self._nodes])

    def mermaid(self) -> str:
        """A flow chart as mermaid reads it, for a page in Markdown."""
        from motorpool._pipeline.drawing import mermaid  # noqa: PLC0415, html takes 3 ms

        return mermaid(self._nodes)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from html import escape  # noqa: PLC0415, as above

        from motorpool._pipeline.drawing import svg  # noqa: PLC0415, as above

        if len(self) > _MOST_DRAWN:
            return escape(repr(self))
        return svg(self._nodes, self._graph)

    def __add__(self, other: Any) -> Pipeline:
        return Pipeline([self, other]) if is_pipeline(other) else NotImplemented

    def __radd__(self, other: Any) -> Pipeline:
        return Pipeline([other, self]) if is_pipeline(other) else NotImplemented

    def __sub__(self, other: Any) -> Pipeline:
        if not is_pipeline(other):
            return NotImplemented
        removed = set(other.nodes)
        return Pipeline([n for n in self._nodes if n not in removed])

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"Pipeline of {counted(len(self), 'node')}: " + ", ".join(list(self._index)[:10])


def ends_of(found: Any) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the inputs and of the outputs of a pipeline of ours or of another library.

    Args:
        found: The pipeline.
    """
    if type(found) is Pipeline:
        return found._ends  # noqa: SLF001, ours
    return frozenset(found.inputs()), frozenset(found.outputs())


def graph_of(found: Any, nodes: Sequence[Node]) -> Graph:
    """The nodes that each node waits for, in a pipeline of ours or of another library.

    Args:
        found: The pipeline.
        nodes: Its nodes, whose order is that of the graph.
    """
    if type(found) is Pipeline:
        return found._graph  # noqa: SLF001, ours
    return Graph.from_pipeline(nodes, found.node_dependencies)


node = Node


def pipeline(
    nodes: Iterable[Node | Pipeline] | Node | Pipeline, *, tags: str | Iterable[str] = ()
) -> Pipeline:
    """Make a pipeline of nodes and pipelines.

    Args:
        nodes: One node or pipeline, or several, of ours or of another library such as Kedro.
        tags: Tags to add to every node.

    Returns:
        The pipeline.

    Raises:
        PipelineError: If two nodes share a name or write the same dataset.
        CyclicPipelineError: If nodes wait for each other.
    """
    return Pipeline(nodes, tags=tags)
