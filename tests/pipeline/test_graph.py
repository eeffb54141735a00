"""The index graph."""

import pytest
from graphs import acyclic
from hypothesis import given
from hypothesis import strategies as st

from motorpool import MemoryDataset, Node
from motorpool._pipeline.graph import Graph
from motorpool._run.subset import resume_nodes
from motorpool.errors import CyclicPipelineError, PipelineError


@given(acyclic())
def test_layers_put_every_parent_in_an_earlier_layer(parents):
    """Layers are a topological order, and as early as can be."""
    graph = Graph.from_parents(parents)
    layers = graph.layers([f"{i:03}" for i in range(len(parents))])
    level = {node: k for k, layer in enumerate(layers) for node in layer}
    assert sorted(level) == list(range(len(parents)))
    for node, its_parents in enumerate(parents):
        assert level[node] == max((level[p] + 1 for p in its_parents), default=0)


@given(acyclic())
def test_path_lengths_count_nodes_to_the_end(parents):
    """A node's path is one longer than its longest child's."""
    graph = Graph.from_parents(parents)
    lengths = graph.path_lengths(range(len(parents)))
    for node, children in enumerate(graph.children):
        assert lengths[node] == 1 + max((lengths[c] for c in children), default=0)


@given(acyclic(), st.data())
def test_descendants_and_ancestors_agree(parents, data):
    """Down from a node are all nodes that have it above them."""
    graph = Graph.from_parents(parents)
    start = data.draw(st.integers(0, len(parents) - 1))
    below = graph.reach([start], down=True)
    assert below == {n for n in range(len(parents)) if start in graph.reach([n], down=False)}


def test_cycle_is_printed_in_order():
    """The message shows the way around, from the first name on."""
    graph = Graph.from_parents([[2], [0], [1], []])
    with pytest.raises(CyclicPipelineError, match="a -> b -> c -> a"):
        graph.layers(["a", "b", "c", "d"])


def test_cycle_leaves_out_nodes_that_only_hang_on_it():
    """A node behind a circle is stuck too, but is not part of it."""
    graph = Graph.from_parents([[1], [0], [0], [2]])
    with pytest.raises(CyclicPipelineError) as caught:
        graph.layers(["a", "b", "behind", "further"])
    assert "behind" not in str(caught.value)


def test_transcoded_names_are_one_dataset():
    """What is written as cars@spark may be read as cars@pandas."""
    graph = Graph.from_datasets([[], ["cars@pandas"]], [["cars@spark"], ["out"]])
    assert graph.parents == ((), (0,))


@given(acyclic(), st.sets(st.integers(0, 24)), st.sets(st.integers(0, 24)))
def test_resuming_from_the_named_nodes_runs_what_is_unfinished(parents, failed, persistent):
    """Everything unfinished runs again, and whatever runs finds its inputs made or persistent."""
    graph = Graph.from_parents(parents)
    unfinished = graph.reach([n for n in failed if n < len(parents)], down=True)
    nodes = [
        Node(lambda *_: 1, [f"d{p}" for p in ps] or "given", f"d{i}", name=f"{i:03}")
        for i, ps in enumerate(parents)
    ]
    catalog = {f"d{i}": MemoryDataset() for i in range(len(parents))} | {"given": MemoryDataset()}
    for i in persistent:
        catalog[f"d{i}"] = object()
    start = resume_nodes(nodes, graph, unfinished, catalog)
    rerun = graph.reach(map(int, start), down=True)
    assert unfinished <= rerun
    for i in rerun:
        assert all(p in rerun or p in persistent for p in parents[i])
    if not unfinished:
        assert start == []


def test_dependency_that_is_no_node_is_named():
    """Whoever made the pipeline; without it, the node would never run."""
    one = Node(str, "x", "y", name="one")
    with pytest.raises(PipelineError, match="'one' waits for 'nobody', which is no node"):
        Graph.from_pipeline([one], {one: {"nobody"}})
