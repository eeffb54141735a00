"""Kedro's nodes and pipelines beside our own."""

import pickle
from pathlib import Path

import kedro.pipeline
import pytest
from functions import append, identity, increment

from motorpool import Pipeline, Retry, node, pipeline
from motorpool.errors import PipelineError

KEDROS = kedro.pipeline.Pipeline(
    [
        kedro.pipeline.node(increment, "a", "b", name="k1", tags="t"),
        kedro.pipeline.node(increment, "b", "c", name="k2"),
    ]
)
OURS = pipeline(node(increment, "c", "d", name="ours"))


@pytest.mark.parametrize(
    "mixed",
    [
        KEDROS + OURS, OURS + KEDROS, pipeline([KEDROS, OURS]), Pipeline([*KEDROS.nodes, OURS]),
        pipeline([OURS.nodes[0], *KEDROS.nodes]), pipeline(KEDROS) + OURS,
        sum([KEDROS, OURS], pipeline([])),
    ],
)  # fmt: skip
def test_they_mix(mixed, any_backend, run):
    """Added in either order, in lists, and as they are."""
    assert isinstance(mixed, Pipeline)
    assert [n.name for n in mixed.nodes] == ["k1", "k2", "ours"]
    assert (mixed.inputs(), mixed.outputs()) == ({"a"}, {"d"})
    assert run(any_backend, mixed, {"a": 0})["d"].load() == 3


def test_parts_and_tags():
    """As of our own."""
    mixed = KEDROS + OURS
    assert [n.name for n in mixed.filter(tags=["t"]).nodes] == ["k1"]
    assert [n.name for n in (mixed - KEDROS).nodes] == ["ours"]
    tagged = pipeline(mixed, tags="all")
    assert [set(n.tags) for n in tagged.nodes] == [{"t", "all"}, {"all"}, {"all"}]
    assert set(KEDROS.nodes[0].tags) == {"t"}


def test_settings_go_to_all_nodes(any_backend, run, tmp_path):
    """To a node of Kedro's as well, which has no such thing."""

    def fail_once(path):
        append(path, "x")
        if len(Path(path).read_text().split()) < 2:
            raise ValueError("once")
        return path

    theirs = kedro.pipeline.Pipeline([kedro.pipeline.node(fail_once, "path", "p", name="flaky")])
    pipe = (theirs + pipeline(node(identity, "p", "end"))).with_settings(retries=1)
    path = str(tmp_path / "tries")
    assert run(any_backend, pipe, {"path": path})["end"].load() == path
    with pytest.raises(ValueError, match="once"):
        run(any_backend, pipeline(theirs), {"path": str(tmp_path / "others")})


def test_settings_are_those_of_the_last_call():
    """What is left out stays; the node is the same for all else, in other processes too."""
    first = pipeline(KEDROS).with_settings(retries=2, timeout=5).with_settings(timeout=None)
    one = pickle.loads(pickle.dumps(first.nodes[0]))
    assert (one.name, one.retries, one.timeout, one.backend) == ("k1", 2, None, None)
    assert one.run({"a": 1}) == {"b": 2}
    ours = OURS.with_settings(retries=Retry(1), backend="threads").nodes[0]
    assert (ours.retries, ours.backend, ours.name) == (Retry(1), "threads", "ours")
    assert OURS.nodes[0].retries is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retry": 1}, "no setting of nodes 'retry'; do you mean 'retries'"),
        ({"retries": -1}, "Node 'k1': retries must be a whole number"),
        ({"timeout": "soon"}, "Node 'k1': timeout must be a positive number"),
        ({"backend": 5}, "Node 'k1': backend must be the name"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    """At once, with the node."""
    with pytest.raises(PipelineError, match=message):
        pipeline(KEDROS).with_settings(**settings)


def test_something_else_is_no_node():
    """A function, say."""
    with pytest.raises(PipelineError, match="is none: write node"):
        pipeline([increment])
    with pytest.raises(TypeError):
        OURS + [1]  # noqa: RUF005, that is the point
