"""What is kept with a pipeline."""

import gc
import tracemalloc
import weakref

import pytest
from functions import identity
from kedro.pipeline import node as kedro_node
from kedro.pipeline import pipeline as kedro_pipeline

from motorpool import ParallelRunner, Pipeline, node
from motorpool._run.compiled import compiled
from motorpool.errors import CyclicPipelineError


def diamond():
    """One node, two that read what it makes under two names, and one that reads both."""
    return Pipeline(
        [
            node(str, "x", "a@text", name="first", confirms="log"),
            node(str, "a@words", "b", name="left"),
            node(repr, ["a@text"], "c", name="right"),
            node(max, ["b", "c", "y"], "d", name="last"),
        ]
    )


def test_it_is_kept_for_as_long_as_its_pipeline():
    """And made again for another one, of the same nodes."""
    pipe = diamond()
    known = compiled(pipe)
    assert compiled(pipe) is known
    assert compiled(Pipeline(pipe.nodes)) is not known
    gone = weakref.ref(known)
    del pipe, known
    gc.collect()
    assert gone() is None


def test_kedros_pipelines_are_kept_and_others_are_not():
    """Whoever makes pipelines of a class of their own may change them."""

    class Mine(Pipeline):
        pass

    theirs, mine = kedro_pipeline([kedro_node(abs, "x", "y", name="n")]), Mine(diamond().nodes)
    assert compiled(theirs) is compiled(theirs)
    assert compiled(mine) is not compiled(mine)


def test_figures_of_a_pipeline():
    """Transcoded names are one dataset for the graph, and two for who releases them."""
    known = compiled(diamond())
    assert known.names == ["first", "left", "right", "last"]
    assert known.layers == 3
    assert known.written == {"a@text", "b", "c", "d"}
    assert known.given == {"x": ["first"], "a@words": ["left"], "y": ["last"]}
    assert known.unmade == {"x", "y"}
    assert list(map(known.is_written, ["a@text", "a@words", "log", "nowhere"])) == [
        True, False, False, False,
    ]  # fmt: skip
    assert known.datasets == ["a@text", "a@words", "b", "c", "d", "log", "x", "y"]
    users = dict(zip(known.datasets, known.users, strict=True))
    assert users == {
        "a@text": 2, "a@words": 1, "b": 2, "c": 2, "d": 1, "log": 0, "x": 1, "y": 1,
    }  # fmt: skip
    assert known.functions == [0, 0, 1, 2]
    assert sorted(known.order) == [0, 1, 2, 3]
    assert known.order[0] == 0


def test_part_of_a_pipeline():
    """What is left of the graph, with what the rest of it has made as something that is given."""
    part = compiled(diamond()).part([1, 3])
    assert part.names == ["left", "last"]
    assert part.graph.parents == ((), (0,))
    assert part.given == {"a@words": ["left"], "c": ["last"], "y": ["last"]}
    assert part.outputs == {"d"}


def test_pipeline_of_another_class_that_has_changed_runs_as_it_is():
    """And its circle is found before anything runs."""

    class Mine:
        def __init__(self):
            self.nodes = [node(str, "x", "y", name="one")]
            self.node_dependencies = {self.nodes[0]: set()}

        def inputs(self):
            return {"x"}

        def outputs(self):
            return {n.outputs[0] for n in self.nodes}

    mine, runner = Mine(), ParallelRunner("threads", runs_folder=False)
    assert set(runner.run(mine, {"x": 1})) == {"y"}
    mine.nodes.append(node(str, "x", "z", name="two"))
    mine.node_dependencies[mine.nodes[1]] = set()
    assert set(runner.run(mine, {"x": 1})) == {"y", "z"}
    mine.node_dependencies = {mine.nodes[0]: {mine.nodes[1]}, mine.nodes[1]: {mine.nodes[0]}}
    with pytest.raises(CyclicPipelineError):
        runner.run(mine, {"x": 1})


@pytest.mark.parametrize("is_chain", [True, False])
def test_driver_needs_little_memory_for_a_node(is_chain):
    """Of 10,000 nodes, with all results, less than 1,450 bytes each beside the pipeline's own."""
    count = 10_000
    reads = [f"y{i - 1}" if is_chain and i else "x" for i in range(count)]
    pipe = Pipeline([node(identity, name, f"y{i}", name=f"n{i}") for i, name in enumerate(reads)])
    with ParallelRunner("direct", max_workers=2) as runner:
        runner.run(Pipeline([node(identity, "x", "y")]), {"x": 1})
        tracemalloc.start()
        try:
            result = runner.run(pipe, {"x": 1})
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(result) == (1 if is_chain else count)
    assert most < 1450 * count


def test_nodes_have_few_forms():
    """Those of one form share it; of more forms than a number has room for, the rest has none."""
    pipe = Pipeline(
        [node(identity, "x", f"a{i}", name=f"a{i}") for i in range(3)]
        + [node(max, ["x", "y"], [f"b{i}"], name=f"b{i}") for i in range(3)]
        + [node(dict, {f"k{i}": "x"}, f"c{i}", name=f"c{i}") for i in range(260)]
        + [node(dict, "x", "d", name="d", confirms="x")]
    )
    known = compiled(pipe)
    form_of = dict(zip(known.names, known.plain, strict=True))
    assert [form_of[f"a{i}"] for i in range(3)] == [1, 1, 1]
    assert len({form_of[f"b{i}"] for i in range(3)}) == 1
    of_others = [form_of[f"c{i}"] for i in range(260)]
    assert (len(known.forms), max(known.plain), of_others.count(0)) == (254, 255, 7)
    assert form_of["d"] == 0
    for name, form in form_of.items():
        if form > 1:
            assert list(known.forms[form - 2].inputs) == (
                [0, 1] if name[0] == "b" else [f"k{name[1:]}"]
            )
