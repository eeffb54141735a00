"""Drives the scheduler with the executors of a run, until nothing is left to run.

    scheduler --next nodes--> lanes, one for each backend --submit--> executors
        ^                       ^                                         |  done callbacks
        |                       |                                         v
        +------ outcomes -------+-------- engine <------ one queue of futures

The loop waits on one queue, never on all futures: its cost does not grow with what is in flight.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from motorpool._engine.lane import Lane
from motorpool._system.signals import Cancellation, Interrupts
from motorpool.backend import Isolation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._engine.pool import Pool
    from motorpool._engine.transport import Transport
    from motorpool._engine.work import Work


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
        self._report = work.report
        self._cancellation = cancellation or Cancellation()
        self.ledger = work.ledger
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
                while self.ledger.scheduler.unfinished:
                    self._cancellation.check()
                    self._fill()
                    self._wait()
                    interrupts.check()
            except BaseException:
                with contextlib.ExitStack() as stack:  # each, whatever happens to the others
                    for lane in self._lanes:
                        lane.stop()
                        stack.callback(lane.kill)
                raise
            finally:
                self._cancellation.listen(None)

    def _fill(self) -> None:
        """Let every lane have something to do."""
        if self.ledger.attempts.next_due is not None:
            self.ledger.wake(time.monotonic())
        for lane in self._lanes:
            lane.fill()

    def _wait(self) -> None:
        """Deal with at least one outcome, or with what the clock brings."""
        due = self.ledger.attempts.next_due
        if due is None and not any(lane.is_busy for lane in self._lanes):
            waiting = any(lane.has_unstarted for lane in self._lanes)
            stopping = bool(self.ledger.stopping) and not waiting
            self.ledger.scheduler.check_alive(stopping=stopping)
            return
        if self._keep_house():  # while workers work
            return
        with contextlib.suppress(Empty):
            self._land(self._done.get(timeout=self._pause(self.ledger.attempts.next_due)))
            while True:
                self._land(self._done.get_nowait())

    def _keep_house(self) -> bool:
        """What is due now and then, and not because of a future; true if that changed anything."""
        if self._report.progress_due() == 0.0:
            running = [at for lane in self._lanes for at in lane.running()]
            self._report.progress(self.ledger.counts, running)
        self._report.flush()
        return sum(lane.keep_house() for lane in self._lanes) > 0  # all of them

    def _pause(self, due: float | None) -> float | None:
        """Seconds until there is something to look at, other than an outcome."""
        waking = None if due is None else max(0.0, due - time.monotonic())
        pauses = (waking, self._report.progress_due(), *(lane.pause() for lane in self._lanes))
        known = [pause for pause in pauses if pause is not None]
        return min(known, default=None)

    def _land(self, future: Future[Any]) -> None:
        for lane in self._lanes:
            if lane.land(future):
                return
