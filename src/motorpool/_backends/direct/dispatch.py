"""Which task goes to which worker of the direct pool."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from motorpool._backends.direct.wakeup import Wakeup

if TYPE_CHECKING:
    from concurrent.futures import Future

    from motorpool._backends.direct.worker import Task, WorkerHandle

# Tasks shorter than this (s) are sent before the worker has answered the last one: the round trip
# of 50-100 us is then hidden. For longer ones it would show little, and a task could wait behind
# a long one while another worker idles.
SHORT = 0.005


class TaskDispatcher:
    """The tasks that wait, and the workers that may take them.

    Args:
        max_workers: Number of workers.
        max_tasks: Tasks that a worker may take in its life; None for any number.
    """

    def __init__(self, max_workers: int, max_tasks: int | None) -> None:
        self._max_workers = max_workers
        self._max_tasks = max_tasks
        self._lock = threading.Lock()
        self._pending: deque[Task] = deque()
        self._workers: list[WorkerHandle] = []
        self._broken: str | None = None
        self._closing = False
        self._spawn_refused = False  # the system has refused to start another worker
        self._average = SHORT  # moving average of the tasks' durations, in seconds
        self._owner = os.getpid()
        self._wakeup = Wakeup()

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        with self._lock:
            return [m.pid for m in self._workers]

    def lone_tasks(self) -> dict[Future[Any], int]:
        """The tasks that have a worker to themselves: the process id of that, by future.

        None while others wait for a worker: what is queued would wait behind these.
        """
        with self._lock:
            if self._pending:
                return {}
            return {m.tasks[0].future: m.pid for m in self._workers if len(m.tasks) == 1}

    def kill(self, pid: int | None = None) -> None:
        """Kill one worker, or all of them; what they are at fails."""
        with self._lock:
            for worker in self._workers:
                if pid in {None, worker.pid} and os.getpid() == self._owner:
                    worker.process.kill()

    def _is_eventful(self) -> bool:
        """Whether workers may have to be started, sent the rest of something, or ended.

        Most of the time not; and who waits for the result that has just come cannot go on before
        this thread is back in `select`.
        """
        return bool(
            self._pending or self._closing or self._max_tasks is not None
            or any(m.watched_for_room or m.wants_to_write or m.stopped_at for m in self._workers)
        )  # fmt: skip

    def _is_over(self) -> bool:
        if not self._closing:
            return False
        with self._lock:
            return not self._workers and not self._pending

    # Called with the lock held.

    def _dispatch(self) -> None:
        """Give waiting tasks to workers; the pool's thread starts more if there are too few."""
        while self._pending and (worker := self._choose(self._pending[0])) is not None:
            task = self._pending.popleft()
            if not task.running and not task.future.set_running_or_notify_cancel():
                continue
            task.running = True
            worker.give(task)
            if worker.wants_to_write:
                self._wakeup.wake()
        if self._wants_more():
            self._wakeup.wake()

    def _choose(self, task: Task) -> WorkerHandle | None:
        """An idle worker; else, if there are to be no more, for short tasks a nearly idle one.

        The one that the task names, if several would do, or if it insists.
        """
        idle = nearly = None
        for worker in self._workers:
            if worker.stopped_at is not None or worker.served == self._max_tasks:
                continue
            named = worker.pid == task.near
            if named and task.insists:
                return worker
            if not worker.tasks and (idle is None or named):
                idle = worker
            elif len(worker.tasks) == 1 and (nearly is None or named):
                nearly = worker
        full = len(self._workers) == self._max_workers
        return idle or (nearly if full and self._average < SHORT else None)

    def _wants_more(self) -> bool:
        room = len(self._workers) < (1 if self._spawn_refused else self._max_workers)
        return bool(self._pending) and room and not self._broken
