"""The nodes of a run that go to one backend's workers: sent there, awaited, and told of.

    units -> transport --submit--> executor
                                      |  done callback
                                      v
    events <--------- lane <--- the engine's queue of futures

What follows from an event is the scheduler's; how workers have ended is found out by `recovery`.
"""

from __future__ import annotations

import time
import weakref
from concurrent.futures import BrokenExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from motorpool._engine import breaches
from motorpool._engine.deadlines import Deadlines
from motorpool._engine.durations import Durations
from motorpool._engine.intake import Intake
from motorpool._engine.lanes import LaneState
from motorpool._engine.pool import announce
from motorpool._engine.recovery import Recovery
from motorpool._engine.sizes import UnitMaker
from motorpool._engine.transport import POLL_INTERVAL
from motorpool._engine.watchdog import Watchdog
from motorpool._protocol.messages import OFTEN, Order
from motorpool.backend import Isolation
from motorpool.errors import MotorpoolError, NodeError, WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from motorpool._engine.pool import Pool
    from motorpool._engine.state import Unit
    from motorpool._engine.transport import Transport
    from motorpool._engine.watchdog import Loss
    from motorpool._engine.work import Work

# A worker that has one unit waiting never idles for the length of a round trip (50 us here).
_IN_FLIGHT_PER_WORKER = 2
# News of units of more nodes are looked for as often as workers publish them.
_MANY = 128


class Lane:
    """The nodes of a run that go to one backend's workers.

    Args:
        number: What the scheduler knows it by.
        pool: Where the workers are.
        transport: How nodes get there.
        work: The run.
        on_done: Called with each future that is done.

    Attributes:
        number: The same.
    """

    def __init__(
        self, number: int, pool: Pool, transport: Transport, work: Work,
        on_done: Callable[[Future[Any]], None],
    ) -> None:  # fmt: skip
        self.number, self._pool, self._transport = number, pool, transport
        self._scheduler, self._nodes, self._work = work.scheduler, work.nodes, work
        self._report = work.report
        self._announce = partial(announce, weakref.ref(pool), on_done)
        self._futures: dict[Future[Any], Unit] = {}
        self._is_well = True  # as long as nothing was lost, and no call has failed
        isolation = pool.backend.capabilities.isolation
        self._runs_here = isolation is Isolation.NONE
        self._queues = pool.backend.capabilities.queues_tasks
        self._durations = Durations(
            work.functions, work.expected, work.fingerprints, pool.durations
        )
        maker = UnitMaker(
            work.scheduler.table, work.stretches, self._durations, number, pool.max_workers,
            # Of several nodes, only a status table shows which one broke a worker.
            one_by_one=not (transport.tracks_starts or isolation.in_process), tokens=work.tokens,
        )  # fmt: skip
        single = isolation.in_process or work.tokens.kinds  # what waits would hold its tokens
        limit = pool.max_workers * (1 if single else _IN_FLIGHT_PER_WORKER)
        deadlines = Deadlines(work.policy.timeouts_of(work.nodes))
        self._state = LaneState(number, pool.max_workers, limit, maker, deadlines)
        self._scheduler.lanes.append(self._state)
        self._recovery = Recovery(number, pool, transport, work.scheduler, work.nodes)
        self._intake = Intake(
            number, pool, transport, work, self._durations, self._recovery
        )  # fmt: skip
        self._watchdog = Watchdog(pool, transport, self._state)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way."""
        return bool(self._futures)

    def running(self) -> list[tuple[int, float | None]]:
        """The nodes that run, and since when (s, of `time.monotonic`).

        Where that is not known, those that may run, and None.
        """
        found: list[tuple[int, float | None]] = []
        for nodes in (list(unit.left) for unit in self._futures.values() if unit.left):
            if not self._transport.knows_running:
                found.append((nodes[0], None))
                continue
            at = next(((n, s.time) for n, s in self._transport.started(nodes).items()), None)
            found += [] if at is None else [at]
        return found

    # There

    def queue(self, now: float) -> None:
        """If nothing is ready, send what waits for a unit only to its worker, if that may be.

        Args:
            now: Seconds, of the clock that workers use.
        """
        if not self._queues or self._scheduler.table.first(self.number) is not None:
            return
        near, sending = self._transport.near, self._scheduler.sending
        for future, worker in self._pool.executor.lone_calls().items():  # type: ignore[attr-defined]
            if (before := self._futures.get(future)) is not None:
                here = {None, worker}
                unit = sending.next_behind(before, now, lambda nodes: near(nodes) in here)  # noqa: B023
                if unit is not None:
                    self.submit(unit, worker)

    def submit(self, unit: Unit, worker: int | None = None) -> None:
        """Send a unit off.

        Args:
            unit: The unit.
            worker: Process id of the worker that has the one it is queued behind.
        """
        nodes = unit.nodes
        holding = self._scheduler.retries.holding(unit)
        order = Order(unit.number, nodes, unit.attempts, holding, unit.behind, worker)
        self._report.submitted(order)
        problem = None if self._work.fetch is None else self._work.fetch(nodes)
        if problem is not None:
            self._recovery.unsent(unit, *problem)
            return
        if self._runs_here:
            seconds = self._durations.seconds(nodes)
            self._report.before_blocking(self._scheduler.counts, nodes[0], seconds)
        executor = self._pool.executor
        try:
            future = breaches.submitted(
                lambda: self._transport.submit(executor, order), *self._recovery.names(nodes[0])
            )
        except BrokenExecutor as error:
            self._scheduler.losses.not_taken(unit)
            self._recover(error)
            return
        except MotorpoolError as error:
            self._recovery.unsent(unit, nodes[0], error)
            return
        self._futures[future] = unit
        future.add_done_callback(self._announce)

    # Meanwhile

    def press(self) -> None:
        """Let workers know whether nodes wait for them."""
        # What is queued behind a unit waits for nothing else, and goes back if that does.
        units = sum(not unit.behind for unit in self._futures.values())
        waiting = units > self._pool.max_workers or self._scheduler.table.ready(self.number) > 0
        self._transport.press(waiting=waiting)

    def keep_house(self) -> bool:
        """What is due now and then, and not because of a future; true if that changed anything."""
        if watched := self._state.deadlines.watched:
            now = time.monotonic()
            self._scheduler.look_at_clock(self.number, self._transport.started(watched), now)
        if self._transport.tracks_starts and self._recovery.memory.is_due():
            self._recovery.memory.look(self._pool.worker_pids())
        changed = self._intake.look(self._poll_interval())
        loss = self._watchdog.look()
        if loss is not None:
            self._lost(loss)
        return changed or loss is not None

    def pause(self) -> float | None:
        """Seconds until there is something to look at, other than an outcome."""
        deadlines = self._state.deadlines
        due = None
        if watched := deadlines.watched:
            due = deadlines.pause(self._transport.started(watched), time.monotonic())
        polling = self._poll_interval() if self._transport.tracks_starts else None
        pauses = (due, polling, self._watchdog.pause())
        return min((pause for pause in pauses if pause is not None), default=None)

    def _poll_interval(self) -> float:
        """Seconds between two looks at the outcomes that workers publish."""
        return OFTEN if self._state.most > _MANY else POLL_INTERVAL

    def end(self) -> None:
        """The run is over: keep what was learned for the next one on these workers."""
        self._pool.durations |= self._durations.remember()
        if self._is_well and not self._futures and not self._scheduler.stopping:
            self._transport.end()

    def stop(self) -> None:
        """Start nothing more, and cancel what waits where workers cannot be told."""
        self._transport.stop()
        # A ProcessPoolExecutor that breaks leaves futures unanswered if others are cancelled.
        if not (self._transport.tracks_starts and self._pool.backend.capabilities.restarts):
            for future in list(self._futures):
                future.cancel()

    def resume(self) -> None:
        """Start nodes again."""
        self._transport.go_on()

    def kill(self) -> None:
        """End the workers, whatever they do."""
        self._is_well = False
        self._pool.kill()

    def kill_worker(self, pid: int) -> None:
        """End one worker."""
        self._is_well = False
        self._pool.kill_worker(pid)

    # And back

    def land(self, future: Future[Any]) -> bool:
        """Deal with a future that is done; false if it is none of this lane's.

        As one that says that a signal has come, or of an executor that has been replaced.
        """
        unit = self._futures.get(future)
        if unit is None:
            return False
        error = None if future.cancelled() else future.exception()
        if isinstance(error, BrokenExecutor) and not self._scheduler.killed:
            self._recover(error)
            return True
        if error is not None and not isinstance(error, BrokenExecutor):
            self._intake.look()  # what its worker has published is not lost
        del self._futures[future]
        if error is None and not future.cancelled():
            self._returned(unit, future.result())
            return True
        self._is_well = False
        if not unit.left:  # what became of each was heard before
            self._scheduler.returned(unit)
        elif error is None:
            self._cancelled(unit)
        elif isinstance(error, BrokenExecutor):
            self._scheduler.losses.lost([unit], None)
        elif isinstance(error, WorkerCrashedError):
            self._recovery.crashed(unit, error.pid, error.exitcode, reason=error.reason)
        else:
            self._recovery.call_failed(unit, error)
        return True

    def _cancelled(self, unit: Unit) -> None:
        text = "The executor cancelled the node; it may have been shut down from outside."
        errors = {node: self._recovery.noted(node, NodeError(text)) for node in unit.left}
        self._scheduler.losses.cancelled(unit, errors, time.monotonic())

    def _returned(self, unit: Unit, result: Any) -> None:
        fits = isinstance(result, self._transport.result_type)
        if not fits and (node := next(iter(unit.left), None)) is not None:
            self._is_well = False
            breach = breaches.wrong_result(*self._recovery.names(node), result)
            error, now = self._recovery.noted(node, breach), time.monotonic()
            self._scheduler.losses.call_failed(unit, node, error, now, started=True)
            return
        self._intake.returned(unit, result if fits else None)

    def _recover(self, error: BrokenExecutor) -> None:
        """A pool broke, and all that was in flight with it."""
        self._is_well = False
        executor = self._pool.executor
        for future in self._recovery.drain(list(self._futures), error):
            self.land(future)
        self._intake.look()
        self._futures.clear()
        self._recovery.pool_broken(executor)

    def _lost(self, loss: Loss) -> None:
        """An executor has lost nodes, or the death of the worker that was at one."""
        self._is_well = False
        if loss.dead is None or self._pool.backend.capabilities.restarts:
            self._futures.clear()
        else:
            unit = self._scheduler.table[loss.nodes[0]].unit
            self._futures = {f: u for f, u in self._futures.items() if u is not unit}
        self._recovery.lost(loss)
