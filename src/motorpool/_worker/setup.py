"""Makes a process a worker of the driver's: its streams, logs, faults and state."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from motorpool._protocol.faults import FaultWriter
from motorpool._protocol.logs import LogWriter, redirect
from motorpool._system.children import end_children_at_exit
from motorpool._system.exceptions import add_note
from motorpool._system.interpreters import is_beside_others
from motorpool._system.process import limit_threads, watch_parent
from motorpool._system.streams import forgive_closed_pipes
from motorpool._worker.process_state import ProcessState

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool._protocol.plan import Settings


class OwnedProcess:
    """The log and the faults that this process writes for its driver, and its state."""

    def __init__(self) -> None:
        self.log, self.faults = LogWriter(), FaultWriter()
        self.state, self.settings = ProcessState(), AppliedSettings()
        self._threads: int | None = None

    def use_threads(self, count: int) -> None:
        """Let native libraries use so many threads."""
        if count != self._threads:
            limit_threads(count)
            self._threads = count


class AppliedSettings:
    """The settings of the run that this process works for."""

    def __init__(self) -> None:
        self._applied = b""

    def use(self, pickled: bytes, loads: Callable[[bytes], Any]) -> bool:
        """Apply a run's settings, unless they are those that hold.

        Args:
            pickled: From `pickle_settings`.
            loads: The backend's.

        Returns:
            Whether they were others.
        """
        if pickled == self._applied:
            return False
        for apply, value in loads(pickled):
            try:
                apply(value)
            except Exception as error:
                name = getattr(apply, "__qualname__", type(apply).__name__)
                add_note(error, f"while {name} applied a setting of the driver in a worker")
                raise
        self._applied = pickled
        return True


def set_up_process(settings: Settings) -> OwnedProcess | None:
    """Make this process a worker of the driver's; once, however many runs it works for."""
    if not settings.owned or settings.driver_pid == os.getpid():
        return None
    if settings.driver_pid is not None:
        watch_parent(settings.driver_pid, settings.folders)
    process = _set_up_once()
    process.use_threads(settings.threads)
    redirect(process.log, settings.log_levels)
    return process


class OwnInterpreter:
    """An interpreter that is a worker beside others in one process.

    It has loggers, streams and modules of its own, and all else in common with its driver.
    """

    def __init__(self) -> None:
        self.log, self.settings = LogWriter(), AppliedSettings()


@cache
def set_up_interpreter() -> OwnInterpreter | None:
    """Make this interpreter a worker, if it is one of several in its process; once."""
    if not is_beside_others():
        return None
    _show_lines()
    return OwnInterpreter()


def _show_lines() -> None:
    """Let a node's text show up when it is printed, not when the worker ends."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with contextlib.suppress(OSError, ValueError):
        forgive_closed_pipes(line_buffering=True)


@cache
def _set_up_once() -> OwnedProcess:
    end_children_at_exit()
    _show_lines()
    if "numpy.random" in sys.modules:  # forked with it, it would draw what others draw
        sys.modules["numpy.random"].seed()
    return OwnedProcess()
