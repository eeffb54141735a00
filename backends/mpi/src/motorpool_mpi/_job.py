"""An MPI job: started by `mpiexec`, listened to, and asked how it ended."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool.processes import interpreter_variables, starting_processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

# How long (s) a job may take to come up; a queueing system may have it wait.
_START = 300.0
# How long (s) it may take to end when its rank 0 has.
_END = 10.0
# Lines of what it says that are kept.
_KEPT = 200
# There is a rank more than there are workers, which waits; and nodes are not the parts of one
# program, to be bound to a core each. Open MPI 4 and 5 read this, unless the environment says
# otherwise.
_SETTINGS = {
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
}
# What ranks know their job by; one that is started in a rank is another.
_OF_A_RANK = re.compile(r"PMIX?_|OMPI_(?!MCA_|ALLOW_)|OMPI_MCA_(ess|orte|pmix|initial)_")
# How Open MPI says which rank has ended the job.
_SIGNALLED = re.compile(
    r"process rank (\d+) with PID \d+ .*?exited\s+on\s+signal (\d+)", re.DOTALL
)
_EXITED = re.compile(r"Process name: \[\[\d+,\d+\],(\d+)\]\s+Exit code:\s+(\d+)")
_LEFT = re.compile(r"process rank (\d+) with PID \d+ on\s+node \S+ exiting improperly")
_RULE = "-" * 20


class Job:
    """A job whose ranks run `motorpool_mpi._rank`.

    Args:
        size: Number of ranks.
        mpiexec: The command that starts it.
        hosts: Where its ranks run; None for this host.

    Raises:
        RuntimeError: If there is no such command.
    """

    def __init__(self, size: int, mpiexec: str, hosts: str | None) -> None:
        command = [*shlex.split(mpiexec), *(["--host", hosts] if hosts else [])]
        if shutil.which(command[0]) is None:
            raise RuntimeError(
                f"there is no command {command[0]!r}. Install an MPI, such as Debian's "
                "openmpi-bin, or name its command with the option mpiexec."
            )
        with starting_processes():  # which other threads change it for
            environment = {k: v for k, v in os.environ.items() if not _OF_A_RANK.match(k)}
        self._command = [*command, "-n", str(size), sys.executable, "-m", "motorpool_mpi._rank"]
        self._process = subprocess.Popen(  # noqa: S603, the user's own command
            self._command, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
            env=_SETTINGS | interpreter_variables() | environment, start_new_session=True,
        )  # fmt: skip
        self._said: deque[str] = deque(maxlen=_KEPT)
        self._ears = threading.Thread(target=self._hear, name="motorpool-mpi-ears", daemon=True)
        self._ears.start()

    def connection(self, address: str | None) -> Connection:
        """The connection to rank 0.

        Args:
            address: What its host knows this one by; None if that is this host too.

        Raises:
            RuntimeError: If the job ends instead, with what it says.
        """
        key = secrets.token_bytes(32)
        with _listener(address, key) as listener:
            order = {"address": listener.address, "key": key.hex()}
            assert self._process.stdin is not None  # noqa: S101, a pipe
            with suppress(OSError), self._process.stdin as stdin:
                stdin.write(json.dumps(order).encode() + b"\n")
            connected = threading.Event()
            watch = threading.Thread(target=self._watch, args=(listener.address, connected))
            watch.start()
            try:
                return listener.accept()
            except (OSError, EOFError, AuthenticationError):
                raise RuntimeError(f"no MPI job has come up: {self.wait()}") from None
            finally:
                connected.set()
                watch.join()

    def _watch(self, address: Any, connected: threading.Event) -> None:
        """Fail what waits for a job that will not come up."""
        deadline = time.monotonic() + _START
        while not connected.wait(0.05):
            if time.monotonic() > deadline:
                self._process.kill()
            elif self._process.poll() is None:
                continue
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            with suppress(OSError), socket.socket(family) as caller:
                caller.connect(address)  # and hang up, so that `accept` returns
            return

    def wait(self) -> str:
        """Wait for the end of the job, which is near; return how that came, in words."""
        try:
            code = self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._ears.join(_END)
        if not code:
            return "The MPI job has ended."
        said = "\n".join(line for line in self._said if line.strip("- "))
        return f"The MPI job ended with exit code {code}. {self._command[0]} says:\n{said}"

    def pids(self) -> list[int]:
        """Process id of `mpiexec`, as long as it lives."""
        return [self._process.pid] if self._process.poll() is None else []

    def kill(self) -> None:
        """Have `mpiexec` end all ranks, wherever they are."""
        self._process.terminate()

    def verdict(self) -> tuple[int | None, int | None]:
        """Which rank has ended the job, and its exit code, negative for a signal; if known."""
        said = "\n".join(self._said)
        if found := _SIGNALLED.search(said):
            return int(found[1]), -int(found[2])
        if found := _EXITED.search(said):
            return int(found[1]), int(found[2])
        if found := _LEFT.search(said):
            return int(found[1]), 0
        return None, None

    def _hear(self) -> None:
        """Keep what MPI says, and hand on what nodes do."""
        assert self._process.stderr is not None  # noqa: S101, a pipe
        in_notice = False
        with self._process.stderr as lines:
            for raw in lines:
                line = raw.decode(errors="replace").rstrip("\n")
                is_rule = line.startswith(_RULE)
                in_notice ^= is_rule
                self._said.append(line)
                if not (is_rule or in_notice or re.match(r"\[\S+:\d+\]", line)):
                    with suppress(Exception):
                        print(line, file=sys.stderr)  # noqa: T201, it was meant for there


@contextmanager
def _listener(address: str | None, key: bytes) -> Iterator[Listener]:
    if address is not None:
        with Listener((address, 0), authkey=key) as listener:
            yield listener
        return
    folder = tempfile.mkdtemp(prefix="mpi-")
    try:
        with Listener(str(Path(folder, "driver")), authkey=key) as listener:
            yield listener
    finally:
        shutil.rmtree(folder, ignore_errors=True)
