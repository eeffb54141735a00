"""Nodes and pipelines."""

import random
import re
from functools import partial

import pytest
from functions import Method, add, identity, increment

from motorpool import Node, Pipeline, node, pipeline
from motorpool.errors import CyclicPipelineError, PipelineError


def names(pipe):
    return [n.name for n in pipe.nodes]


@pytest.fixture
def diamond():
    return pipeline(
        [
            node(add, ["left", "right"], "out", name="join", tags="late"),
            node(increment, "top", "left", name="l", tags=["early", "side"]),
            node(increment, "top", "right", name="r", tags="side"),
            node(identity, "in", "top", name="t", tags="early"),
        ]
    )


@pytest.mark.parametrize(
    ("inputs", "values"),
    [
        ("a", {"a": 1}),
        (["a", "b"], {"a": 1, "b": 2}),
        ({"x": "a"}, {"a": 3}),
        (None, {}),
    ],
)
def test_node_inputs_of_every_form_reach_the_function(inputs, values):
    """One name, a list, a dict and none."""
    given = []
    Node(lambda *a, **k: given.append((a, k)), inputs, "out").run(values)
    args, kwargs = given[0]
    assert [*args, *kwargs.values()] == list(values.values())


@pytest.mark.parametrize(
    ("outputs", "returned", "expected"),
    [
        ("a", [1, 2], {"a": [1, 2]}),
        (["a", "b"], (1, 2), {"a": 1, "b": 2}),
        ({"x": "a", "y": "b"}, {"y": 2, "x": 1}, {"a": 1, "b": 2}),
        (None, "anything", {}),
    ],
)
def test_node_outputs_of_every_form_are_named(outputs, returned, expected):
    """One name, a list, a dict and none."""
    assert Node(lambda i: returned, "i", outputs).run({"i": 0}) == expected


def test_generator_outputs_are_split_in_step():
    """Two outputs of one generator are two streams, whichever is read first."""
    outputs = Node(lambda n: ((i, -i) for i in range(n)), "n", ["a", "b"]).run({"n": 3})
    assert list(outputs["b"]) == [0, -1, -2]
    assert list(outputs["a"]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("outputs", "returned", "message"),
    [
        (["a", "b"], (1,), "2 values.*returned 1 values"),
        (["a", "b"], 1, "returned one int"),
        ({"x": "a"}, {"y": 1}, r"keys \['x'\].*\['y'\]"),
        ({"x": "a"}, 5, "returned <class 'int'>"),
    ],
)
def test_node_returning_another_form_is_an_error(outputs, returned, message):
    """What was declared and what came back are both named."""
    with pytest.raises(PipelineError, match=message):
        Node(lambda i: returned, "i", outputs, name="n").run({"i": 0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, "a", "b"), "is not a function"),
        ((identity, 5, "b"), "inputs must be"),
        ((identity, "", "b"), "non-empty string"),
        ((identity, ["a", 1], "b"), "holds 1"),
        ((identity, None, None), "neither inputs nor outputs"),
        ((identity, "a", ["b", "b"]), "one dataset twice"),
        ((identity, "a", ["b@x", "b@y"]), "one dataset twice"),
        ((identity, ["a", "b"], "c"), "cannot be called with the inputs.*too many"),
        ((identity, {"wrong": "a"}, "c"), "wrong"),
    ],
)
def test_malformed_node_is_an_error_at_once(arguments, message):
    """A node that could never run is not made."""
    with pytest.raises(PipelineError, match=message):
        node(*arguments)


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "a,b"},
        {"retries": -1},
        {"retries": 1.5},
        {"retries": True},
        {"timeout": "1"},
        {"timeout": -1},
    ],
)
def test_malformed_option_of_a_node_is_an_error(options):
    """Names, retries and timeouts are checked where they are given."""
    with pytest.raises(PipelineError, match=next(iter(options))):
        node(identity, "a", "b", **options)


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (identity, "identity__out"),
        (partial(add, 1), "add__out"),
        (lambda x: x, "lambda__out"),
        (Method(1).shift, "shift__out"),
    ],
)
def test_default_name_is_function_and_outputs(func, expected):
    """Readable, and free of commas, so that it can be typed."""
    assert node(func, "in", "out").name == expected


def test_default_name_of_many_outputs_is_short():
    """It is cut, and stays one of its own."""
    long = [[f"{p}{i}" for i in range(100)] for p in "ab"]
    one, other = (node(identity, "in", outputs).name for outputs in long)
    assert one != other
    assert len(one) < 120


def test_order_does_not_depend_on_how_nodes_are_given(diamond):
    """The same nodes, shuffled, give the same pipeline."""
    shuffled = diamond.nodes
    for seed in range(5):
        random.Random(seed).shuffle(shuffled)
        assert names(Pipeline(shuffled)) == ["t", "l", "r", "join"]
    assert [[n.name for n in g] for g in diamond.grouped_nodes] == [["t"], ["l", "r"], ["join"]]


def test_inputs_outputs_datasets_and_dependencies(diamond):
    """What goes in, what comes out, and who waits for whom."""
    assert diamond.inputs() == {"in"}
    assert diamond.outputs() == {"out"}
    assert diamond.datasets() == {"in", "top", "left", "right", "out"}
    waits = {n.name: {d.name for d in ds} for n, ds in diamond.node_dependencies.items()}
    assert waits == {"t": set(), "l": {"t"}, "r": {"t"}, "join": {"l", "r"}}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"tags": ["side"]}, ["l", "r"]),
        ({"from_nodes": ["l"]}, ["l", "join"]),
        ({"to_nodes": ["l"]}, ["t", "l"]),
        ({"node_names": ["r", "t"]}, ["t", "r"]),
        ({"from_inputs": ["left"]}, ["join"]),
        ({"to_outputs": ["top"]}, ["t"]),
        ({"from_nodes": ["l"], "to_nodes": ["l"]}, ["l"]),
        ({"tags": ["early"], "from_nodes": ["l", "r"]}, ["l"]),
    ],
)
def test_filter_keeps_what_meets_every_condition(diamond, conditions, expected):
    """Each condition alone, and two together."""
    assert names(diamond.filter(**conditions)) == expected


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"node_names": ["jion"]}, "no node 'jion'; do you mean 'join'"),
        ({"to_outputs": ["outt"]}, "do you mean 'out'"),
        ({"tags": ["none"]}, "No node meets"),
    ],
)
def test_filter_by_unknown_names_says_what_there_is(diamond, conditions, message):
    """A typo is answered with the nearest name."""
    with pytest.raises(PipelineError, match=message):
        diamond.filter(**conditions)


def test_pipelines_are_added_and_subtracted(diamond):
    """Pipelines are sets of nodes."""
    sides = diamond.only_nodes("l", "r")
    assert names(diamond - sides) == ["join", "t"]
    assert names((diamond - sides) + sides) == names(diamond)
    assert names(diamond + diamond) == names(diamond)


def test_tags_of_a_pipeline_go_to_every_node(diamond):
    """And the nodes given stay as they are."""
    tagged = pipeline(diamond, tags="all")
    assert all("all" in n.tags for n in tagged.nodes)
    assert not any("all" in n.tags for n in diamond.nodes)
    assert tagged.nodes[0].run({"in": 5}) == {"top": 5}


def test_duplicates_are_reported_together():
    """Two names and two outputs that clash are one error with four culprits."""
    with pytest.raises(PipelineError) as caught:
        pipeline(
            [
                node(identity, "a", "same", name="one"),
                node(identity, "a", "same", name="two"),
                node(identity, "a", "x", name="twice"),
                node(identity, "a", "y", name="twice"),
            ]
        )
    text = str(caught.value)
    assert "'same' is written by 'one' and 'two'" in text
    assert "2 nodes have the name 'twice'" in text


def test_cycle_is_an_error_with_its_path():
    """In order, back to where it began."""
    with pytest.raises(CyclicPipelineError, match=re.escape("a -> b -> c -> a")):
        pipeline([node(identity, x, y, name=n) for x, y, n in ("zxa", "xyb", "yzc")])


def test_large_pipeline_is_built_and_ordered():
    """100,000 nodes in a hundred chains come out in order."""
    pipe = pipeline(
        [
            node(identity, f"{c}_{i}", f"{c}_{i + 1}", name=f"{c}_{i}")
            for c in range(100)
            for i in range(1000)
        ]
    )
    assert len(pipe) == 100_000
    assert len(pipe.grouped_nodes) == 1000
    assert pipe.outputs() == {f"{c}_1000" for c in range(100)}
