"""Fixtures of the fault tests: who ran how often, and a group with little memory."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from functions import wait_until

_MIB = 2**20
PIPELINE = """
import os
import threading
from motorpool import Pipeline, node

def wait(x):
    os.write(1, b"waiting\\n")  # at once, whoever else does so
    threading.Event().wait(600)
    return x

pipeline = Pipeline([node(lambda: 1, None, "x", name="first")]
                    + [node(wait, "x", f"y{i}", name=f"wait{i}") for i in range(6)])
"""


class RollCall:
    """Counts how often each node has run: nodes write their names down, one line a try."""

    def __init__(self, path):
        self.path = str(path)

    def counts(self):
        """Name to number of tries."""
        try:
            return dict(Counter(Path(self.path).read_text().split()))
        except FileNotFoundError:
            return {}


@pytest.fixture
def roll_call(tmp_path):
    """Who ran, and how often; nodes call `functions.present(path, name)`."""
    return RollCall(tmp_path / "roll-call")


def _memory_group():
    """This process's memory group, and the names of its files for members and limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory") / path.lstrip("/"), "memory.limit_in_bytes"
    path = re.search(r"^0::(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    return Path("/sys/fs/cgroup") / (path[1] if path else "").lstrip("/"), "memory.max"


@pytest.fixture
def with_little_memory():
    """Run a script in a control group of its own that may hold 400 MiB."""
    parent, limit = _memory_group()
    group = parent / f"motorpool-test-{secrets.token_hex(4)}"
    try:
        group.mkdir()
        (group / limit).write_text(str(400 * _MIB))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no memory group can be made here: {error}")

    def run(script, *arguments):
        command = ["sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh"]
        return subprocess.run(
            [*command, sys.executable, str(script), *map(str, arguments)],
            capture_output=True, text=True, check=False, timeout=500, env=os.environ,
        )  # fmt: skip

    yield run
    wait_until(
        lambda: not (group / "cgroup.procs").read_text()
    )  # the ended are members for a while
    group.rmdir()


@pytest.fixture
def start(tmp_path, tmp_path_factory):
    """Start `motorpool run` as a terminal does: in a process group of its own."""
    (tmp_path / "waits.py").write_text(PIPELINE)
    temporary = tmp_path_factory.mktemp("temporary")
    started = []

    def start(backend, *options):
        command = [sys.executable, "-m", "motorpool", "run", "waits.py", "-b", backend, "-w", "2"]
        process = subprocess.Popen(
            [*command, *options],
            cwd=tmp_path, start_new_session=True, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=os.environ | {"TMPDIR": str(temporary)},
            # A shell starts what runs in its background with SIGINT ignored, which is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509, no locks
        )  # fmt: skip
        process.temporary = temporary
        process.members = lambda: members(process.pid)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def members(group):
    """Live processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state != "Z":
                found.append(int(entry.name))
    return found
