"""Fresh processes that measure, one at a time, and what becomes of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from motorpool._system.process import descendants
from motorpool.bench._memory import PeakMemory

if TYPE_CHECKING:
    from types import TracebackType

# Seconds that a trial that is asked to end may take to end its workers.
_GRACE = 2.0
_LAST_LINE = 300


class OutOfTimeError(Exception):
    """The time that measurements may take is up."""


class Trials:
    """Runs measurements; leaves no process and no file behind.

    Args:
        module: The module to run, as `python -m` does: reads what to do from standard input, and
            writes an answer to the file that the order names; both as JSON.
        time_limit: Seconds for all of them together, or None.

    Attributes:
        folder: For what is left behind until the end.
    """

    def __init__(self, module: str, time_limit: float | None = None) -> None:
        self._end = None if time_limit is None else time.monotonic() + time_limit
        self._command = [sys.executable, "-m", module]
        self._folder = tempfile.TemporaryDirectory(prefix="motorpool-bench-")
        self.folder = Path(self._folder.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._folder.cleanup()

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Run one measurement, and wait for it.

        Args:
            order: What to do.

        Returns:
            The answer; only `error`, in words, if there is none. With `memory` in the order, also
            `peak_memory`, in bytes: of all its processes, as `PeakMemory` has it.

        Raises:
            OutOfTimeError: If the time is up before it is done.
        """
        left = None if self._end is None else self._end - time.monotonic()
        if left is not None and left <= 0:
            raise OutOfTimeError
        answer, log = self.folder / "answer", self.folder / "log"
        answer.unlink(missing_ok=True)
        folders = {name: str(self.folder / name) for name in ("runs", "scratch")}
        told = json.dumps({**order, **folders, "answer": str(answer), "driver": os.getpid()})
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603, this Python
                self._command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which ends that one
                env={**os.environ, "PYTHONHASHSEED": "0"}, text=True,
            )  # fmt: skip
            memory = PeakMemory(process.pid)
            with memory if order.get("memory") else contextlib.nullcontext():
                _communicate(process, told, left)
        shutil.rmtree(folders["scratch"], ignore_errors=True)
        if answer.exists():
            found: dict[str, Any] = json.loads(answer.read_text())
            return {**found, "peak_memory": memory.peak or found.get("peak_memory", 0)}
        return {"error": _last_words(process.returncode, log)}


def _communicate(process: subprocess.Popen[str], told: str, left: float | None) -> None:
    """Tell a trial what to do, and wait for it, for so many seconds; it does not outlive this."""
    try:
        process.communicate(told, timeout=left)
    except subprocess.TimeoutExpired:
        _end(process)
        raise OutOfTimeError from None
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a trial to end, and see to it."""
    started = descendants(process.pid)
    process.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    finally:  # after Ctrl-C
        if process.poll() is None:
            for pid in (*started, *descendants(process.pid)):
                with contextlib.suppress(OSError):
                    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            process.kill()
            process.wait()


def _last_words(code: int, log: Path) -> str:
    """Why a process has ended without an answer."""
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    lines = log.read_text(errors="replace").strip().splitlines()
    said = f": {lines[-1][:_LAST_LINE]}" if lines else ""
    return f"its process ended with {how}{said}"
