"""Units in workers: what their nodes hand to each other, and what comes back."""

import functools
import itertools

import numpy as np
import pytest
import unit_functions

from motorpool import ParallelRunner, node, pipeline
from motorpool.errors import DatasetError, PipelineError, WorkerCrashedError
from motorpool.events import DatasetReleased, NodeCompleted, NodeFailed

# Nodes of functions that are known to be short travel many at a time.
COUNT = 60


@pytest.fixture
def runner(recorder):
    """A runner with one worker, on which nodes travel together from the second run on."""
    with ParallelRunner(
        "direct", max_workers=1, runs_folder=False, on_failure="continue", observers=[recorder]
    ) as runner:
        yield runner


def steps(odd=None, at=40):
    """Nodes of one function, of which one does something else; and the numbers that they read."""
    ends = [f"y{i}" for i in range(COUNT)]
    nodes = [node(unit_functions.nth, ["x", f"i{i}"], ends[i], name=ends[i]) for i in range(COUNT)]
    choice = [odd if i == at else None for i in range(COUNT)]
    return nodes, {"x": choice, **{f"i{i}": i for i in range(COUNT)}}


def warm(runner, recorder):
    """Let the workers know that the function is short."""
    nodes, data = steps()
    for _ in range(3):
        runner.run(pipeline(nodes), data)
    recorder.events.clear()


def fan(make, read):
    """One node, some that read what it has made, and one that reads all of these."""
    ends = [f"y{i}" for i in range(COUNT)]
    return pipeline(
        [
            node(make, "x", "m", name="make"),
            *(node(read, ["m", "x"], end, name=end) for end in ends),
            node(unit_functions.collect, ends, "all", name="collect"),
        ]
    )


def test_each_reader_within_a_unit_has_a_value_of_its_own(runner):
    """One that changes what it reads changes it for nobody else."""
    pipe = fan(unit_functions.a_list, unit_functions.appended)
    for _ in range(3):
        assert runner.run(pipe, {"x": 1})["all"].load() == [[0, 1]] * COUNT


@pytest.mark.parametrize("value", [7, 1.5, "a" * 5000, b"x", True, 10**4000, {"k": [1]}])
@pytest.mark.parametrize("fuse", [True, False])
def test_values_of_all_kinds_go_from_node_to_node(value, fuse):
    """Small ones that cannot be changed as they are, others as copies."""
    pipe = fan(unit_functions.first, unit_functions.pair)
    with ParallelRunner("direct", max_workers=2, fuse=fuse) as runner:
        for _ in range(3):
            result = runner.run(pipe, {"x": [value]})["all"].load()
            assert result == [(value, type(value).__name__)] * COUNT


def of_all_forms():
    """Nodes that are called, and that return, in all ways; each reads what others have made."""
    nodes = []
    for i in range(0, 40, 4):
        a, b = (f"a{i}", f"b{i}") if i else ("x", "y")
        following = [f"a{i + 4}", f"b{i + 4}"]
        nodes += [
            node(unit_functions.turned, [a, b], [f"c{i}", f"d{i}"], name=f"n{i}"),
            node(
                unit_functions.by_key, {"b": f"c{i}", "a": f"d{i}"},
                {"second": f"e{i}", "first": f"f{i}"}, name=f"n{i + 1}",
            ),
            node(unit_functions.one_in_a_list, [f"e{i}", f"e{i}"], [f"g{i}"], name=f"n{i + 2}"),
            node(unit_functions.nothing_at_all, [f"g{i}", f"f{i}"], None, name=f"n{i + 3}"),
            node(unit_functions.turned, {"a": f"f{i}", "b": f"g{i}"}, following, name=f"m{i}"),
        ]  # fmt: skip
    return pipeline(nodes)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize(
    ("x", "y"), [(1, 2.5), ("small", [1, {2}]), (np.arange(20_000), np.ones(3)), ([1], "a" * 9000)]
)
def test_nodes_of_all_forms(x, y, fuse):
    """The same comes of them as of nodes in this process, the first time and later ones."""
    pipe = of_all_forms()
    with ParallelRunner("sequential", runs_folder=False) as here:
        expected = {name: d.load() for name, d in here.run(pipe, {"x": x, "y": y}).items()}
    assert len(expected) == 2
    with ParallelRunner("direct", max_workers=2, fuse=fuse, runs_folder=False) as there:
        for _ in range(3):
            found = {name: d.load() for name, d in there.run(pipe, {"x": x, "y": y}).items()}
            np.testing.assert_equal(found, expected)


def test_what_is_not_of_the_declared_form_is_said_with_names(runner, recorder):
    """Of a function that is known to be short as well."""
    nodes = [
        node(unit_functions.as_many, [f"c{i}", f"i{i}"], [f"y{i}", f"z{i}"], name=f"n{i}")
        for i in range(COUNT)
    ]
    data = {f"c{i}": 2 for i in range(COUNT)} | {f"i{i}": i for i in range(COUNT)}
    for _ in range(3):
        assert runner.run(pipeline(nodes), data)["z59"].load() == 59
    recorder.events.clear()
    with pytest.raises(PipelineError) as caught:
        runner.run(pipeline(nodes), {**data, "c40": 3})
    assert str(caught.value).startswith(
        "Node 'n40' must return a list or tuple of 2 values, one for each of ['y40', 'z40'], but "
        "returned 3 values."
    )
    assert len(recorder.of(NodeCompleted)) == COUNT - 1


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (unit_functions.large, np.full(20_000, 40.0)),
        (unit_functions.allocated, np.full(20_000, 40.0)),
        (unit_functions.stream, 40),
        (unit_functions.fork, -40),
    ],
)
def test_a_function_that_is_short_may_do_anything_one_day(runner, recorder, odd, expected):
    """Return an array, a generator, or twice: what comes of it is what comes of other nodes."""
    warm(runner, recorder)
    nodes, data = steps(odd)
    result = runner.run(pipeline(nodes), data)
    np.testing.assert_array_equal(result["y40"].load(), expected)
    assert [result[f"y{i}"].load() for i in (0, 39, 41, 59)] == [0, 39, 41, 59]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("odd", "error", "text"),
    [
        (unit_functions.fail, ZeroDivisionError, "in node 'y40', on backend 'direct'"),
        (unit_functions.nothing, DatasetError, "'y40' returned None for the dataset 'y40'"),
        (unit_functions.die, WorkerCrashedError, "'y40'"),
    ],
)
def test_a_failure_in_the_midst_of_a_unit_is_its_nodes_own(
    runner, recorder, odd, error, text, known
):
    """Known to be short or not; all others run, each of them once."""
    if known:
        warm(runner, recorder)
    nodes, data = steps(odd)
    with pytest.raises(error) as caught:
        runner.run(pipeline(nodes), data)
    assert text in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert [e.node for e in recorder.of(NodeFailed)] == ["y40"]
    assert sorted(e.node for e in recorder.of(NodeCompleted)) == sorted(
        f"y{i}" for i in range(COUNT) if i != 40
    )


def test_an_input_that_looks_like_a_dataset_is_named_with_the_failure(runner):
    """As where a node runs by itself, also of a function that is known to be short."""
    numbers = [node(unit_functions.minus, f"i{i}", f"y{i}", name=f"y{i}") for i in range(COUNT)]
    data = {f"i{i}": i for i in range(COUNT)}
    for _ in range(3):
        runner.run(pipeline(numbers), data)
    with pytest.raises(TypeError) as caught:
        runner.run(pipeline(numbers), {**data, "i40": [unit_functions.Loader()][0]})
    assert "The input 'i40' is a Loader itself" in "\n".join(caught.value.__notes__)


def test_a_fork_that_comes_back_runs_nothing_more(runner, recorder, tmp_path):
    """It is no worker; what comes after its node in the unit runs once."""
    warm(runner, recorder)
    nodes, data = steps(unit_functions.fork)
    data["x"][41] = functools.partial(unit_functions.note, str(tmp_path / "calls"))
    result = runner.run(pipeline(nodes), data)
    assert (result["y40"].load(), result["y41"].load()) == (-40, 41)
    assert (tmp_path / "calls").read_text() == "41\n"


def test_what_a_stretch_has_read_is_released_when_its_value_was_handed_on(runner, recorder):
    """The first node was told of before the second one ran, with its value in the worker only."""
    nodes = [
        node(unit_functions.large, "i", "m", name="make"),
        node(unit_functions.array, "i", "other", name="other"),
        node(lambda m, _other: m[:3] + 0, ["m", "other"], "v", name="first"),
        node(unit_functions.plus_one_slowly, "v", "w", name="second"),
    ]
    result = runner.run(pipeline(nodes), {"i": 1})
    np.testing.assert_array_equal(result["w"].load(), np.full(3, 2.0))
    assert "m" in {event.dataset for event in recorder.of(DatasetReleased)}


def test_what_a_failed_node_has_read_is_there_when_it_is_tried_again(runner, tmp_path, recorder):
    """It was made in the unit, and read by nobody outside of it."""
    ends = [f"y{i}" for i in range(COUNT)]
    nodes = [
        *(node(unit_functions.first, f"x{i}", f"m{i}", name=f"m{i}") for i in range(COUNT)),
        *(
            node(unit_functions.once, [f"m{i}", "folder"], ends[i], name=ends[i], retries=1)
            for i in range(COUNT)
        ),
        node(unit_functions.collect, ends, "all", name="collect"),
    ]
    data = {f"x{i}": [i] for i in range(COUNT)}
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        result = runner.run(pipeline(nodes), {**data, "folder": str(folder)})
        assert result["all"].load() == list(range(COUNT))
    assert len(recorder.of(NodeFailed)) == 3 * COUNT
    assert len(recorder.of(NodeCompleted)) == 3 * (2 * COUNT + 1)


def test_each_node_of_a_unit_has_its_own_start_and_seconds(runner, recorder):
    """One after the other, within the run."""
    warm(runner, recorder)
    nodes, data = steps()
    summary = runner.run(pipeline(nodes), data).summary
    ran = sorted(recorder.of(NodeCompleted), key=lambda event: event.started)
    for event, following in itertools.pairwise(ran):
        assert event.seconds > 0
        assert event.started + event.seconds <= following.started + 1e-6
    assert sum(event.seconds for event in ran) == pytest.approx(summary.node_time)
    assert all(event.call <= event.seconds for event in ran)
    assert {each.node for each in summary.nodes} == {f"y{i}" for i in range(COUNT)}
