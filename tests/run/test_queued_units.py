"""Short nodes that are at the worker of the nodes that they wait for, before these are done."""

import os
import random
import time
from functools import partial
from itertools import product

import numpy as np
import pytest
from functions import touch, wait_for

from motorpool import ParallelRunner, Retry, node, pipeline
from motorpool._backends.direct.executor import DirectExecutor
from motorpool._engine import sizes
from motorpool._engine.lane import Lane
from motorpool._engine.transport import POLL_INTERVAL
from motorpool._protocol.messages import unpacked
from motorpool._worker import main as worker
from motorpool.errors import WorkerCrashedError
from motorpool.events import DatasetReleased, NodeCompleted, NodeSkipped, NodeSubmitted

# Of functions that nothing is known of, each node is a unit: no earlier run must have told.
new_runner = partial(ParallelRunner, "direct", runs_folder=False)

SMALL, LARGE = [7, [7]], [np.arange(100_000.0), b"7" * 100_000]


class Teller:
    """Makes a file for each node that is submitted or has run, and keeps what has happened."""

    def __init__(self, folder):
        self.folder, self.events = folder, []

    def path(self, kind, name):
        """The file."""
        return str(self.folder / f"{kind.__name__}-{name}")

    def on_event(self, event):
        """As an observer."""
        self.events.append(event)
        if isinstance(event, NodeSubmitted | NodeCompleted):
            touch(self.path(type(event), event.node))

    def names(self, *kinds):
        """Kind and node of what has happened, in order."""
        return [(type(e).__name__, e.node) for e in self.events if isinstance(e, kinds)]


@pytest.fixture
def teller(tmp_path):
    return Teller(tmp_path)


@pytest.fixture
def queued(monkeypatch):
    """Of the units that were queued: what they have returned, what ran them, what was sent."""
    found, submit_behind = [], DirectExecutor.submit_behind

    def submit(self, pid, run, envelope):
        future = submit_behind(self, pid, run, envelope)
        found.append(row := [None, run, envelope])  # not the future, for it holds the whole run
        future.add_done_callback(lambda done: row.__setitem__(0, done.result()))
        return future

    monkeypatch.setattr(DirectExecutor, "submit_behind", submit)
    return found


def ran(result):
    """Which nodes of a unit have run, and which have failed."""
    read = unpacked(result)
    return list(read.nodes), list(read.failures)


def joined(teller, second, **settings):
    """Two nodes, and one that needs both; it is submitted before the second one goes on.

    Args:
        teller: Says when.
        second: What the second node then does.
        **settings: Of the second node.
    """
    submitted, calls = teller.path(NodeSubmitted, "join"), str(teller.folder / "calls")

    def two(x):
        wait_for(submitted)
        return second(x)

    def join(one, two):
        with open(calls, "a") as file:
            file.write("join ")
        return [each.sum() if hasattr(each, "sum") else each for each in (one, two)]

    return pipeline(
        [
            node(lambda x: x, "x", "one", name="one"),
            node(two, "x", "two", name="two", **settings),
            node(join, ["one", "two"], "joined", name="join"),
        ]
    )


def calls(teller):
    """How often the last node was called."""
    path = teller.folder / "calls"
    return len(path.read_text().split()) if path.exists() else 0


@pytest.mark.parametrize(
    ("workers", "value"),
    [*product([1, 2], SMALL), *((1, value) for value in LARGE)],  # these go to where the first is
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("fuse", [True, False])
def test_node_finds_what_was_made_just_before(teller, queued, workers, value, fuse):
    """Whether that is carried along, pickled or in the store."""
    pipe = joined(teller, lambda x: x)
    with new_runner(max_workers=workers, observers=[teller], fuse=fuse) as runner:
        found = runner.run(pipe, {"x": value})["joined"].load()
    whole = np.sum(value) if isinstance(value, np.ndarray) else value
    assert found == [whole, whole]
    happened = teller.names(NodeSubmitted, NodeCompleted)
    assert happened.index(("NodeSubmitted", "join")) < happened.index(("NodeCompleted", "two"))
    assert calls(teller) == 1
    if type(value) in {int, list}:  # else the result speaks of a store that is closed
        assert [ran(result) for result, *_ in queued] == [([2], [])]


def fails_once(path, how):
    """A function that does something bad the first time."""

    def second(x):
        if not os.path.exists(path):
            touch(path)
            how()
        return x

    return second


def error():
    raise ValueError("not yet")


def crash():
    os._exit(9)


@pytest.mark.parametrize("how", [error, crash])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("on_failure", ["stop", "continue"])
def test_node_waits_for_the_second_try_of_the_one_before(teller, how, workers, on_failure):
    """It does not begin, and is not charged; a new worker knows nothing of it either."""
    second = fails_once(str(teller.folder / "tried"), how)
    pipe = joined(teller, second, retries=Retry(1, delay=0.0))
    with new_runner(max_workers=workers, observers=[teller], on_failure=on_failure) as runner:
        assert runner.run(pipe, {"x": 5})["joined"].load() == [5, 5]
    assert calls(teller) == 1
    tries = {e.node: e.attempt for e in teller.events if isinstance(e, NodeCompleted)}
    assert tries == {"one": 1, "two": 2, "join": 1}


@pytest.mark.parametrize(("how", "kind"), [(error, ValueError), (crash, WorkerCrashedError)])
@pytest.mark.parametrize("on_failure", ["stop", "continue", "kill"])
def test_node_is_skipped_if_the_one_before_fails(teller, how, kind, on_failure):
    """Though it was on its way."""
    pipe = joined(teller, fails_once(str(teller.folder / "tried"), how))
    with (
        new_runner(max_workers=1, observers=[teller], on_failure=on_failure) as runner,
        pytest.raises(kind),
    ):
        runner.run(pipe, {"x": 5})
    assert calls(teller) == 0
    assert teller.names(NodeSkipped) == [("NodeSkipped", "join")]
    reason = next(e.reason for e in teller.events if isinstance(e, NodeSkipped))
    assert reason == "it needs the node 'two', which failed"
    assert ("NodeSubmitted", "join") in teller.names(NodeSubmitted)


def test_call_that_goes_elsewhere_comes_back(teller, monkeypatch):
    """Where nothing is known of what it needs: its nodes do not begin there."""
    futures = []

    def submit_behind(self, _pid, fn, *args):
        futures.append(self.submit(fn, *args))
        return futures[-1]

    def meet(path, other):
        touch(path)
        wait_for(other)

    paths = {name: str(teller.folder / name) for name in "ab"}
    meeting = [node(meet, ends, None, name="".join(ends)) for ends in (["a", "b"], ["b", "a"])]
    pipe = joined(teller, lambda x: x)
    monkeypatch.setattr(DirectExecutor, "submit_behind", submit_behind)
    with new_runner(max_workers=2, observers=[teller]) as runner:
        runner.run(pipeline(meeting), paths)  # from here on, there are two workers
        assert runner.run(pipe, {"x": 5})["joined"].load() == [5, 5]
    assert calls(teller) == 1
    assert [ran(future.result()) for future in futures] == [([], [])]


def test_what_follows_a_unit_that_did_not_begin_does_not_begin(teller, queued):
    """It is known of the unit before only that it has been there."""
    submitted = teller.path(NodeSubmitted, "last")
    nodes = joined(teller, lambda x: x).nodes
    wait = node(lambda x: wait_for(submitted) and x, "joined", "waited", name="wait")
    last = node(lambda *values: values, ["two", "waited"], "all", name="last")
    with new_runner(max_workers=1, observers=[teller]) as runner:
        assert runner.run(pipeline([*nodes, wait, last]), {"x": 5})["all"].load() == (5, [5, 5])
        assert [ran(result) for result, *_ in queued] == [([3], []), ([4], [])]
        # In this process there is nothing of what comes before.
        assert [ran(run(envelope)) for _, run, envelope in queued] == [([], [])] * 2
        worker._close_files()


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("kind", [int, str])
def test_every_other_call_goes_elsewhere(monkeypatch, workers, kind):
    """What is queued behind a unit that has not begun does not begin either."""
    whereto, faithful = random.Random(1), DirectExecutor.submit_behind
    sent = []

    def submit_behind(self, pid, fn, *args):
        sent.append(pid)
        near = faithful if whereto.random() < 0.5 else DirectExecutor.submit_near
        return near(self, pid, fn, *args)

    monkeypatch.setattr(DirectExecutor, "submit_behind", submit_behind)
    monkeypatch.setattr(sizes, "_QUEUED", float("inf"))  # however slow the machine is

    def short(*values):
        time.sleep(0.001)
        return kind(sum(map(int, values)) % 1009 + 1)

    nodes, expected, width = [], {f"v0_{c}": 1 for c in range(4)}, range(4)
    for row in range(1, 60):
        for column in width:
            reads = [f"v{row - 1}_{c}" for c in (column - 1, column, column + 1) if c in width]
            made = f"v{row}_{column}"
            nodes.append(node(short, reads, made, name=made))
            expected[made] = sum(expected[name] for name in reads) % 1009 + 1
    ends = {f"v59_{c}": kind(expected[f"v59_{c}"]) for c in width}
    with new_runner(max_workers=workers) as runner:
        for _ in range(4):
            found = runner.run(pipeline(nodes), {f"v0_{c}": kind(1) for c in width})
            assert {name: found[name].load() for name in ends} == ends
    assert sent


def test_stretch_goes_on_though_something_is_queued_behind_it(teller):
    """So that it hands on what it makes, and does not store it."""
    submitted = teller.path(NodeSubmitted, "join")

    def slow(x, *_other):
        wait_for(submitted)
        time.sleep(0.05)  # so long that it would make way for others
        return x + 1

    steps = [
        node(slow, ["x", "other"], "v1", name="v1"),
        node(slow, "v1", "v2", name="v2"),
        node(slow, "v2", "v3", name="v3"),
    ]
    other = node(lambda x: x[0], "x", "other", name="other")
    join = node(lambda a, b: a[0] + b, ["v3", "other"], "joined", name="join")
    with new_runner(max_workers=1, observers=[teller]) as runner:
        found = runner.run(pipeline([other, *steps, join]), {"x": np.arange(100_000.0)})
    assert found["joined"].load() == 3.0
    released = {e.dataset for e in teller.events if isinstance(e, DatasetReleased)}
    assert released == {"v3", "other"}


def test_what_a_node_says_is_heard_after_what_it_needs(teller, monkeypatch):
    """Though it was published, and the end of the unit before waits to be dealt with."""
    begun, goes_on = (str(teller.folder / name) for name in ("begun", "goes-on"))
    press = Lane.press

    def slow_press(self):
        if os.path.exists(teller.path(NodeSubmitted, "join")):
            wait_for(begun)  # by then the unit before is over, and a part of this one is published
            time.sleep(1.5 * POLL_INTERVAL)  # and looked for, at the next turn
        press(self)

    def last(_joined):
        touch(begun)
        wait_for(goes_on)

    pipe = joined(teller, lambda x: x) + pipeline(node(last, "joined", None, name="last"))
    completed = teller.path(NodeCompleted, "two")

    def on_event(event):
        Teller.on_event(teller, event)
        if os.path.exists(completed):
            touch(goes_on)

    teller.on_event = on_event
    monkeypatch.setattr(Lane, "press", slow_press)
    with new_runner(max_workers=2, observers=[teller]) as runner:  # so that nobody is pressed
        runner.run(pipe, {"x": [5]})
    order = [name for _, name in teller.names(NodeCompleted)]
    assert order == ["one", "two", "join", "last"]
    released = [e.dataset for e in teller.events if isinstance(e, DatasetReleased)]
    assert sorted(released) == ["one", "two"]
