"""Which running task has how long, and whose time is up; from when a worker started it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motorpool._engine.state import TaskState
    from motorpool._protocol.status import Started

# How long to wait, in seconds, before looking again whether a task with a deadline has started.
_NOT_STARTED = 0.05


class Deadlines:
    """The tasks of a lane that are under way and have a time limit.

    Args:
        limits: For each task the seconds that it has, or None.
    """

    def __init__(self, limits: Sequence[float | None]) -> None:
        self.limits = limits
        #: Process ids of workers that were ended for a deadline.
        self.killed: set[int] = set()
        self._any = any(limits)
        self._watched: dict[int, TaskState] = {}

    @property
    def watched(self) -> list[int]:
        """The tasks."""
        return list(self._watched)

    def watch(self, tasks: Iterable[TaskState], now: float) -> None:
        """Tasks are sent off."""
        for task in tasks if self._any else ():
            if self.limits[task.index] is not None:
                task.sent, task.timed_out = now, False
                self._watched[task.index] = task

    def forget(self, nodes: Iterable[int]) -> None:
        """Tasks have come back."""
        if self._watched:
            for node in nodes:
                self._watched.pop(node, None)

    def pause(self, running: Mapping[int, Started], now: float) -> float | None:
        """Seconds until there is something to look at; None if there will not be.

        Args:
            running: Those of `watched` that a worker has started, and when.
            now: Seconds of the same clock.
        """
        pauses = [
            self._deadline(task, running[node]) - now if node in running else _NOT_STARTED
            for node, task in self._watched.items()
        ]
        return max(0.0, min(pauses)) if pauses else None

    def overdue(self, running: Mapping[int, Started], now: float) -> list[int]:
        """Process ids of the workers that are past a deadline; each is returned once."""
        found = []
        for node, started in running.items():
            if node in self._watched and now >= self._deadline(self._watched[node], started):
                self._watched.pop(node).timed_out = True
                self.killed.add(started.pid)
                found.append(started.pid)
        return found

    def _deadline(self, task: TaskState, started: Started) -> float:
        """When a running task's time is up.

        A stamp may be read while it is written; no task has started before it was sent.
        """
        return max(started.time, task.sent) + (self.limits[task.index] or 0.0)
