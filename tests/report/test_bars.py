"""Time lines: rows, colours and the critical path."""

from functools import partial

import pytest
from functions import add, identity

from motorpool import ParallelRunner, node, pipeline
from motorpool._pipeline.graph import Graph, longest_chain
from motorpool._report.bars import Bar, Shape, busiest, lanes, timeline
from motorpool._report.recording import Recording


def test_bars_of_a_row_do_not_cover_each_other():
    """Threads of one process get a row each; a process of its own has one of its own."""
    bars = [Bar("a", 1, 0.0, 2.0), Bar("b", 1, 1.0, 2.0), Bar("c", 1, 2.0, 1.0),
            Bar("d", 2, 3.5, 1.0), Bar("e", 1, 3.2, 1.0)]  # fmt: skip
    assert lanes(bars) == [0, 1, 0, 2, 0]
    assert lanes(bars[::-1]) == [0, 2, 0, 1, 0]


def test_bars_that_overlap_by_a_step_of_the_clock_share_a_row():
    """That is no sign of another thread; a tenth of a millisecond is."""
    assert lanes([Bar("a", 1, 0.0, 1.0000005), Bar("b", 1, 1.0, 1.0)]) == [0, 0]
    assert lanes([Bar("a", 1, 0.0, 1.0001), Bar("b", 1, 1.0, 1.0)]) == [0, 1]


def test_longest_chain_is_by_cost():
    """Not by number of nodes; of nothing it is empty."""
    parents = [(), (0,), (1,), (), (2, 3)]
    assert longest_chain(parents, [1, 1, 1, 9, 1]) == [3, 4]
    assert longest_chain(parents, [1, 1, 1, 2, 1]) == [0, 1, 2, 4]
    assert longest_chain([], []) == []


def test_critical_path_has_only_nodes_that_are_drawn():
    """Those without a bar have no length."""
    pipe = pipeline([node(identity, "x", "y", name="a"), node(identity, "y", "z", name="b"),
                     node(identity, "x", "w", name="c")])  # fmt: skip
    shape = Shape.of(pipe)
    assert shape.critical_path([Bar("a", 1, 0, 1.0), Bar("c", 2, 0, 0.5)]) == {"a"}
    bars = [Bar("a", 1, 0, 1.0), Bar("b", 1, 1, 1.0), Bar("c", 2, 0, 1.5)]
    assert shape.critical_path(bars) == {"a", "b"}
    assert shape.critical_path([]) == set()


def test_functions_have_names_that_people_know():
    """Those of partials are what they call; of other callables, their class."""

    class Model:
        def __call__(self, x):
            return x

    pipe = pipeline([
        node(partial(partial(add, 1), 2), None, "a", name="partial"),
        node(Model(), "x", "b", name="object"), node(lambda x: x, "x", "c", name="lambda"),
    ])  # fmt: skip
    assert Shape.of(pipe).functions == {"partial": "add", "object": "Model", "lambda": "<lambda>"}


def test_functions_beyond_the_palette_are_others():
    """The ones that took least; a function has the same colour in each run of a page."""
    names = [f"n{i}" for i in range(12)]
    shape = Shape({name: f"f{name}" for name in names}, Graph.from_parents([()] * 12))
    bars = [Bar(name, 1, float(i), 0.5 + i) for i, name in enumerate(names)]
    colours = busiest([bars, bars[8:]], shape)
    assert colours == [f"fn{i}" for i in range(11, 2, -1)]
    drawn = timeline(bars, shape, colours)
    assert drawn["functions"] == [*colours, "others"]
    assert [bar[2] for bar in drawn["bars"]] == [9, 9, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    few = timeline(bars[3:], shape, colours)
    assert few["functions"] == colours


@pytest.mark.parametrize("backend", ["direct", "threads", "sequential"])
def test_recording_has_all_that_a_time_line_needs(backend):
    """Of a run on processes, threads, and in this one."""
    kept = []
    pipe = pipeline([node(identity, "x", "y", name="a"), node(identity, "y", "z", name="b")])
    ParallelRunner(backend, 2, observers=[Recording(kept.append)]).run(pipe, {"x": "value"})
    (found,) = kept
    first, second = found.finished.summary.nodes
    assert found.finished.summary.wall_time > 0
    assert (first.node, second.node) == ("a", "b")
    assert first.started + first.seconds <= second.started + 1e-3
    assert first.wait >= 0
    assert found.finished.summary.nodes[-1] == second
    assert found.finished.summary.nodes[:1] == [first]
    assert len(found.finished.summary.nodes) == 2
