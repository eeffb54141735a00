"""The scheduler, against random graphs and fates; see `test_machine` for all of them at once."""

import re
import time
from collections import Counter
from pathlib import Path

import pytest
from graphs import acyclic
from hypothesis import given
from hypothesis import strategies as st
from schedulers import finish, make, nodes_of

from motorpool import Pipeline, Retry
from motorpool._engine import actions as do
from motorpool._engine.deadlines import Deadlines
from motorpool._engine.lifetimes import Lifetimes
from motorpool._engine.state import TRANSITIONS, State, TransitionError, Unit
from motorpool._engine.tasks import ReadyQueue
from motorpool._pipeline.graph import Graph
from motorpool._protocol.status import Started
from motorpool._run.compiled import CompiledPipeline
from motorpool.pipeline import ends_of


@given(acyclic(), st.integers(1, 3), st.booleans())
def test_every_task_runs_once_and_after_its_parents(parents, workers, known):
    """Units are closed: each parent is done, or before its child in the same unit."""
    expected = [1e-6] * len(parents) if known else None
    scheduler = make(parents, workers=workers, expected=expected)
    ran = []
    while scheduler.table.unfinished:
        unit = scheduler.sending.next_unit(0, 0.0)
        for at, each in enumerate(unit.nodes):
            assert set(parents[each]) <= {*ran, *unit.nodes[:at]}
        finish(scheduler, unit)
        ran += unit.nodes
    assert sorted(ran) == list(range(len(parents)))


@given(acyclic(), st.sets(st.integers(0, 24)))
def test_after_failures_exactly_what_depends_on_them_is_skipped(parents, bad):
    """And everything else runs."""
    scheduler = make(parents, on_failure="continue")
    while (unit := scheduler.sending.next_unit(0, 0.0)) is not None:
        finish(scheduler, unit, lambda n: ValueError(n) if n in bad else None)
    table = scheduler.table
    assert table.unfinished == 0
    failed, skipped = table.nodes_in(State.FAILED), set(table.nodes_in(State.SKIPPED))
    below = Graph.from_parents(parents).reach(failed, down=True) - set(failed)
    assert skipped == below
    assert set(failed) == (bad & set(range(len(parents)))) - below
    assert scheduler.failures.keys() == set(failed)
    said = {a.node: a.reason for a in scheduler.actions if isinstance(a, do.Skipped)}
    assert said.keys() == skipped
    assert all("which failed" in reason for reason in said.values())


def test_what_a_failure_keeps_from_running_in_its_unit_says_so():
    """The run has been stopped when the unit comes back; what needs the failed node names it."""
    scheduler = make([[], [0], [1], []], on_failure="stop", expected=[1e-6] * 4)
    unit = scheduler.sending.next_unit(0, 0.0)
    assert sorted(unit.nodes) == [0, 1, 2, 3]
    assert scheduler.claim(0, unit.number, [0]) == [0]
    scheduler.failed(0, ValueError(), 0.0)
    scheduler.returned(unit)
    said = {a.node: a.reason for a in scheduler.actions if isinstance(a, do.Skipped)}
    needs = "it needs the node 'n0', which failed"
    assert said == {1: needs, 2: needs, 3: "the node 'n0' failed"}


@given(acyclic(), st.integers(0, 10))
def test_after_a_stop_only_what_is_under_way_is_left(parents, before):
    """What was ready or waiting is skipped; nothing more is sent."""
    scheduler = make(parents, workers=20)
    units = [u for _ in range(before) if (u := scheduler.sending.next_unit(0, 0.0)) is not None]
    scheduler.stop("enough")
    assert scheduler.sending.next_unit(0, 0.0) is None
    assert scheduler.table.unfinished == sum(len(unit.nodes) for unit in units)
    assert sum(isinstance(a, do.StopWorkers) for a in scheduler.actions) == 1
    for unit in units:
        finish(scheduler, unit)
    assert scheduler.table.unfinished == 0


def test_the_most_urgent_of_the_ready_ones_goes_first():
    """In the order that it is given; by default as the nodes are."""
    parents = [[], [], [1], [2], []]
    for order, firsts in (([4, 1, 2, 3, 0], [4, 1, 0]), (None, [0, 1, 4])):
        scheduler = make(parents, workers=9, order=order)
        sent = [
            u.nodes for _ in range(4) if (u := scheduler.sending.next_unit(0, 0.0)) is not None
        ]
        assert sent == [[first] for first in firsts]


def test_a_unit_grows_eightfold_with_what_has_come_back():
    """A function of which nothing is known travels alone; then 8, 64, and so on."""
    scheduler = make([[]] * 2000)
    maker, sizes = scheduler.lanes[0].maker, []
    while (unit := scheduler.sending.next_unit(0, 0.0)) is not None:
        sizes.append(len(unit.nodes))
        for each in unit.nodes:
            maker.durations.note([each], [1e-7])
        maker.durations.note_unit(unit.nodes)
        finish(scheduler, unit)
    assert sizes[0] == 1
    assert 7 <= sizes[1] <= 12
    assert max(sizes) >= 50
    assert sum(sizes) == 2000


def test_a_function_that_is_remembered_does_not_start_slowly():
    """What is known of it at the end of a run is where the next one goes on."""
    first = make([[]] * 100)
    durations = first.lanes[0].maker.durations
    assert durations.remember() == {}
    for each in range(20):
        durations.note([each], [1e-6])
    durations.note_unit(range(20))
    known = durations.remember()
    assert known == {"f": (1e-6, 160)}
    assert len(make([[]] * 100, remembered=known).sending.next_unit(0, 0.0).nodes) > 10
    long = make([[]] * 100, remembered={"f": (1.0, 4096)})
    assert len(long.sending.next_unit(0, 0.0).nodes) == 1


def test_long_tasks_travel_alone_and_short_ones_with_what_waits_for_them():
    """A stencil of short tasks is one unit; one of long tasks has a task a unit."""
    stencil = [[], [], [0, 1], [0, 1], [2, 3], [2, 3]]
    short = make(stencil, expected=[1e-6] * 6)
    assert sorted(short.sending.next_unit(0, 0.0).nodes) == list(range(6))
    long = make(stencil, expected=[0.1] * 6)
    assert [long.sending.next_unit(0, 0.0).nodes for _ in range(2)] == [[0], [1]]
    assert long.sending.next_unit(0, 0.0) is None


def test_what_was_lost_runs_again_without_being_charged():
    """A try that was lost through no fault of the task does not count."""
    scheduler = make([[]])
    for _ in range(3):
        unit = scheduler.sending.next_unit(0, 0.0)
        scheduler.losses.lost([unit], 17)
    assert [a for a in scheduler.actions if isinstance(a, do.WorkerLost)] == [
        do.WorkerLost(17, None, [0])
    ] * 3
    finish(scheduler, scheduler.sending.next_unit(0, 0.0))
    assert scheduler.table[0].attempt == 1


def test_pause_before_another_try():
    """A failed task comes back when its pause is over, and not before."""
    scheduler = make([[]], retries=[Retry(1, delay=5.0, jitter=0.0)])
    finish(scheduler, scheduler.sending.next_unit(0, 0.0), ValueError)
    assert scheduler.retries.next_due == 5.0
    assert scheduler.table[0].state is State.PAUSED
    assert scheduler.sending.next_unit(0, 0.0) is None
    scheduler.tick(4.9)
    assert scheduler.sending.next_unit(0, 4.9) is None
    scheduler.tick(5.0)
    finish(scheduler, scheduler.sending.next_unit(0, 5.0), ValueError)
    assert scheduler.failures.keys() == {0}
    assert [(a.attempt, a.retried) for a in scheduler.actions if isinstance(a, do.TryFailed)] == [
        (1, True), (2, False),
    ]  # fmt: skip


def test_one_transition_after_another_and_no_other():
    """What the table does not have is refused, with the story of the task."""
    assert TRANSITIONS.keys() == set(State)
    scheduler = make([[], [0]])
    finish(scheduler, scheduler.sending.next_unit(0, 0.0))
    with pytest.raises(TransitionError) as caught:
        scheduler.table.move(0, State.FAILED)
    assert "'n0' cannot go from DONE to FAILED" in str(caught.value)
    assert "SENT in unit 1 of 1; SENT -> DONE" in str(caught.value)


def test_the_page_has_the_same_states_and_transitions():
    """As the code, none more and none less."""
    page = Path(__file__).parents[2] / "docs/explanation/scheduler.md"
    rows = re.findall(r"^\| ([A-Z]+) \| .* \| ([A-Z, ]*) ?\|$", page.read_text(), re.MULTILINE)
    told = {name: set(filter(None, nexts.strip().split(", "))) for name, nexts in rows}
    assert told == {s.name: {n.name for n in nexts} for s, nexts in TRANSITIONS.items()}


@pytest.mark.parametrize("fate", [State.FAILED, State.PAUSED])
def test_suspect_whose_input_cannot_be_made_is_not_tried(fate):
    """The one before it, which has to run again for it, has failed, or waits for its next try."""
    scheduler = make([[], [0]], fused=True)
    table = scheduler.table
    table.send(Unit(1, 0, [0, 1], alone=False))
    assert table.with_lost_parents(1) == []  # under way elsewhere
    table.move(0, fate)
    assert table.with_lost_parents(1) == []
    assert scheduler.skip_cut_off(1) == (fate is State.FAILED)
    reasons = [action.reason for action in scheduler.actions]
    assert reasons == ["it needs the node 'n0', which failed"] * (fate is State.FAILED)


def test_a_run_that_cannot_go_on_says_which_node_waits():
    """It would be a mistake of ours, and is no endless loop."""
    scheduler = make([[], [0]])
    scheduler.table[1].missing += 1  # a parent that never comes
    finish(scheduler, scheduler.sending.next_unit(0, 0.0))
    with pytest.raises(RuntimeError, match="1 nodes wait for nodes that will not run, 'n1'"):
        scheduler.table.check_alive()


@given(st.lists(st.integers(0, 99), unique=True), st.lists(st.integers(100, 199), unique=True))
def test_ready_queue_is_a_priority_queue(first, later):
    """Those that are ready at first, and those that come later, by rank."""
    queue = ReadyQueue(sorted(first))
    for rank in later:
        queue.push(rank)
    found = []
    while (rank := queue.peek()) is not None:
        assert len(queue) == len(first) + len(later) - len(found)
        found.append(rank)
        queue.pop()
    assert found == sorted(first + later)


def test_deadlines_count_from_the_start_of_a_task():
    """And only once; a start time of zero is a stamp that is being written, and not long ago."""
    scheduler = make([[]])
    deadlines = Deadlines([2.0])
    deadlines.watch([scheduler.table[0]], 100.0)
    assert deadlines.pause({}, 100.0) == pytest.approx(0.05)  # it has not started
    torn = {0: Started(pid=7, time=0.0)}
    assert deadlines.overdue(torn, 101.9) == []
    running = {0: Started(pid=7, time=101.0)}
    assert deadlines.pause(running, 101.5) == pytest.approx(1.5)
    assert deadlines.overdue(running, 103.0) == [7]
    assert deadlines.overdue(running, 104.0) == []
    assert scheduler.table[0].timed_out
    assert deadlines.killed == {7}
    assert deadlines.pause(running, time.monotonic()) is None


@given(acyclic())
def test_datasets_are_released_once_and_after_their_last_reader(parents):
    """Never what goes in or comes out."""
    nodes = nodes_of(parents)
    inputs = [n.inputs for n in nodes]
    read = {name for names in inputs for name in names}
    ends = {o for n in nodes for o in n.outputs if o not in read}
    known = CompiledPipeline(nodes, Graph.from_parents(parents), *ends_of(Pipeline(nodes)))
    users = Counter(name for n in nodes for name in (*n.inputs, *n.outputs))
    assert users == dict(zip(known.datasets, known.users, strict=True))
    lifetimes = Lifetimes(known.wiring, known.users, {"x"} | ends)
    released, left = [], [set(names) for names in inputs]
    for each in range(len(parents)):
        left[each] = set()
        for name in lifetimes.settle([each]):
            assert not any(name in names for names in left)
            released.append(name)
    assert sorted(released) == sorted(read - {"x"})
