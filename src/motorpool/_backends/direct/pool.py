"""The direct pool: one duplex pipe for each worker, and nothing that workers share.

    submit --> pending --> WorkerHandle.tasks --pipe--> worker process
                                  |  first unanswered = what the worker is at
    futures <-- one thread <------+--pipe, and a descriptor that shows its death

A worker that dies takes one task with it, the first that it has not answered; what waited behind
that is sent to another worker. There is no lock or queue that it could leave broken.
"""

from __future__ import annotations

import atexit
import itertools
import os
import pickle
import selectors
import threading
import time
from collections import deque
from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING, Any

from motorpool._backends.direct.dispatch import TaskDispatcher
from motorpool._backends.direct.frames import ANSWERS, Kind, call_frame
from motorpool._backends.direct.worker import OUT_OF_STEP, Task, WorkerHandle
from motorpool._protocol.failure import Failure, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

# Weight of the newest task in the moving average of durations.
_NEWEST = 0.2
# How long (s) a worker may take to end after it was asked to; a node may have left threads behind.
_GRACE = 5.0
# How often (s) to ask whether workers live, where the system gives no notice.
_ASK_INTERVAL = 0.5
# Workers that die so often in a row before they are up will not come up.
_MOST_FALSE_STARTS = 3


class DirectPool(TaskDispatcher):
    """Workers, the tasks that are with them, and the thread that listens to them.

    Args:
        max_workers: Number of workers; each is started when there is a task for it.
        context: How to start processes.
        dumps: Pickles tasks and results.
        loads: Unpickles them.
        max_tasks_per_child: Replace a worker after so many tasks; None for never.
    """

    def __init__(
        self, *, max_workers: int, context: Any, dumps: Callable[[Any], bytes],
        loads: Callable[[bytes], Any], max_tasks_per_child: int | None,
    ) -> None:  # fmt: skip
        super().__init__(max_workers, max_tasks_per_child)
        self._context = context
        self._dumps, self._loads = dumps, loads
        self._numbers = itertools.count(1)
        self._aborting = False
        self._false_starts = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wakeup.sockets[0], selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="motorpool-pool", daemon=True)
        self._thread.start()
        atexit.register(self._at_exit)

    def submit(
        self, call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]],
        near: int | None = None, *, insists: bool = False,
    ) -> Future[Any]:  # fmt: skip
        """Queue a call.

        Args:
            call: A function, its arguments and its keyword arguments.
            near: Process id of the worker that it had best run on.
            insists: Whether it goes there whatever that worker has to do, as long as it lives.

        Raises:
            RuntimeError: After `shutdown`.
            BrokenExecutor: If workers cannot be started.
            Exception: Whatever pickling the call raises.
        """
        if os.getpid() != self._owner:
            raise RuntimeError("the workers belong to the process that this one was forked from")
        number = next(self._numbers)
        task = Task(number, Future(), call_frame(number, call, self._dumps), near, insists)
        with self._lock:
            if self._broken:
                raise BrokenExecutor(self._broken)
            if self._closing:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._pending.append(task)
            self._dispatch()
        return task.future

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        """Take no more tasks, and end the workers when they have done what there is.

        With `cancel_futures`, what waits is given up, and what waits behind a worker that dies.
        """
        if os.getpid() != self._owner:
            return
        cancelled: list[Task] = []
        with self._lock:
            self._closing = True
            if cancel_futures:
                self._aborting = True
                cancelled, self._pending = list(self._pending), deque()
        for task in cancelled:
            if task.future.cancel():
                task.future.set_running_or_notify_cancel()
            else:
                task.future.set_exception(BrokenExecutor("the pool was shut down"))
        self._wakeup.wake()
        if wait and threading.current_thread() is not self._thread:
            self._thread.join()

    def abandon(self) -> None:
        """Shut down without waiting; takes no lock, for the garbage collector calls."""
        self._closing = True
        self._wakeup.wake()

    def _at_exit(self) -> None:
        self.shutdown(wait=True, cancel_futures=False)

    # Called from the pool's own thread.

    def _run(self) -> None:
        """Listen; whatever goes wrong here, no caller waits for ever."""
        try:
            self._listen()
        except BaseException as error:
            self._broken = f"the pool's thread failed: {error!r}"
            with self._lock:
                workers, self._workers = self._workers, []
                waiting = [t for m in workers for t in m.tasks] + list(self._pending)
                self._pending.clear()
            for worker in workers:
                worker.process.kill()
                worker.reap()
            self._fail([t for t in waiting if not t.future.done()])
            raise
        finally:
            atexit.unregister(self._at_exit)
            self._selector.close()
            self._wakeup.close()

    def _listen(self) -> None:
        """Deal with results and deaths until the pool is shut down and empty."""
        while not self._is_over():
            for key, events in self._selector.select(self._select_timeout()):
                if key.data is None:
                    self._wakeup.clear()
                elif key.fileobj is not key.data.sock:
                    self._died(key.data)
                elif events & selectors.EVENT_READ:
                    self._read(key.data)
            for worker in [m for m in self._workers if m.must_be_asked]:
                if not worker.process.is_alive():
                    self._died(worker)
            if self._is_eventful():
                self._adjust_process_count()
                self._flush_and_retire()

    def _select_timeout(self) -> float | None:
        """Seconds until a worker that was asked to end has to be killed."""
        if any(m.must_be_asked for m in self._workers):
            return _ASK_INTERVAL
        asked = [m.stopped_at for m in self._workers if m.stopped_at is not None]
        return max(0.0, min(asked) + _GRACE - time.monotonic()) if asked else None

    def _adjust_process_count(self) -> None:
        """Start workers for what waits; in this thread, where no signal handler can break in."""
        while True:
            with self._lock:
                if not self._wants_more():
                    return
                ends = [m.sock for m in self._workers] + [*self._wakeup.sockets]
            try:
                worker = WorkerHandle(self._context, self._dumps, self._loads, ends)
            except Exception as error:  # noqa: BLE001, the system may refuse in many ways
                self._spawn_refused = True
                if not self._workers:
                    self._fail(self._false_start(f"the last could not be started: {error!r}"))
                continue
            self._selector.register(worker.sock, selectors.EVENT_READ, worker)
            if worker.death is not None:
                self._selector.register(worker.death, selectors.EVENT_READ, worker)
            with self._lock:
                self._workers.append(worker)
                self._dispatch()

    def _flush_and_retire(self) -> None:
        """Send what is left, and end workers that have served."""
        with self._lock:
            over = self._closing and not self._pending
            for worker in self._workers:
                worker.flush()
                worker.watched_for_room = worker.wants_to_write
                events = selectors.EVENT_WRITE * worker.wants_to_write | selectors.EVENT_READ
                self._selector.modify(worker.sock, events, worker)
                idle = not worker.tasks
                if idle and (worker.served == self._max_tasks or over):
                    worker.stop()
                overdue = worker.stopped_at and time.monotonic() > worker.stopped_at + _GRACE
                if overdue:
                    worker.process.kill()

    def _read(self, worker: WorkerHandle) -> None:
        frames, closed = worker.receive()
        self._answer(worker, frames)
        if closed:
            self._died(worker)

    def _answer(self, worker: WorkerHandle, frames: list[tuple[int, int, bytes]]) -> None:
        """Settle tasks, and send the worker the next ones before callbacks of futures run."""
        settled = []
        with self._lock:
            for kind, number, payload in frames:
                if kind == Kind.READY:
                    worker.ready, self._false_starts = True, 0
                    continue
                expected = worker.tasks[0].number if worker.tasks else None
                if kind not in ANSWERS or number != expected:
                    worker.end_because(OUT_OF_STEP)
                    break
                task = worker.tasks.popleft()
                now = time.perf_counter()
                self._average += _NEWEST * (now - worker.busy_since - self._average)
                worker.busy_since = now
                settled.append((task, kind, payload))
            self._dispatch()
        for task, kind, payload in settled:
            self._settle(task.future, kind, payload)

    def _settle(self, future: Future[Any], kind: int, payload: bytes) -> None:
        try:
            if kind == Kind.ERROR:
                future.set_exception(unpack(Failure(*pickle.loads(payload)), self._loads))
            else:
                future.set_result(payload if kind == Kind.RAW_RESULT else self._loads(payload))
        except Exception as error:  # noqa: BLE001, the result pickles but does not unpickle
            future.set_exception(error)

    def _died(self, worker: WorkerHandle) -> None:
        """Reap a dead worker: its first unanswered task fails, the others are queued again."""
        if worker not in self._workers:
            return
        closed = False
        while not closed:  # results that it had sent before
            frames, closed = worker.receive()
            self._answer(worker, frames)
            closed = closed or not frames
        self._selector.unregister(worker.sock)
        if worker.death is not None:
            self._selector.unregister(worker.death)
        with self._lock:
            self._workers.remove(worker)  # first, so that no thread kills a process that is closed
            self._spawn_refused = False
        code = worker.reap()
        with self._lock:
            tasks = list(worker.tasks)
            culprit = tasks.pop(0) if tasks and worker.ready else None
            if not self._aborting:
                self._pending.extendleft(reversed(tasks))
                tasks = []
            self._dispatch()
        for task in tasks:
            task.future.set_exception(BrokenExecutor("the pool was shut down"))
        if not worker.ready:
            self._fail(self._false_start(str(worker.crash(code)).removesuffix(".")))
        if culprit is not None:
            culprit.future.set_exception(worker.crash(code))

    def _false_start(self, reason: str) -> list[Task]:
        """Count a worker that never came up; after too many, return the tasks that fail for it."""
        with self._lock:
            self._false_starts += 1
            if self._false_starts < _MOST_FALSE_STARTS:
                return []
            self._broken = (
                f"{self._false_starts} workers in a row did not come up: {reason}. What they said "
                "is on standard error."
            )
            tasks = list(self._pending)
            self._pending.clear()
        return [t for t in tasks if t.running or t.future.set_running_or_notify_cancel()]

    def _fail(self, tasks: list[Task]) -> None:
        for task in tasks:
            task.future.set_exception(BrokenExecutor(self._broken))
