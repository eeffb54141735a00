"""Which part of a pipeline to run: what is missing, and where to go on after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import dataset_exists, is_ephemeral
from motorpool._pipeline.graph import untranscoded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from motorpool._pipeline.graph import Graph


def missing_outputs(nodes: Sequence[Any], catalog: Mapping[str, Any]) -> list[int]:
    """The nodes to run so that every persistent output exists.

    A node runs if it has no outputs, if one of its persistent outputs does not exist, or if
    another node that runs reads one of its outputs and that one is not persistent or does not
    exist. The rule is Kedro's.

    Args:
        nodes: The nodes, in a topological order.
        catalog: The run's datasets.
    """
    kept_in_memory = {name for name, dataset in catalog.items() if is_ephemeral(dataset)}
    absent = {
        name
        for node in nodes
        for name in node.outputs
        if name not in kept_in_memory and not dataset_exists(catalog[name])
    }
    wanted: set[str] = set()
    kept = []
    for i in reversed(range(len(nodes))):
        outputs = set(nodes[i].outputs)
        if not outputs or outputs & absent or outputs & wanted:
            kept.append(i)
            wanted |= (kept_in_memory | absent) & set(nodes[i].inputs)
    return sorted(kept)


def remaining_nodes(
    nodes: Sequence[Any], completed: Collection[str], wanted: Iterable[str],
    is_there: Callable[[str], bool],
) -> list[int]:  # fmt: skip
    """The nodes to run after a run that has ended early.

    Those that have not completed, and of the others those whose outputs are wanted and are gone.

    Args:
        nodes: The nodes, in a topological order.
        completed: Names of the nodes that have run.
        wanted: Names of the datasets that are to be there in the end.
        is_there: Whether a dataset can still be loaded.
    """
    producer = _producers(nodes)
    rerun = {i for i, node in enumerate(nodes) if node.name not in completed}
    rerun |= {producer[untranscoded(name)] for name in wanted if not is_there(name)}
    todo = list(rerun)
    while todo:
        for name in nodes[todo.pop()].inputs:
            maker = producer.get(untranscoded(name))
            if maker is not None and maker not in rerun and not is_there(name):
                rerun.add(maker)
                todo.append(maker)
    return sorted(rerun)


def resume_nodes(
    nodes: Sequence[Any], graph: Graph, unfinished: Collection[int], catalog: Mapping[str, Any]
) -> list[str]:
    """Names of the nodes to start from, so that all unfinished ones run with their inputs there.

    Running from a node means running everything after it too, which may need more that was only
    in memory; so this goes on until nothing is added.

    Args:
        nodes: The nodes, in a topological order.
        graph: Who waits for whom.
        unfinished: Indices of the nodes that have not run.
        catalog: The run's datasets.
    """
    producer = _producers(nodes) if unfinished else {}
    rerun = set(unfinished)
    todo = list(rerun)
    while todo:  # each node is looked at once, whichever rule has brought it here
        node = todo.pop()
        needed = {
            producer[untranscoded(name)]
            for name in nodes[node].inputs
            if untranscoded(name) in producer and is_ephemeral(catalog[name])
        }
        fresh = needed.union(graph.children[node]) - rerun
        rerun |= fresh
        todo += fresh
    return sorted(nodes[i].name for i in rerun if not rerun.intersection(graph.parents[i]))


def _producers(nodes: Sequence[Any]) -> dict[str, int]:
    """Which node writes a dataset, however it is transcoded."""
    return {untranscoded(name): i for i, node in enumerate(nodes) for name in node.outputs}
