"""What an observer keeps of a run, to write a trace or a page in the end."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from motorpool._system.process import memory_of
from motorpool.events import NodeFailed, RunFinished, RunProgressed, RunStarted, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.events import Event

# Least seconds between two looks at the memory of all processes; and how many times longer than
# the last look took, so that looking is one part in fifty of the driver's time at most.
_INTERVAL, _TIMES = 0.2, 50


class Recording:
    """An observer that keeps what its `finish` needs; nodes are kept by the run itself.

    Args:
        finish: Called with this when the run is over, whether well or not.

    Attributes:
        started: The beginning of the run, or None before it.
        failures: Tries that have failed, in order.
        losses: Workers that have died, in order.
        memory: Seconds since the epoch, and bytes that all processes took then.
        finished: The end of the run, or None before it.
    """

    wants = (RunStarted, NodeFailed, WorkerLost, RunProgressed, RunFinished)

    def __init__(self, finish: Callable[[Recording], None]) -> None:
        self._finish = finish
        self._next = 0.0
        self.started: RunStarted | None = None
        self.failures: list[NodeFailed] = []
        self.losses: list[WorkerLost] = []
        self.memory: list[tuple[float, int]] = []
        self.finished: RunFinished | None = None

    @property
    def began(self) -> float:
        """When the run began, in seconds since the epoch; of one that is over."""
        if self.finished is None:
            raise ValueError("The run is not over.")
        # What comes between the last outcome and the event counts for neither.
        by_end = self.finished.time - self.finished.summary.wall_time
        return min(by_end, self.started.time) if self.started else by_end

    def on_event(self, event: Event) -> None:
        """Keep it."""
        match event:
            case RunStarted():
                self.started = event
            case NodeFailed():
                self.failures.append(event)
            case WorkerLost():
                self.losses.append(event)
            case RunProgressed():
                self._look()
            case RunFinished():
                self.finished = event
                self._finish(self)

    def _look(self) -> None:
        began = time.monotonic()
        if began < self._next:
            return
        nbytes = memory_of(os.getpid())
        self.memory += [(time.time(), nbytes)] if nbytes else []
        now = time.monotonic()
        self._next = now + max(_INTERVAL, _TIMES * (now - began))
