"""Segments that are used again: never while a view of them may exist."""

import contextlib
import gc
import os
import pickle
import re
import signal
import threading
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import store_functions
from hypothesis import given, settings
from hypothesis import strategies as st

from motorpool import ExecutorBackend, ParallelRunner, allocate, node, pipeline
from motorpool._store import CompositeRef, FileStore, OwnedValue, Ref
from motorpool._store.contract import keys_of
from motorpool._store.maps import maps
from motorpool._store.pages import can_give_up
from motorpool.events import NodeFailed

N = 50_000


@pytest.fixture
def store():
    made = FileStore.create(ExecutorBackend.dumps, ExecutorBackend.loads)
    yield made
    made.close()
    gc.collect()
    maps.forget_unused()


@pytest.fixture
def client(store):
    """As a worker has it, which keeps maps."""
    return pickle.loads(pickle.dumps(store.client))


def put(store, client, value):
    """What the driver does with an output."""
    payload = client.put(value)
    store.retain(payload)
    client.end_node()
    return payload


def inode(payload):
    return {os.stat(key).st_ino for key in keys_of(payload)}


def test_pages_are_used_again(store, client):
    """A released value leaves its file to the next of about its size."""
    first = put(store, client, np.zeros(N))
    where = inode(first)
    store.release(first)
    second = put(store, client, np.ones(N - 100))
    assert inode(second) == where
    np.testing.assert_array_equal(client.get(second), np.ones(N - 100))


def test_larger_value_extends_a_file(store, client):
    """Its pages are used, and the quota pays for the rest."""
    first = put(store, client, np.zeros(N))
    where, (used, _) = inode(first), store.client.segments.quota.numbers
    store.release(first)
    second = put(store, client, np.arange(2.0 * N))
    assert inode(second) == where
    assert store.client.segments.quota.numbers[0] == used + 8 * N
    np.testing.assert_array_equal(client.get(second), np.arange(2.0 * N))


def test_view_pins_its_segment_for_as_long_as_it_lives(store, client):
    """Kept in a global, or within another object."""
    first = put(store, client, {"a": np.zeros(N)})
    where = inode(first)
    kept = client.get(first)["a"][10:20]
    client.end_node()
    store.release(first)
    second = put(store, client, np.ones(N))
    assert inode(second) != where
    np.testing.assert_array_equal(kept, np.zeros(10))
    del kept
    gc.collect()
    store.release(second)
    third = put(store, client, np.ones(N))
    files = [p for p in Path(client.folders[0]).glob("**/*") if p.is_file() and p.name != "lock"]
    held = sum(p.stat().st_size for p in files if p.name != "quota")
    assert held == store.client.segments.quota.numbers[0]
    np.testing.assert_array_equal(client.get(third), np.ones(N))


def test_what_a_reader_writes_is_not_seen_after_reuse(store, client):
    """A map that was written to is not kept."""
    first = put(store, client, np.zeros(N))
    array = client.get(first)
    array[:] = 7
    del array
    client.end_node()
    store.release(first)
    second = put(store, client, np.ones(N))
    np.testing.assert_array_equal(client.get(second), np.ones(N))


def test_forked_child_pins_what_it_looks_at(store, client):
    """Its parent may have given its own view up."""
    first = put(store, client, np.zeros(N))
    array = client.get(first)
    client.end_node()
    go_on, told = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.read(go_on[0], 1)
        os.write(told[1], b"same" if not array.any() else b"not!")
        os._exit(0)
    del array
    gc.collect()
    store.release(first)
    for _ in range(3):
        store.release(put(store, client, np.ones(N)))
    os.write(go_on[1], b"x")
    assert os.read(told[0], 4) == b"same"
    os.waitpid(child, 0)
    for fd in (*go_on, *told):
        os.close(fd)


@settings(deadline=None, max_examples=settings.default.max_examples // 2)
@given(st.randoms(use_true_random=False))
def test_no_view_ever_changes(chance):
    """Whatever is put, read, changed, passed on, kept and released, in any order."""
    store = FileStore.create(ExecutorBackend.dumps, ExecutorBackend.loads, memory_limit=6_000_000)
    clients = [pickle.loads(pickle.dumps(store.client)) for _ in range(2)]
    live, views = [], []
    try:
        for step in range(60):
            _do_something(store, chance, clients[step % 2], live, views, step)
            assert all((view == value).all() for view, value in views)
        assert all((clients[0].get(payload) == value).all() for payload, value in live)
    finally:
        views.clear()
        store.close()
        gc.collect()
        maps.forget_unused()


def _do_something(store, chance, client, live, views, step):
    action = chance.choice(["put", "put", "read", "change", "pass", "release", "drop", "drop"])
    if action == "put" or not live:
        size = chance.choice([N // 4, N, N + 1, 2 * N])
        live.append((put(store, client, np.full(size, step)), step))
        return
    payload, value = chance.choice(live)
    if action == "read":
        array = client.get(payload)
        views.append((array[chance.randrange(len(array)) :], value))
    elif action == "change":
        array = client.get(payload)
        array[:] = -step
        views.append((array, -step))
    elif action == "pass":
        live.append((put_part(store, client, payload), value))
    elif action == "release":
        live.remove((payload, value))
        store.release(payload)
    elif views:
        views.pop(chance.randrange(len(views)))
    client.end_node()


def put_part(store, client, payload):
    array = client.get(payload)
    return put(store, client, array[len(array) // 4 :])


@pytest.mark.parametrize(
    "part",
    [
        lambda table: table,
        pytest.param(
            lambda table: table[["a"]],
            marks=pytest.mark.skipif(
                pd.__version__ < "3", reason="pandas 2 copies columns that a list chooses"
            ),
        ),
        lambda table: table["b"],
        lambda table: table.iloc[N // 2 :],
        lambda table: {"all": table, "two": [table["a"]]},
    ],
    ids=["identity", "columns", "column", "slice", "within"],
)
def test_views_of_an_input_are_passed_on(store, client, part):
    """No new file, and nothing copied."""
    first = put(store, client, pd.DataFrame({"a": np.arange(N), "b": np.ones(N)}))
    before, files = inode(first), len(list(Path(client.folders[0]).iterdir()))
    expected = part(client.get(first))
    second = put(store, client, expected)
    assert isinstance(second, CompositeRef)
    assert inode(second) == before
    assert len(list(Path(client.folders[0]).iterdir())) == files
    store.release(first)
    again = client.get(second)
    if isinstance(expected, dict):
        again, expected = again["all"], expected["all"]
    assert again.equals(expected)


def test_changed_input_is_copied(store, client):
    """One byte is enough; the others keep what they had."""
    first = put(store, client, np.zeros(N))
    array = client.get(first)
    array[N // 2] = 1
    second = put(store, client, array)
    assert isinstance(second, Ref)
    assert client.get(first).sum() == 0
    assert client.get(second).sum() == 1


def test_small_part_of_a_large_value_is_copied(store, client):
    """So that it does not keep the rest in memory."""
    first = put(store, client, np.zeros(20 * N))
    second = put(store, client, client.get(first)[:N])
    assert isinstance(second, Ref)
    assert not inode(second) & inode(first)


def test_memory_held_is_no_more_than_was_needed_together(store, client):
    """However many sizes have come and gone."""
    for size in (4 * N, N, 3 * N, 2 * N, 5 * N, N):
        payloads = [put(store, client, np.zeros(size)) for _ in range(2)]
        for payload in payloads:
            store.release(payload)
    held = sum(p.stat().st_size for p in Path(client.folders[0]).glob("free/*"))
    assert 0 < held <= 2 * (5 * N * 8 + 4096)


def test_files_are_kept_for_values_that_are_made_before_the_release_is_known(store, client):
    """As by a node that is queued at its worker.

    One of two files was dropped when a value was not so early, and the next that was took 15 ms
    for 100 MB where it takes 0.2 (`benchmarks/data_plane.py`, by `allocate`).
    """
    first = put(store, client, np.zeros(N))
    files = inode(first)
    for early in [True, False] * 3:
        if early:
            second = client.put(np.zeros(N))
            client.end_node()
            store.release(first)
            store.retain(second)
        else:
            store.release(first)
            second = put(store, client, np.zeros(N))
        files |= inode(second)
        first = second
    assert len(files) == 2
    # Others that are larger or smaller do not let more be held than was in use together.
    for size in (4 * N, N, 20 * N, 2 * N):
        store.release(put(store, client, np.zeros(size)))
    held = sum(p.stat().st_size for p in Path(client.folders[0]).glob("free/*"))
    assert held <= 20 * N * 8 + 4096


def test_values_that_a_reader_keeps_do_not_let_ever_more_be_held(store, client):
    """Each comes in a new file, for those that wait are mapped; they go with their last map."""
    views = []
    for i in range(12):
        payload = put(store, client, np.full(N, float(i)))
        views.append(client.get(payload))
        store.release(payload)
    assert [view[0] for view in views] == list(range(12))
    held = sum(p.stat().st_size for p in Path(client.folders[0]).glob("free/*"))
    assert held <= 3 * (N * 8 + 4096)


def test_allocated_array_is_the_readers_file(process_backend):
    """Nothing is copied, and what its maker writes later is its own."""
    nodes = [
        node(store_functions.make_allocated, "x", "array"),
        node(store_functions.change_what_was_kept, "array", "sum"),
        node(lambda array, total: (total, float(array.sum())), ["array", "sum"], "both"),
    ]
    result = ParallelRunner(process_backend, max_workers=1).run(pipeline(nodes), {"x": N})
    assert result["both"].load() == (2 * 6.0 * N, 6.0 * N)


def test_allocated_array_that_is_not_returned_is_given_back(process_backend):
    """Its file waits for the next one."""

    def waste(x):
        allocate(10 * N)[:] = 1
        return x

    nodes = [node(waste, "x" if not i else f"y{i - 1}", f"y{i}") for i in range(4)]
    with ParallelRunner(process_backend, max_workers=1) as runner:
        runner.run(pipeline(nodes), {"x": 1})
        store = runner._resources.places[""].store
        held = sum(p.stat().st_size for p in Path(store.client.folders[0]).glob("**/*"))
        assert held < 2 * 10 * N * 8


@pytest.mark.parametrize("buffers", [1, 2])
def test_chunks_in_allocated_arrays_are_what_was_yielded(process_backend, run, buffers):
    """Whatever the generator writes to them afterwards; and earlier ones are given back."""

    def chunks(n):
        arrays = [allocate(n) for _ in range(buffers)]
        for i in range(5):
            arrays[i % buffers][:] = i
            yield arrays[i % buffers]
        for array in arrays:
            array[:] = 99

    nodes = [node(chunks, "n", "last"), node(lambda a: (a.min(), a.max()), "last", "ends")]
    assert run(process_backend, pipeline(nodes), {"n": N})["ends"].load() == (4, 4)


def test_allocated_arrays_leave_no_descriptors(process_backend):
    """However many there are."""

    def count(*_arrays):
        return len(list(Path("/proc/self/fd").iterdir()))

    names = [f"a{i}" for i in range(60)]
    nodes = [node(lambda n: allocate(n), "n", name) for name in names]
    nodes.append(node(count, names, "open"))
    result = ParallelRunner(process_backend, max_workers=1).run(pipeline(nodes), {"n": N})
    assert result["open"].load() < 60 + 16 + 120


def test_result_that_was_moved_to_disk_is_an_input_of_another_runner():
    """Whose workers look elsewhere."""
    nodes = [node(lambda x, i=i: np.full(1_000_000, i), "x", f"y{i}") for i in range(2)]
    runner = ParallelRunner(max_workers=1, memory_limit=12_000_000)
    result = runner.run(pipeline(nodes), {"x": 1})
    again = pipeline(node(lambda *ys: [int(y.sum()) for y in ys], ["y0", "y1"], "sums"))
    sums = ParallelRunner(max_workers=1).run(again, dict(result))["sums"].load()
    assert sums == [0, 1_000_000]


def test_budget_is_not_locked_by_a_forked_child(store):
    """Which was forked at the wrong moment, and lives long."""
    quota = store.client.segments.quota
    end = os.pipe()
    with quota._open():
        child = os.fork()
        if not child:
            os.read(end[0], 1)
            os._exit(0)
    assert quota.take(1)
    os.write(end[1], b"x")
    os.waitpid(child, 0)
    for fd in end:
        os.close(fd)


def test_allocate_outside_of_a_node_is_an_array_like_any_other():
    """As it is on threads, and for small ones."""
    assert allocate((3, 4), "int32").shape == (3, 4)
    assert allocate(10 * N).flags.owndata
    with pytest.raises(TypeError, match="Python objects"):
        allocate(3, object)


def test_readonly_inputs_explain_themselves(process_backend, run):
    """An error in the node, with the way out; a copy may be changed."""

    def change(array):
        array[0] = 1

    pipe = pipeline(node(change, "x", "y"))
    with pytest.raises(ValueError, match="read-only") as caught:
        run(process_backend, pipe, {"x": np.zeros(N)}, readonly_inputs=True)
    assert "readonly_inputs=True" in "".join(caught.value.__notes__)
    pipe = pipeline(node(lambda array: float((array.copy() + 1).sum()), "x", "y"))
    result = run(process_backend, pipe, {"x": np.zeros(N)}, readonly_inputs=True)
    assert result["y"].load() == N


def _memory(name):
    """What the kernel says of this process, in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", text)[1]) * 1024


@pytest.mark.skipif(not can_give_up, reason="memory is given back piece by piece on Linux only")
@pytest.mark.parametrize("again", [False, True])
def test_large_array_with_no_other_reference_is_moved(store, client, again):
    """In a new segment, and in one that is used again."""
    count = 96 * 2**20 // 8
    if again:
        store.release(put(store, client, np.ones(count)))
    owned = OwnedValue(np.arange(count, dtype="float64"), last=True)
    assert owned.is_consumable()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, own = _memory("VmRSS"), _memory("RssAnon")
    payload = client.put(owned.value, consume=True)
    assert own - _memory("RssAnon") > 80 * 2**20  # although the array still lives
    if not again:  # else the map of the old segment counts, whose pages were there before
        assert _memory("VmHWM") - before < 32 * 2**20
    store.retain(payload)
    assert (client.get(payload) == np.arange(count)).all()
    client.end_node()


def test_array_with_other_references_is_copied():
    """A variable, a view, a value that is needed again; and small or strided ones always."""
    count = 48 * 2**20 // 8
    array = np.ones(count)
    assert not OwnedValue(array, last=True).is_consumable()
    owned = OwnedValue(np.ones(count), last=True)
    view = memoryview(owned.value)[5:]
    assert not owned.is_consumable()
    view.release()
    assert owned.is_consumable() == can_give_up
    assert not OwnedValue(np.ones(count)).is_consumable()
    assert not OwnedValue(np.ones(10), last=True).is_consumable()
    assert not OwnedValue(np.ones(2 * count)[::2], last=True).is_consumable()
    assert not OwnedValue([np.ones(count)], last=True).is_consumable()
    owned = OwnedValue(np.ones(count), last=True)
    reference = weakref.ref(owned.value)  # through which the array may be had at any time
    assert not owned.is_consumable()
    del reference
    assert owned.is_unique()


def test_array_in_a_cache_is_copied(process_backend):
    """An array that is not cached is the same for all of its readers."""
    count = 96 * 2**20 // 8
    nodes = [
        node(store_functions.make_range, "n", "moved"),
        node(lambda a: float(a.sum()), "moved", "sum"),
        node(lambda a: float(a[::2].sum()), "moved", "half"),
        node(store_functions.keep_range, "n", "copied"),
        node(store_functions.range_is_kept, ["copied", "n"], "kept"),
    ]
    with ParallelRunner(process_backend, max_workers=1, fuse=False) as runner:
        result = runner.run(pipeline(nodes), {"n": count})
    assert result["sum"].load() == count * (count - 1) / 2
    assert result["half"].load() == float(np.arange(0, count, 2, dtype="float64").sum())
    assert result["kept"].load()


@pytest.mark.parametrize("again", [False, True])
def test_worker_that_is_killed_while_it_writes_leaves_no_half_value(recorder, again):
    """What it has written so far is not seen, and the next try starts from nothing."""
    count = 400 * 2**20 // 8
    ended = threading.Event()

    def kill_while_it_writes(runner):
        folder = None
        while not ended.wait(0.002):
            place = runner._resources.places.get("")
            folder = Path(place.store.client.folders[0]) if place else None
            for part in folder.glob("*.part") if folder else ():
                with contextlib.suppress(OSError):
                    if part.stat().st_size > count:
                        os.kill(place.pool.worker_pids()[0], signal.SIGKILL)
                        return

    pipe = pipeline([node(store_functions.make_range, "n", "large", name="make", retries=1)])
    with ParallelRunner(max_workers=1, observers=[recorder]) as runner:
        if again:
            runner.run(pipe, {"n": count})
        watcher = threading.Thread(target=kill_while_it_writes, args=(runner,))
        watcher.start()
        try:
            result = runner.run(pipe, {"n": count})["large"]
        finally:
            ended.set()
            watcher.join()
        assert (result.load() == np.arange(count)).all()
        assert [e.attempt for e in recorder.of(NodeFailed)] == [1]
        folder = Path(runner._resources.places[""].store.client.folders[0])
        assert not list(folder.glob("**/*.part"))
