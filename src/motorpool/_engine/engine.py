"""Drives the scheduler with the executors of a run, until nothing is left to run.

    scheduler --units--> lanes, one for each backend --submit--> executors
      ^   |                ^                                         |  done callbacks
      |   `--actions--> engine <------- one queue of futures <-------+
      |                    |
      +------ events ------+

The loop waits on one queue, never on all futures: its cost does not grow with what is in flight.
"""

from __future__ import annotations

import contextlib
import logging
import time
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from motorpool._engine import actions as do
from motorpool._engine.lane import Lane
from motorpool._system.signals import Cancellation, Interrupts
from motorpool.backend import Isolation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from motorpool._engine.pool import Pool
    from motorpool._engine.transport import Transport
    from motorpool._engine.work import Work

_logger = logging.getLogger("motorpool")


class Engine:
    """One run.

    Args:
        places: For each lane where its workers are, and how nodes get there.
        work: The nodes, and what is known of them.
        cancellation: Lets other threads end the run.
    """

    def __init__(
        self, places: Sequence[tuple[Pool, Transport]], work: Work,
        cancellation: Cancellation | None = None,
    ) -> None:  # fmt: skip
        self._report, self._work = work.report, work
        self._cancellation = cancellation or Cancellation()
        self._scheduler = work.scheduler
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._lanes = [
            Lane(number, pool, transport, work, self._done.put)
            for number, (pool, transport) in enumerate(places)
        ]
        isolations = [pool.backend.capabilities.isolation for pool, _ in places]
        done = self._done  # a reference to this object would be a cycle, which keeps stores open
        self._interrupts = Interrupts(  # where nodes run in this thread, they are interrupted
            lambda: done.put(Future()), active=Isolation.NONE not in isolations
        )

    def run(self) -> None:
        """Run until every node is done, failed or skipped.

        Raises:
            BackendError: If an executor cannot be kept going.
            Cancelled: If another thread has ended it.
        """
        done = self._done
        self._cancellation.listen(lambda: done.put(Future()))
        with self._interrupts as interrupts:
            try:
                while self._scheduler.table.unfinished:
                    self._cancellation.check()
                    self._fill()
                    self._wait()
                    interrupts.check()
                self._act()
            except BaseException:
                with contextlib.ExitStack() as stack:  # each, whatever happens to the others
                    for lane in self._lanes:
                        lane.stop()
                        stack.callback(lane.kill)
                raise
            finally:
                self._cancellation.listen(None)
                for lane in self._lanes:
                    lane.end()

    def _fill(self) -> None:
        """Let every lane have something to do."""
        now = time.monotonic()
        if self._scheduler.retries.next_due is not None:
            self._scheduler.tick(now)
        for lane in self._lanes:
            while True:
                unit = self._scheduler.sending.next_unit(lane.number, now)
                self._act()  # before it is sent: what an earlier try has left goes, for one
                if unit is None:
                    break
                lane.submit(unit)
            lane.queue(now)
            self._act()
            lane.press()

    def _wait(self) -> None:
        """Deal with at least one outcome, or with what the clock brings."""
        due = self._scheduler.retries.next_due
        if due is None and not any(lane.is_busy for lane in self._lanes):
            self._scheduler.table.check_alive(stopping=bool(self._scheduler.stopping))
            return
        if self._keep_house():  # while workers work
            return
        with contextlib.suppress(Empty):
            self._land(self._done.get(timeout=self._pause(due)))
            while True:
                self._land(self._done.get_nowait())

    def _keep_house(self) -> bool:
        """What is due now and then, and not because of a future; true if that changed anything."""
        if self._report.progress_due() == 0.0:
            running = [at for lane in self._lanes for at in lane.running()]
            self._report.progress(self._scheduler.counts, running)
        self._report.flush()
        changed = sum(lane.keep_house() for lane in self._lanes) > 0  # all of them
        self._act()
        return changed

    def _pause(self, due: float | None) -> float | None:
        """Seconds until there is something to look at, other than an outcome."""
        waking = None if due is None else max(0.0, due - time.monotonic())
        dues = (waking, self._report.progress_due(), self._report.journal_due())
        pauses = (*dues, *(lane.pause() for lane in self._lanes))
        known = [pause for pause in pauses if pause is not None]
        return min(known, default=None)

    def _land(self, future: Future[Any]) -> None:
        for lane in self._lanes:
            if lane.land(future):
                break
        self._act()

    def _act(self) -> None:
        """Do what the scheduler wants done."""
        while actions := self._scheduler.actions:
            self._scheduler.actions = []
            for action in actions:
                self._acts[type(action)](self, action)

    def _release(self, action: do.Release) -> None:
        self._report.released(self._work.values.release(action.names))

    def _abandon(self, action: do.Abandon) -> None:
        self._work.values.abandon(action.node, handed=action.handed)

    def _failed(self, action: do.TryFailed) -> None:
        self._report.failed(*action[:3], retried=action.retried)

    def _skipped(self, action: do.Skipped) -> None:
        self._report.skipped(*action)

    def _lost(self, action: do.WorkerLost) -> None:
        self._report.lost(*action[:3], starved=action.starved)

    def _alone(self, action: do.RunAlone) -> None:
        _logger.warning(
            "The kernel ended the worker of the node %r for want of memory. It is run again, "
            "with nothing beside it.", self._work.nodes[action.node].name,
        )  # fmt: skip

    def _reduced(self, action: do.ReduceConcurrency) -> None:
        _logger.warning(
            "The node %r had enough memory when it ran alone. From here on, at most %d run at a "
            "time; fewer workers would save what is run twice.",
            self._work.nodes[action.node].name, action.limit,
        )  # fmt: skip

    def _stop(self, action: do.StopWorkers) -> None:
        self._lanes[action.lane].stop()
        if action.kill:
            self._lanes[action.lane].kill()

    def _resume(self, action: do.ResumeWorkers) -> None:
        self._lanes[action.lane].resume()

    def _kill_worker(self, action: do.KillWorker) -> None:
        self._lanes[action.lane].kill_worker(action.pid)

    _acts: dict[type, Callable[[Engine, Any], None]] = {  # noqa: RUF012, never changed
        do.Release: _release, do.Abandon: _abandon, do.TryFailed: _failed, do.Skipped: _skipped,
        do.WorkerLost: _lost, do.RunAlone: _alone, do.ReduceConcurrency: _reduced,
        do.StopWorkers: _stop, do.ResumeWorkers: _resume, do.KillWorker: _kill_worker,
    }  # fmt: skip
