"""Rows of the failure table that need a process, a file system or a machine of their own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import awkward_functions
import functions
import numpy as np
import pytest
from functions import LIMIT, identity, present, wait_until

from motorpool import ParallelRunner, node, pipeline
from motorpool.errors import NodeTimeoutError, ValidationError
from motorpool.events import NodeCompleted, NodeFailed, NodeSkipped


@pytest.mark.parametrize(
    "hang", [functions.hang, awkward_functions.hang_with_the_gil, awkward_functions.hang_in_a_read]
)
def test_only_the_hanging_worker_is_ended(process_backend, run, roll_call, recorder, hang):
    """Whatever it hangs in; its neighbours finish, and are not charged."""
    path = roll_call.path

    def busy(x, number):
        present(path, f"n{number}")
        return number

    nodes = [node(lambda x, i=i: busy(x, i), "x", f"y{i}", name=f"n{i}") for i in range(8)]
    nodes.append(node(hang, "x", "never", name="stuck", timeout=0.6))
    nodes.append(node(identity, "never", "later", name="later"))
    with pytest.raises(NodeTimeoutError, match="'stuck' ran longer than its timeout of 0.6 s"):
        run(
            process_backend, pipeline(nodes), {"x": 1}, on_failure="continue", observers=[recorder]
        )
    assert set(roll_call.counts()) == {f"n{i}" for i in range(8)}
    assert {e.attempt for e in recorder.of(NodeCompleted)} == {1}
    assert [e.node for e in recorder.of(NodeFailed)] == ["stuck"]
    assert [(e.node, e.reason) for e in recorder.of(NodeSkipped)] == [
        ("later", "it needs the node 'stuck', which failed")
    ]


def test_timeout_is_refused_where_nodes_cannot_be_ended(local_backend, run, roll_call):
    """With the backends that can."""
    pipe = pipeline(node(lambda x: present(roll_call.path, "ran"), "x", "y", timeout=1))
    with pytest.raises(ValidationError, match="cannot end a running node. These can: direct, "):
        run(local_backend, pipe, {"x": 1})
    assert roll_call.counts() == {}


@pytest.mark.parametrize("policy", ["stop", "continue", "kill"])
def test_run_failed_error_says_what_ran_and_what_was_skipped(
    any_backend, run, roll_call, recorder, policy
):
    """Who ran, who was skipped and why, and what was raised."""
    path = roll_call.path

    def step(name):
        def call(*_):
            present(path, name)
            if name.startswith("bad"):
                raise ValueError(name)
            return name

        return call

    def make(name, inputs, output):
        return node(step(name), inputs, output, name=name)

    pipe = pipeline(
        [
            make("bad1", "x", "b1"), make("needs1", "b1", "n1"), make("more1", "n1", "m1"),
            make("good", "x", "g"), make("bad2", "g", "b2"), make("needs2", ["b2", "g"], "n2"),
            make("last", "g", "z"),
        ]
    )  # fmt: skip
    runner = ParallelRunner(any_backend, max_workers=1, on_failure=policy, observers=[recorder])
    if policy == "continue":
        with pytest.raises(ExceptionGroup) as caught:
            runner.run(pipe, {"x": 1})
        assert sorted(str(e) for e in caught.value.exceptions) == ["bad1", "bad2"]
        assert roll_call.counts() == dict.fromkeys(["bad1", "good", "bad2", "last"], 1)
        reasons = {e.node: e.reason for e in recorder.of(NodeSkipped)}
        assert reasons == {
            "needs1": "it needs the node 'bad1', which failed",
            "more1": "it needs the node 'bad1', which failed",
            "needs2": "it needs the node 'bad2', which failed",
        }
    else:
        with pytest.raises(ValueError, match="bad"):
            runner.run(pipe, {"x": 1})
        ran = roll_call.counts()
        assert sum(name.startswith("bad") for name in ran) == 1
        assert len(recorder.of(NodeSkipped)) == 7 - len(ran)


def _lock_folders(pid):
    """The run directories that a process holds."""
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the process goes on meanwhile
            links.append(os.readlink(path))
    return [Path(x).parent for x in links if "motorpool-" in x and x.endswith("/lock")]


@pytest.mark.parametrize(
    ("backend", "method"),
    [
        *((backend, None) for backend in ("direct", "process", "loky", "multiprocess")),
        *((backend, method) for backend in ("direct", "process") for method in ("fork", "spawn")),
    ],
)
def test_workers_end_with_a_driver_that_is_killed(start, backend, method):
    """And remove what the run has left."""
    process = start(backend, *([f"--backend-option=start_method={method}"] if method else []))
    assert process.stdout.readline() == "waiting\n"
    folders = [f for f in _lock_folders(process.pid) if ".motorpool" not in str(f)]
    assert folders
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not process.members() and not any(f.exists() for f in folders))
    assert not process.members()
    assert [f for f in folders if f.exists()] == []


@pytest.mark.parametrize("backend", ["direct", "process", "loky", "multiprocess"])
def test_next_start_sweeps_what_a_killed_group_has_left(start, backend):
    """What the group left is removed when the next run starts."""
    process = start(backend)
    assert process.stdout.readline() == "waiting\n"
    folders = [f for f in _lock_folders(process.pid) if ".motorpool" not in str(f)]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert wait_until(lambda: not process.members())
    code = (
        "from motorpool import ParallelRunner, node, pipeline\n"
        "print(ParallelRunner(max_workers=1).run(pipeline(node(len, 'x', 'y')), {'x': ''}))"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True,
        env=os.environ | {"TMPDIR": str(process.temporary)},
    )  # fmt: skip
    assert [f for f in folders if f.exists()] == []


FULL = """
import os, sys
import numpy as np
from motorpool import ParallelRunner, node, pipeline
from motorpool.errors import StoreFullError

def make(megabytes):
    return np.full(megabytes * 131_072, 7.0)

def run(*megabytes):
    nodes = [node(lambda m=m: make(m), None, f"v{i}", name=f"make{i}")
             for i, m in enumerate(megabytes)]
    nodes.append(node(lambda *vs: float(sum(v.sum() for v in vs)),
                      [f"v{i}" for i in range(len(megabytes))], "total", name="total"))
    runner = ParallelRunner(sys.argv[1], max_workers=2, on_failure="continue", runs_folder=False,
                            fuse=False)
    return runner.run(pipeline(nodes), {})["total"].load()

print(run(6, 6, 6) == 18 * 131_072 * 7.0)  # more than /dev/shm takes: the rest is on disk
try:
    run(40)
except StoreFullError as error:
    text = str(error)
    print("/dev/shm" in text and os.environ["TMPDIR"] in text and "TMPDIR" in text)
    print(error.node)
"""


@pytest.fixture
def short_path():
    """A folder whose name leaves room for that of a forkserver's socket (107 bytes in all)."""
    with tempfile.TemporaryDirectory(prefix="mp-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("backend", ["direct", "process", "loky", "multiprocess"])
def test_full_memory_goes_to_disk_and_a_full_disk_is_a_clear_error(short_path, backend):
    """On file systems of 16 MB that are mounted for this process alone; never SIGBUS."""
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "--mount", "true"], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("file systems cannot be mounted here: that takes root and unshare")
    (short_path / "script.py").write_text(FULL)
    (short_path / "disk").mkdir()
    mount = (
        "mount -t tmpfs -o size=16m tmpfs /dev/shm && "
        'mount -t tmpfs -o size=16m tmpfs "$TMPDIR" && exec "$@"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "script.py", backend],
        cwd=short_path, env=os.environ | {"TMPDIR": str(short_path / "disk")},
        capture_output=True, text=True, check=False, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True", "make0"]


def test_input_of_a_failed_node_is_kept_for_its_retry(any_backend, run, tmp_path):
    """Inputs are pinned until the node has ended, however often it is tried."""
    mark = tmp_path / "mark"

    def fragile(array):
        mark.write_text(mark.read_text() + "x" if mark.exists() else "x")
        if len(mark.read_text()) < 3:
            raise ValueError("again")
        return float(array.sum())

    pipe = pipeline(
        [
            node(lambda n: np.ones(n), "n", "large", name="make"),
            node(fragile, "large", "sum", name="fragile", retries=2),
        ]
    )
    assert run(any_backend, pipe, {"n": 50_000})["sum"].load() == 50_000.0
