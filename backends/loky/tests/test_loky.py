"""What is loky's own, beside what the kit tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import functions
import pytest

from motorpool import ParallelRunner, node, pipeline, registry
from motorpool.errors import BackendOptionError
from motorpool.testing import BackendConformance


class TestLoky(BackendConformance):
    """By the kit."""

    backend = "loky"
    patience = 300.0


def test_entry_point_names_the_backend():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("loky").__module__ == "motorpool_loky"


@pytest.mark.filterwarnings("ignore:A worker stopped")  # an error in loky's thread ends the pool
def test_idle_workers_end_after_the_timeout_option():
    """Workers that idle end, and the next run gets new ones."""
    pipe = pipeline(node(os.getpid, None, "pid"))
    with ParallelRunner("loky", max_workers=1, idle_timeout=0.2) as runner:
        first = runner.run(pipe, {})["pid"].load()
        assert functions.wait_until(lambda: not functions.is_alive(first))
        assert runner.run(pipe, {})["pid"].load() != first


def test_bad_option_is_an_error():
    """Before any worker starts."""
    with pytest.raises(BackendOptionError, match="idle_timeout must be positive, not -1"):
        ParallelRunner("loky", idle_timeout=-1)


def _deaf_to_interrupts(pid):
    """Whether a process blocks or ignores SIGINT, read from Linux's `/proc`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return any(
        int(re.search(rf"{key}:\s*(\w+)", status)[1], 16) & 2 for key in ("SigBlk", "SigIgn")
    )


def start_two():
    """Start workers; they are seen long before they are up."""
    executor = registry.get("loky")().get_executor(2)
    future = executor.submit(len, "xy")
    deaf = [_deaf_to_interrupts(pid) for pid in executor._processes]
    assert future.result() == 2
    executor.shutdown()
    return deaf


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_workers_ignore_interrupts_while_they_start():
    """The first pool of a process starts resource trackers, which unblock it."""
    code = "import test_loky; assert test_loky.start_two() == [True, True]"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, check=False, timeout=300, capture_output=True,
        text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
