"""The scheduler, against random graphs and random fates."""

from random import Random

from graphs import acyclic
from hypothesis import given
from hypothesis import strategies as st

from motorpool._engine.scheduler import Lifetimes, Scheduler, State
from motorpool._pipeline.graph import Graph


def finished(scheduler):
    return {s: scheduler.nodes_in(s) for s in (State.DONE, State.FAILED, State.SKIPPED)}


@given(acyclic(), st.builds(Random, st.integers(0, 2**32)))
def test_every_node_runs_once_and_after_its_parents(parents, random):
    """Whatever the order in which running nodes finish."""
    scheduler = Scheduler(Graph.from_parents(parents))
    running, done = [], []
    while scheduler.unfinished:
        while (node := scheduler.pop()) is not None:
            assert set(parents[node]) <= set(done)
            running.append(node)
        node = running.pop(random.randrange(len(running)))
        if random.random() < 0.2:
            scheduler.requeue(node)
        else:
            scheduler.done(node)
            done.append(node)
    assert sorted(done) == list(range(len(parents)))


@given(acyclic(), st.sets(st.integers(0, 24)))
def test_after_failures_exactly_what_depends_on_them_is_skipped(parents, bad):
    """And everything else runs."""
    graph = Graph.from_parents(parents)
    scheduler = Scheduler(graph)
    while (node := scheduler.pop()) is not None:
        if node in bad:
            scheduler.fail(node)
        else:
            scheduler.done(node)
    assert scheduler.unfinished == 0
    end = finished(scheduler)
    below = graph.reach(end[State.FAILED], down=True) - set(end[State.FAILED])
    assert set(end[State.SKIPPED]) == below
    assert set(end[State.FAILED]) == (bad & set(range(len(parents)))) - below


@given(acyclic(), st.integers(0, 10))
def test_after_a_stop_only_running_nodes_are_left(parents, before):
    """What was ready or waiting is skipped."""
    scheduler = Scheduler(Graph.from_parents(parents))
    running = [node for _ in range(before) if (node := scheduler.pop()) is not None]
    scheduler.stop()
    assert scheduler.pop() is None
    assert scheduler.unfinished == len(running)
    for node in running:
        scheduler.done(node)
    assert scheduler.unfinished == 0


def test_the_most_urgent_of_the_ready_ones_goes_first():
    """In the order that it is given; by default as the nodes are."""
    graph = Graph.from_parents([[], [], [1], [2], []])
    scheduler = Scheduler(graph, order=[4, 1, 2, 3, 0])
    assert [scheduler.pop() for _ in range(4)] == [4, 1, 0, None]
    scheduler = Scheduler(graph)
    assert [scheduler.pop() for _ in range(4)] == [0, 1, 4, None]


@given(acyclic())
def test_datasets_are_released_once_and_after_their_last_reader(parents):
    """Never what goes in or comes out."""
    outputs = [[f"d{i}"] for i in range(len(parents))]
    inputs = [[f"d{p}" for p in ps] + ["given"] for ps in parents]
    read = {name for names in inputs for name in names}
    kept = {"given"} | {o for names in outputs for o in names if o not in read}
    lifetimes = Lifetimes(inputs, outputs, kept)
    released, left = [], [set(names) for names in inputs]
    for node in range(len(parents)):
        left[node] = set()
        for name in lifetimes.settle(node):
            assert not any(name in names for names in left)
            released.append(name)
    assert sorted(released) == sorted(read - {"given"})
