"""Ranks of Debian's Open MPI: the kit, once on this host, and once as if they were on others."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from functions import wait_until

from motorpool import ParallelRunner, node, pipeline, registry
from motorpool.errors import (
    BackendOptionError,
    BrokenBackendError,
    ValidationError,
    WorkerCrashedError,
)
from motorpool.testing import BackendConformance
from motorpool_mpi import MPIBackend

pytestmark = pytest.mark.skipif(
    shutil.which("mpiexec") is None, reason="there is no mpiexec: install openmpi-bin"
)
# Ranks with another /dev/shm than the driver's, as on another host, where that may be mounted.
HIDDEN = "unshare --mount sh -c 'mount -t tmpfs none /dev/shm && exec mpiexec \"$@\"' mpiexec"
ELSEWHERE = {
    "mpiexec": HIDDEN if os.geteuid() == 0 else "mpiexec",
    "hosts": "localhost:8",
    "address": "127.0.0.1",
}


@pytest.mark.matrix
class TestMPI(BackendConformance):
    """By the kit."""

    backend = "mpi"
    patience = 300.0


@pytest.mark.matrix
class TestElsewhere(BackendConformance):
    """By the kit, with nothing shared."""

    backend = "mpi"
    patience = 300.0
    options = ELSEWHERE


@pytest.mark.parametrize("options", [{}, ELSEWHERE], ids=["here", "elsewhere"])
def test_nodes_run_in_ranks(options):
    """All but the first, which waits for the driver."""

    def rank(_x):
        from mpi4py import MPI

        time.sleep(0.1)
        return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size

    nodes = [node(rank, "x", f"rank{i}", name=f"n{i}") for i in range(6)]
    runner = ParallelRunner("mpi", max_workers=2, fuse=False, **options)
    found = runner.run(pipeline(nodes), {"x": 1})
    assert {dataset.load() for dataset in found.values()} == {(1, 3), (2, 3)}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("os.abort()", "SIGABRT"),
        ("os._exit(13)", "exited with code 13"),
        ("os._exit(0)", "exited with code 0"),
    ],
)
def test_crash_error_has_the_exit_code(how, said):
    """Which `mpiexec` knows, and says in a sentence."""
    nodes = [node(lambda _: exec(f"import os; {how}"), "x", "y", name="culprit")]
    with pytest.raises(WorkerCrashedError, match=said) as caught:
        ParallelRunner("mpi", max_workers=2).run(pipeline(nodes), {"x": 1})
    assert caught.value.node == "culprit"


def test_output_of_nodes_is_shown_and_mpis_crash_report_is_not(capfd):
    """That is in the error."""

    def talk(_x):
        sys.stdout.write("a word\n")
        sys.stderr.write("another\n")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(WorkerCrashedError):
        ParallelRunner("mpi", max_workers=1).run(pipeline(node(talk, "x", "y")), {"x": 1})
    printed = capfd.readouterr()
    assert "a word\n" in printed.out
    assert "another\n" in printed.err
    assert "Primary job" not in printed.err
    assert "signal 9" not in printed.err


SCRIPT = """
import json, os, sys, time
from motorpool_mpi import MPIExecutor
executor = MPIExecutor(2, **json.loads(sys.argv[1]))
for pid in [executor.submit(os.getpid).result() for _ in range(8)]:
    print(pid, flush=True)
executor.submit(time.sleep, 600)
print("busy", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("options", [{}, ELSEWHERE], ids=["here", "elsewhere"])
def test_ranks_end_with_a_driver_that_is_killed(options):
    """Wherever they run: the first hears of it, and has MPI end all."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as script:
        pids = [int(line) for line in iter(script.stdout.readline, "busy\n")]
        assert all(map(psutil.pid_exists, pids))
        script.kill()
    assert wait_until(lambda: not any(map(psutil.pid_exists, pids)))


def test_missing_mpi_is_an_error_that_says_what_to_install():
    """When the first node is to run, and before it does."""
    with pytest.raises(BrokenBackendError, match="no command 'mpirun6'. Install an MPI, such as"):
        ParallelRunner("mpi", mpiexec="mpirun6 -x").run(pipeline(node(len, "x", "y")), {"x": "a"})


def test_job_that_does_not_start_is_an_error_with_mpis_message():
    """As of a host that does not exist."""
    backend = MPIBackend(mpiexec="mpiexec --no-such-option")
    with pytest.raises(BrokenBackendError, match="no-such-option"):
        backend.get_executor(1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mpiexec": " "}, "mpiexec must be a command"),
        ({"address": "here"}, "address goes with hosts"),
        ({"host": "a"}, "hosts"),
    ],
)
def test_bad_options_are_errors(options, said):
    """Before anything starts."""
    with pytest.raises(BackendOptionError, match=said):
        ParallelRunner("mpi", **options)


def test_timeout_needs_ranks_on_this_host():
    """Others cannot be ended; here they can, and the neighbours run again."""
    pipe = pipeline(node(len, "x", "y", timeout=300, name="timed"))
    assert ParallelRunner("mpi", max_workers=1).run(pipe, {"x": "abc"})["y"].load() == 3
    with pytest.raises(ValidationError, match="node 'timed' has a timeout, but the backend 'mpi'"):
        ParallelRunner("mpi", max_workers=1, **ELSEWHERE).run(pipe, {"x": "abc"})


def test_entry_point_names_the_backend():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("mpi") is MPIBackend


def test_nothing_is_left_in_the_temp_directory(tmp_path, monkeypatch):
    """The socket goes when the job is up."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with registry.get("mpi")().get_executor(1) as executor:
        assert executor.submit(len, "abc").result() == 3
        assert not list(Path(tmp_path).glob("mpi-*"))
