"""The store of files: forms of values, tiers, lifetimes, and what is left behind."""

import errno
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from functions import Unpicklable
from hypothesis import given, settings
from hypothesis import strategies as st

from motorpool import ExecutorBackend
from motorpool._store import FileClient, FileStore, Ref, Segments, directory
from motorpool._store.quota import Quota
from motorpool._store.recycling import FREE
from motorpool.errors import StoreError, StoreFullError

BIG = np.arange(100_000, dtype="float64")


@pytest.fixture
def store():
    made = FileStore.create(ExecutorBackend.dumps, ExecutorBackend.loads)
    yield made
    made.close()


def arrays():
    return st.builds(
        lambda n, kind: np.arange(n).astype(kind),
        st.integers(0, 40_000),
        st.sampled_from(["int8", "float64", "datetime64[ns]", "complex128"]),
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(max_size=200) | arrays(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(values)
def test_value_comes_back_as_it_was(value):
    """Nested, large and small, whether in a file or not."""
    store = FileStore.create(ExecutorBackend.dumps, ExecutorBackend.loads)
    try:
        for inline in (True, False):
            copy = store.client.get(store.client.put(value, inline=inline))
            np.testing.assert_equal(copy, value)
    finally:
        store.close()


def test_small_values_travel_and_large_ones_stay(store):
    """64 KiB is the limit; a plan is never carried along."""
    assert isinstance(store.client.put(b"x" * 60_000), bytes)
    assert isinstance(store.client.put(b"x" * 70_000), Ref)
    assert isinstance(store.client.put(1, inline=False), Ref)
    assert store.client.put(BIG).nbytes >= BIG.nbytes


def test_buffers_are_mapped_and_aligned(store):
    """An array is a view of the file, at a multiple of 64 bytes; nothing is copied."""
    loaded = store.client.get(store.client.put({"a": BIG, "b": BIG[:50_000].copy()}))
    for array in loaded.values():
        assert not array.flags.owndata
        assert array.ctypes.data % 64 == 0


def test_reader_may_change_what_it_reads(store):
    """A private copy on write: the next reader sees the original."""
    ref = store.client.put(BIG)
    first = store.client.get(ref)
    first[:] = -1
    np.testing.assert_array_equal(store.client.get(ref), BIG)


def test_view_outlives_release_and_close(store):
    """A view that is in use keeps its bytes."""
    ref = store.client.put(pd.DataFrame({"a": BIG}))
    store.retain(ref)
    table = store.client.get(ref)
    store.release(ref)
    store.close()
    assert table["a"].sum() == BIG.sum()
    with pytest.raises(StoreError, match="released"):
        store.client.get(ref)


def test_claimed_value_outlives_the_store(store):
    """And its file and directory go with the last claim."""
    keep, drop = store.client.put(BIG), store.client.put(BIG)
    store.retain(keep)
    store.retain(drop)
    claim = store.pin(keep)
    folder = Path(keep.key).parent
    store.close()
    assert Path(keep.key).exists()
    assert not Path(drop.key).exists()
    np.testing.assert_array_equal(claim(), BIG)
    del claim
    gc.collect()
    assert not folder.exists()


def test_unpicklable_value_leaves_no_file(store):
    """Whatever pickling raises is raised, and nothing is written."""
    with pytest.raises(TypeError, match="stays here"):
        store.client.put([BIG, Unpicklable()])
    assert values_in(store.scratch()) == []


def test_directories_are_the_owners_alone(store):
    """Other users of the machine cannot look into them."""
    assert all(os.stat(f).st_mode & 0o777 == 0o700 for f in store.client.folders)


@pytest.fixture
def small_tmpfs(tmp_path):
    """A real file system of 16 MB in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", tmp_path],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"this sandbox does not mount: {done.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def values_in(folder):
    """Files of values, wherever they wait, but for what is always there."""
    found = [p for p in Path(folder).glob("**/*") if p.is_file()]
    return [p for p in found if p.name not in {"lock", "quota"}]


def client_of(memory, disk, limit=1 << 40):
    """A client of directories of one's own."""
    (memory / FREE).mkdir()
    quota = Quota.create(str(memory / "quota"), limit)
    segments = Segments(str(memory), str(disk), quota)
    return FileClient(segments, ExecutorBackend.dumps, ExecutorBackend.loads)


def test_full_tier_passes_values_on(small_tmpfs, tmp_path_factory):
    """What no longer fits into memory goes to disk, and reads back the same."""
    disk = tmp_path_factory.mktemp("disk")
    client = client_of(small_tmpfs, disk)
    refs = [client.put(np.full(1_200_000, i, "float64")) for i in range(4)]
    assert [Path(r.key).parent == disk for r in refs] == [False, True, True, True]
    assert [client.get(r)[0] for r in refs] == [0, 1, 2, 3]
    assert len(values_in(small_tmpfs)) == 1
    assert client.segments.quota.numbers[0] == Path(refs[0].key).stat().st_size


def test_all_tiers_full_is_an_error_that_names_them(small_tmpfs):
    """Both directories, the size, and what to do; never SIGBUS."""
    (small_tmpfs / "a").mkdir()
    (small_tmpfs / "b").mkdir()
    client = client_of(small_tmpfs / "a", small_tmpfs / "b")
    with pytest.raises(StoreFullError) as caught:
        client.put(np.zeros(4_000_000))
    text = str(caught.value)
    assert str(small_tmpfs / "a") in text
    assert str(small_tmpfs / "b") in text
    assert "TMPDIR" in text
    assert "memory_limit" in text
    assert not values_in(small_tmpfs)


def test_value_beyond_the_budget_goes_to_disk(tmp_path_factory):
    """At once, and nothing is moved for it."""
    memory, disk = tmp_path_factory.mktemp("memory"), tmp_path_factory.mktemp("disk")
    client = client_of(memory, disk, limit=4 << 20)
    small = client.put(np.zeros(250_000))
    assert Path(client.put(np.zeros(1_000_000)).key).parent == disk
    assert Path(small.key).exists()


def test_cold_values_move_to_disk_when_room_is_needed(tmp_path_factory):
    """The oldest goes first, unless it is in use; all read back the same."""
    memory, disk = tmp_path_factory.mktemp("memory"), tmp_path_factory.mktemp("disk")
    client = client_of(memory, disk, limit=6 << 20)
    refs = [client.put(np.full(250_000, i, "float64")) for i in range(2)]
    looked_at = client.get(refs[0])
    refs += [client.put(np.full(250_000, i, "float64")) for i in range(2, 5)]
    assert Path(refs[0].key).exists()
    assert not Path(refs[1].key).exists()
    assert len(values_in(memory)) == 3
    assert client.segments.quota.numbers[0] <= 6 << 20
    for i, ref in enumerate(refs):
        np.testing.assert_array_equal(client.get(ref), np.full(250_000, i, "float64"))
    np.testing.assert_array_equal(looked_at, np.zeros(250_000))


def test_files_that_wait_go_before_values_are_moved(tmp_path_factory):
    """Their memory is given back; what is used stays in memory."""
    memory, disk = tmp_path_factory.mktemp("memory"), tmp_path_factory.mktemp("disk")
    client = client_of(memory, disk, limit=6 << 20)
    kept, given_up = (client.put(np.ones(250_000)) for _ in range(2))
    client.segments.recycle(given_up.key)
    large = client.put(np.ones(500_000))
    assert {Path(kept.key), Path(large.key)} == set(values_in(memory))
    assert not values_in(disk)


def test_other_errors_of_the_system_are_not_hidden(tmp_path):
    """A directory that is gone is no full disk."""
    with pytest.raises(OSError) as caught:
        FileClient(Segments(None, str(tmp_path / "gone"), None), ExecutorBackend.dumps, None).put(
            BIG
        )
    assert caught.value.errno == errno.ENOENT


def test_sweep_removes_what_a_killed_driver_has_left(tmp_path):
    """Its lock is free, so its directory goes; one in use stays."""
    code = (
        "import sys, pathlib; from motorpool._store.directory import RunDirectory\n"
        f"d = RunDirectory(pathlib.Path({str(tmp_path)!r}))\n"
        "print(d.path, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    dead = Path(process.stdout.readline().strip())
    assert directory.sweep(tmp_path) == []
    process.kill()
    process.communicate()
    alive = directory.RunDirectory(tmp_path)
    assert directory.sweep(tmp_path) == [dead]
    assert not dead.exists()
    assert alive.path.exists()
    alive.remove()


def test_sweep_leaves_other_things_alone(tmp_path):
    """Files, other names, and a directory that is just being made."""
    prefix = directory._prefix()
    (tmp_path / f"{prefix}file").touch()
    (tmp_path / "something").mkdir()
    (tmp_path / f".new-{prefix}1").mkdir()
    (tmp_path / f"{prefix}link").symlink_to(tmp_path / "something")
    assert directory.sweep(tmp_path) == []
    old = time.time() - 7200
    os.utime(tmp_path / f".new-{prefix}1", (old, old))
    assert [p.name for p in directory.sweep(tmp_path)] == [f".new-{prefix}1"]
    assert (tmp_path / "something").exists()
