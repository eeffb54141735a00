"""Nodes that travel together: what they hand to each other, and who is blamed when one breaks."""

import contextlib
import dataclasses
import gc
import os
import resource
import signal
import tempfile
import time
import weakref
from functools import partial
from pathlib import Path
from typing import ClassVar

import functions
import hook_functions
import numpy as np
import pytest
import unit_functions
from functions import add, append, identity, increment

from motorpool import (
    MemoryDataset,
    ParallelRunner,
    allocate,
    create_hook_manager,
    node,
    pipeline,
)
from motorpool.errors import NodeTimeoutError, WorkerCrashedError
from motorpool.events import NodeCompleted, NodeFailed, NodeSkipped, NodeSubmitted, WorkerLost

MEGABYTES = 48


def chain(*parts, first="x"):
    """Nodes n0, n1, ... that each need the one before; the last makes `out`."""
    names = [first, *(f"v{i}" for i in range(len(parts) - 1)), "out"]
    return [node(f, names[i], names[i + 1], name=f"n{i}") for i, f in enumerate(parts)]


def note_and_add(path, name):
    def note(x):
        append(path, name)
        return x + 1

    return note


def test_stretch_runs_in_one_worker_on_the_array_itself(process_backend, run):
    """At the same address; without fusion it is copied."""

    def make(n):
        array = np.ones(n)
        return array, array.__array_interface__["data"][0], os.getpid()

    def look(array, address, pid):
        return array.__array_interface__["data"][0] == address, os.getpid() == pid

    nodes = [
        node(make, "n", ["array", "address", "pid"]),
        node(look, ["array", "address", "pid"], "same"),
    ]
    assert run(process_backend, pipeline(nodes), {"n": 100_000})["same"].load() == (True, True)
    result = run(process_backend, pipeline(nodes), {"n": 100_000}, fuse=False)
    assert result["same"].load()[0] is False


@pytest.mark.parametrize("busy", [0, 30])
def test_shared_value_is_copied_for_the_next_node(process_backend, run, busy):
    """One object under two names, or one that belongs to all nodes of a function."""
    shared = np.zeros(5)

    def twice(_x):
        time.sleep(0.03)
        array = np.zeros(100_000)
        return array, array

    def use(x, y):
        x[:] = 7
        return float(y[0])

    def add(array):
        array += 1
        return float(array.sum())

    nodes = [node(twice, "x", ["a", "b"]), node(use, ["a", "b"], "one")]
    for i in range(4):
        nodes += [
            node(lambda _x: shared, "x", f"s{i}", name=f"shared{i}"),
            node(add, f"s{i}", f"o{i}", name=f"add{i}"),
        ]
    nodes += [
        node(lambda x: time.sleep(0.02) or x, "x", f"w{i}", name=f"w{i}") for i in range(busy)
    ]
    for _ in range(2):
        result = run(process_backend, pipeline(nodes), {"x": 1})
        assert result["one"].load() == 0.0
        assert [result[f"o{i}"].load() for i in range(4)] == [5.0] * 4


def test_values_are_freed_when_the_result_is_dropped(any_backend):
    """At once, and not at Python's next collection."""
    with ParallelRunner(any_backend, max_workers=1) as runner:
        gc.disable()
        try:
            result = runner.run(pipeline(chain(np.ones)), {"x": 100_000})
            dataset = weakref.ref(result["out"])
            del result
            assert dataset() is None
        finally:
            gc.enable()


def test_copies_for_the_next_node_leave_no_files(process_backend):
    """Nor does a chain of tables hold more than a chain of arrays."""

    def table(n):
        return {"a": np.arange(n), "b": [1, 2, 3]}

    def more(values):
        values["a"] += 1
        return values

    with ParallelRunner(process_backend, max_workers=1) as runner:
        for _ in range(3):
            result = runner.run(pipeline(chain(table, *[more] * 8)), {"x": 1_000_000})
            assert (result["out"].load()["a"] == np.arange(1_000_000) + 8).all()
            del result
        folder = Path(runner._resources.places[""].store.client.folders[0])
        held = sum(p.stat().st_size for p in folder.glob("**/*") if p.is_file())
        assert held < 4 * 8_000_000
        assert not list(folder.glob("*-handed-*"))


def test_read_only_inputs_are_so_within_a_stretch(process_backend, run):
    """As between workers."""
    nodes = chain(lambda n: np.ones(n), lambda array: array.fill(2))
    with pytest.raises(ValueError, match="read-only") as caught:
        run(process_backend, pipeline(nodes), {"x": 100_000}, readonly_inputs=True)
    assert "readonly_inputs=True" in "".join(caught.value.__notes__)


def test_value_with_other_readers_is_stored_as_well(process_backend, run):
    """Branches, and outputs of the pipeline."""
    nodes = [*chain(increment, increment, increment), node(identity, "v1", "other")]
    result = run(process_backend, pipeline(nodes), {"x": 0})
    assert (result["out"].load(), result["other"].load()) == (3, 2)


def test_chain_holds_two_values_at_a_time():
    """Of ten large ones: the one that a node reads, and the one that it makes."""

    def make(megabytes):
        return np.zeros(megabytes * 131_072) + 1

    def peak(array):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, float(array[0])

    def highest(megabytes):
        steps = [make, *[lambda a: a + 1] * 9, peak]
        with ParallelRunner(max_workers=1) as runner:
            result = runner.run(pipeline(chain(*steps)), {"x": megabytes})
            assert result["out"].load()[1] == 10
            return result["out"].load()[0]

    assert highest(MEGABYTES) - highest(1) < 2.5 * MEGABYTES


@pytest.mark.parametrize("retries", [0, 2])
def test_crash_in_a_stretch_is_blamed_on_its_node(
    process_backend, run, tmp_path, recorder, retries
):
    """What was done before it is done; with retries, its input is there again."""
    path = str(tmp_path / "roll-call")
    nodes = chain(
        note_and_add(path, "n0"), note_and_add(path, "n1"), functions.kill_self, identity
    )
    nodes[2] = node(functions.kill_self, "v1", "v2", name="n2", retries=retries)
    with pytest.raises(WorkerCrashedError) as caught:
        run(process_backend, pipeline(nodes), {"x": 1}, observers=[recorder])
    assert caught.value.node == "n2"
    assert {e.node for e in recorder.of(NodeCompleted)} == {"n0", "n1"}
    assert [e.node for e in recorder.of(NodeSkipped)] == ["n3"]
    tries = [e.attempt for e in recorder.of(NodeSubmitted) if e.node == "n2"]
    assert tries == list(range(1, retries + 2))


def test_failure_in_a_stretch_is_retried_with_its_input_as_it_was(process_backend, run, tmp_path):
    """A node that has changed its input before it failed finds it unchanged."""
    mark = tmp_path / "mark"

    def fragile(values):
        values.append(len(values))
        if not mark.exists():
            mark.touch()
            raise ValueError("once")
        return values

    nodes = chain(lambda _: [], fragile, identity)
    nodes[1] = node(fragile, "v0", "v1", name="n1", retries=1)
    assert run(process_backend, pipeline(nodes), {"x": 1})["out"].load() == [0]


def waiting_and_crashing(folder):
    """A function that waits to be killed, and one that ends its worker, and so the pool, then.

    The second time, the first one adds one at once.
    """
    second = str(folder / "second")

    def wait(x):
        if not os.path.exists(second):
            append(second, "here")
            time.sleep(functions.LIMIT)
        return x + 1

    def crash(_x):
        while not os.path.exists(second):
            time.sleep(0.01)
        os._exit(7)

    return wait, crash


@pytest.mark.parametrize(
    ("start", "again"), [(0, {"n2"}), (np.zeros(3), {"n0", "n1", "n2"})], ids=["told", "handed"]
)
@pytest.mark.parametrize("backend", ["process", "loky"])
def test_innocent_stretch_is_run_again_from_its_last_stored_value(
    backend, run, tmp_path, recorder, start, again
):
    """A neighbour breaks the whole pool while the third node of a stretch runs.

    Small values were told of before that; arrays were handed on, and are lost.
    """
    wait, crash = waiting_and_crashing(tmp_path)
    steps = chain(increment, increment, wait, increment)
    nodes = [*steps, node(crash, "x", "bad", name="bad")]
    with pytest.raises(WorkerCrashedError) as caught:
        run(backend, pipeline(nodes), {"x": start}, on_failure="continue", observers=[recorder])
    assert caught.value.node == "bad"
    assert {e.node for e in recorder.of(NodeCompleted)} == {"n0", "n1", "n2", "n3"}
    assert all(e.attempt == 1 for e in recorder.of(NodeCompleted))
    lost = [e for e in recorder.of(WorkerLost) if e.node is None]
    assert any(again == {"n0", "n1", "n2"} & set(e.innocent) for e in lost)


@pytest.mark.parametrize("backend", ["process", "loky"])
def test_what_led_to_a_value_that_was_handed_on_is_not_lost_with_it(
    backend, run, tmp_path, recorder
):
    """A node that may be tried again reads a small value, and hands an array to the next one."""
    wait, crash = waiting_and_crashing(tmp_path)
    # From the sixth on, functions are known to be short, so that two are told of together.
    array, first = unit_functions.array, unit_functions.first
    nodes = chain(increment, array, first, array, first, increment, array, wait)
    nodes[6] = node(array, "v5", "v6", name="n6", retries=1)
    nodes.append(node(crash, "x", "bad", name="bad"))
    with pytest.raises(WorkerCrashedError) as caught:
        run(backend, pipeline(nodes), {"x": 0}, on_failure="continue", observers=[recorder])
    assert caught.value.node == "bad"
    assert not recorder.of(NodeSkipped)
    names = {f"n{i}" for i in range(8)}
    assert {e.node for e in recorder.of(NodeCompleted)} == names
    lost = [e for e in recorder.of(WorkerLost) if e.node is None]
    assert any({"n6", "n7"} == names & set(e.innocent) for e in lost)


def test_deadline_in_a_stretch_is_its_nodes_own(process_backend, run, recorder):
    """Those before it are not charged, and take nothing of its time."""
    nodes = chain(lambda x: time.sleep(0.4) or x, functions.hang, identity)
    nodes[1] = node(functions.hang, "v0", "v1", name="n1", timeout=0.5)
    with pytest.raises(NodeTimeoutError) as caught:
        run(process_backend, pipeline(nodes), {"x": 1}, observers=[recorder])
    assert caught.value.node == "n1"
    assert [e.node for e in recorder.of(NodeCompleted)] == ["n0"]


def test_outcomes_are_reported_while_the_stretch_goes_on(process_backend, run, tmp_path):
    """So that a progress bar moves, and a run that is killed has it in its journal."""
    told = tmp_path / "told"

    class Watch:
        def on_event(self, event):
            if isinstance(event, NodeCompleted) and event.node == "n0":
                told.touch()

    def wait(_x):
        return functions.wait_until(told.exists)

    pipe = pipeline(chain(increment, wait, identity))
    assert run(process_backend, pipe, {"x": 1}, observers=[Watch()])["out"].load()


def test_failure_elsewhere_stops_a_stretch_between_two_nodes(process_backend, run, tmp_path):
    """It does not go on to its end."""
    path, stopped = str(tmp_path / "roll-call"), str(tmp_path / "stopped")

    def first(x):
        append(path, "n0")
        functions.wait_for(stopped)
        return x

    def fail(_x):
        functions.wait_for(path)
        raise ValueError("stop")

    class Watch:
        def on_event(self, event):
            if isinstance(event, NodeSkipped) and event.node == "after":  # workers know by then
                functions.touch(stopped)

    nodes = [*chain(first, note_and_add(path, "n1"), identity), node(fail, "x", "bad", name="bad")]
    nodes += [node(identity, "out", f"later{i}", name=f"later{i}") for i in range(2)]
    nodes.append(node(add, ["later0", "later1"], "sum", name="after"))  # never queued with these
    with pytest.raises(ValueError, match="stop"):
        run(process_backend, pipeline(nodes), {"x": 1}, observers=[Watch()])
    assert (tmp_path / "roll-call").read_text().split() == ["n0"]


def test_long_stretches_make_way_for_each_other(process_backend, run, tmp_path):
    """Three chains on two workers: none can end before all have begun."""

    def step(x, chain, number):
        (tmp_path / f"{chain}{number}").touch()
        if number == 7:
            return functions.wait_until(lambda: all((tmp_path / f"{c}0").exists() for c in "abc"))
        return time.sleep(0.05) or x

    nodes = []
    for c in "abc":
        names = ["x", *(f"{c}{i}" for i in range(8))]
        nodes += [
            node(partial(step, chain=c, number=i), names[i], names[i + 1], name=f"{c}-{i}")
            for i in range(8)
        ]
    result = run(process_backend, pipeline(nodes), {"x": 1})
    assert [result[f"{c}7"].load() for c in "abc"] == [True] * 3


def test_crash_in_a_batch_is_blamed_on_one_node(process_backend, run, recorder):
    """Exactly one is blamed, every other has one result, and none is charged."""
    nodes = [node(increment, "x", f"o{i}", name=f"good{i}") for i in range(300)]
    nodes.insert(150, node(functions.crash_if_large, "y", "bad", name="bad"))
    nodes += [node(functions.crash_if_large, "x", f"p{i}", name=f"fine{i}") for i in range(100)]
    with pytest.raises(WorkerCrashedError) as caught:
        run(
            process_backend, pipeline(nodes), {"x": 1, "y": 10**6}, on_failure="continue",
            observers=[recorder],
        )  # fmt: skip
    assert caught.value.node == "bad"
    done = recorder.of(NodeCompleted)
    assert {e.node for e in done} == {n.name for n in nodes} - {"bad"}
    assert all(e.attempt == 1 for e in done)


def test_failure_in_a_batch_skips_only_what_depends_on_it(process_backend, run, recorder):
    """What depends on it is skipped, and nothing else."""
    nodes = [node(increment, "x", f"o{i}", name=f"good{i}") for i in range(100)]
    for i in range(40):
        nodes += [
            node(functions.fail_if_odd, f"k{i}", f"p{i}", name=f"maybe{i}"),
            node(increment, f"p{i}", f"q{i}", name=f"next{i}"),
        ]
    with pytest.raises(ExceptionGroup) as caught:
        run(
            process_backend, pipeline(nodes), {"x": 1} | {f"k{i}": i for i in range(40)},
            on_failure="continue", observers=[recorder],
        )  # fmt: skip
    assert len(caught.value.exceptions) == 20
    assert {e.node for e in recorder.of(NodeSkipped)} == {f"next{i}" for i in range(1, 40, 2)}
    assert len(recorder.of(NodeCompleted)) == 140


def test_failure_that_is_reported_twice_counts_once(run, recorder):
    """It comes by file, and then with its envelope, whose node may be on its way again by then."""

    def fail_first(_after, path):
        mark = Path(path)
        if not mark.exists():
            mark.touch()
            raise ValueError("first try")
        time.sleep(0.4)
        return 1

    with tempfile.TemporaryDirectory() as folder:
        nodes = [node(lambda x: time.sleep(0.3) or x, "x", "gate", name="gate")]
        data = {"x": 1}
        for i in range(24):  # so that the functions are known to be short
            data[f"i{i}"] = str(Path(folder) / f"there{i}")
            function = (lambda _x, path: Path(path).name) if i % 2 else functions.add_path
            nodes.append(node(function, ["x", f"i{i}"], f"o{i}", name=f"n{i}"))
        for i in range(8):
            data[f"p{i}"] = str(Path(folder) / str(i))
            function = fail_first if i % 2 else functions.add_path
            nodes.append(node(function, ["gate", f"p{i}"], f"q{i}", name=f"q{i}"))
        run("direct", pipeline(nodes), data, retries=1, observers=[recorder])
    assert {e.attempt for e in recorder.of(NodeFailed)} == {1}


def test_hook_loads_the_value_handed_on_to_its_node(process_backend, run, roll_call):
    """As it does with any other input."""
    hooks = create_hook_manager(hook_functions.LoadingHooks(roll_call.path))
    run(process_backend, pipeline(chain(increment, increment)), {"x": 1}, hook_manager=hooks)
    assert roll_call.counts() == {"x=1": 1, "v0=2": 1}


def test_files_of_handed_on_arrays_are_closed(process_backend):
    """However often; and a warm worker keeps no file of an earlier run open."""

    def make(n):
        array = allocate(n)
        array[:] = 1
        return array

    def look(array):
        return len(os.listdir("/proc/self/fd")), float(array[0])

    with ParallelRunner(process_backend, max_workers=1) as runner:
        for _ in range(3):
            with pytest.raises(WorkerCrashedError):
                runner.run(pipeline(chain(make, functions.kill_self)), {"x": 500_000})
        folder = Path(runner._resources.places[""].store.client.folders[0])
        assert sum(p.stat().st_size for p in folder.glob("**/*.part")) == 0
        counts = [
            runner.run(pipeline(chain(make, look)), {"x": 500_000})["out"].load()[0]
            for _ in range(60)
        ]
        assert counts[-1] - counts[35] < 4


class Counted:
    """Knows how many of its kind live."""

    living: ClassVar = weakref.WeakSet()
    most = 0

    def __init__(self):
        self.living.add(self)
        Counted.most = max(Counted.most, len(self.living))
        time.sleep(0.01)


@pytest.mark.parametrize("backend", ["threads", "sequential"])
def test_values_of_a_chain_in_this_process_are_released_as_it_goes(backend):
    """Nodes that take a while go back to the driver one by one, although they are a stretch."""
    Counted.most = 0
    pipe = pipeline(chain(*[lambda _: Counted()] * 20, lambda _: 1))
    data = {"x": MemoryDataset(0, copy_mode="assign")}
    assert ParallelRunner(backend).run(pipe, data)["out"].load() == 1
    assert Counted.most <= 2 * 3  # a deep copy when it is saved, and one when it is read


@pytest.mark.parametrize("backend", ["threads", "sequential"])
def test_after_a_failure_in_a_stretch_nothing_that_needs_it_runs(backend, tmp_path):
    """Neither in the envelope nor later; what is tried again goes on from there."""
    path = tmp_path / "ran"
    tries = []

    def fail_once(x):
        tries.append(x)
        if len(tries) == 1:
            raise ValueError("once")
        return x

    parts = [note_and_add(path, "a"), fail_once, note_and_add(path, "c")]
    runner = ParallelRunner(backend)
    with pytest.raises(ValueError, match="once"):
        runner.run(pipeline(chain(*parts)), {"x": 0})
    assert path.read_text().split() == ["a"]
    tries.clear()
    result = ParallelRunner(backend, retries=1).run(pipeline(chain(*parts)), {"x": 0})
    assert (result["out"].load(), len(tries)) == (2, 2)
    assert path.read_text().split() == ["a", "a", "c"]


def grid(width, steps, function=add):
    """Each node of a row waits for its neighbours in the row above."""

    def name(step, column):
        return f"v{step}_{column}"

    return [
        node(function, [name(step - 1, c) for c in range(column - 1, column + 2) if 0 <= c < width]
             if step else "x", name(step, column), name=f"n{step}_{column}")
        for step in range(steps) for column in range(width)
    ]  # fmt: skip


def in_plain_python(width, steps, x):
    row = [x] * width
    for _ in range(steps - 1):
        row = [sum(row[max(0, c - 1) : c + 2]) for c in range(width)]
    return row


@pytest.mark.parametrize("fuse", [True, False])
def test_short_nodes_share_an_envelope_with_their_parents(any_backend, fuse):
    """Values of one envelope's nodes are found by later nodes of it; others' come with it."""
    pipe = pipeline(grid(5, 40))
    with ParallelRunner(any_backend, max_workers=2, fuse=fuse) as runner:
        for x in (1, 3):  # at first nothing is known of how long they take
            result = runner.run(pipe, {"x": x})
            assert [result[f"v39_{c}"].load() for c in range(5)] == in_plain_python(5, 40, x)


def test_large_values_within_an_envelope_are_copied_and_released(process_backend):
    """As those of other envelopes: each reader has its own, and all are given back."""

    def grow(*parts):
        total = np.sum(parts, axis=0) if len(parts) > 1 else parts[0]
        parts[0][:] = -1  # its own copy
        return np.full(20_000, total.flat[0])

    nodes = [node(lambda x: np.full(20_000, float(x)), "x", f"v0_{c}", name=f"n0_{c}")
             for c in range(3)]  # fmt: skip
    nodes += [n for n in grid(3, 6, grow) if not n.name.startswith("n0")]
    with ParallelRunner(process_backend, max_workers=2) as runner:
        for x in (1, 2):
            result = runner.run(pipeline(nodes), {"x": x})
            found = [result[f"v5_{c}"].load()[0] for c in range(3)]
            assert found == in_plain_python(3, 6, float(x))


@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_failure_within_an_envelope_skips_what_depends_on_it(any_backend, policy):
    """And only that; it is one failure, and the rest of the pipeline is as without envelopes."""

    def add_or_fail(*parts):
        if sum(parts) == 3 * 7:
            raise ValueError("enough")
        return sum(parts)

    nodes = grid(3, 4, add_or_fail)
    nodes += [node(add, "x", f"free{i}", name=f"free{i}") for i in range(20)]
    runner = ParallelRunner(any_backend, max_workers=2, on_failure=policy)
    with runner:
        runner.run(pipeline(nodes), {"x": 1})  # so that it is known how short they are
        seen = Told()
        runner._settings = dataclasses.replace(runner._settings, observers=(seen,))
        with pytest.raises(ValueError, match="enough") as caught:
            runner.run(pipeline(nodes), {"x": 3})  # 3, 3, 3 -> 6, 9, 6 -> 15, 21, 15
    assert "in node 'n2_1'" in caught.value.__notes__[0]
    ran = {e.node for e in seen.events if isinstance(e, NodeCompleted)}
    if policy == "continue":
        assert ran == {n.name for n in nodes} - {"n2_1", "n3_0", "n3_1", "n3_2"}


def test_crash_within_an_envelope_blames_the_right_node(process_backend, roll_call):
    """Those that it waited for are done or done again, at no charge; those behind it never run."""
    path = roll_call.path

    def note_or_die(*parts):
        append(path, str(sum(parts)))
        if sum(parts) == 6 * 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return sum(parts)

    def run(x, runner):
        return runner.run(pipeline(grid(2, 8, note_or_die)), {"x": x})

    with ParallelRunner(process_backend, max_workers=2, on_failure="continue") as runner:
        for _ in range(3):
            run(1, runner)  # from then on, all nodes are known to be short, and travel together
        with pytest.raises(BaseExceptionGroup) as caught:
            run(21, runner)  # 21, 21 -> 42, 42
    assert {error.node for error in caught.value.exceptions} == {"n1_0", "n1_1"}
    assert all(isinstance(error, WorkerCrashedError) for error in caught.value.exceptions)
    assert "84" not in Path(path).read_text().split()


def test_retry_within_an_envelope_runs_what_waited(any_backend, tmp_path):
    """A node that fails once is tried again, and then what waited for it runs."""
    path, failed = str(tmp_path / "tries"), str(tmp_path / "failed")

    def add_or_fail_once(*parts):
        if sum(parts) == 6:
            append(path, "try")
            with contextlib.suppress(FileExistsError), open(failed, "x"):  # one of two at a time
                raise ValueError("once")
        return sum(parts)

    pipe = pipeline(grid(2, 6, add_or_fail_once))
    with ParallelRunner(any_backend, max_workers=2, retries=1) as runner:
        assert runner.run(pipe, {"x": 1})["v5_0"].load() == 32
        assert runner.run(pipe, {"x": 3})["v5_0"].load() == 96
    assert len(Path(path).read_text().split()) == 3  # two nodes come to 6


class Told:
    """Keeps all events."""

    def __init__(self):
        self.events = []

    def on_event(self, event):
        self.events.append(event)
