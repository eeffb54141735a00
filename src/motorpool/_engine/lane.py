"""The nodes of a run that go to one backend's workers: sent there, awaited, and what follows.

    ledger --next nodes-> transport --submit--> executor
        ^                                          |  done callback
        |                                          v
        +--- completed, failed, lost --- lane <--- the engine's queue of futures

What follows from an outcome is in `ledger`, what to do when something breaks in `aftermath`.
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, Any

from motorpool._engine import breaches
from motorpool._engine.aftermath import Aftermath
from motorpool._engine.batches import Batches
from motorpool._engine.deadlines import Deadlines
from motorpool._engine.flights import Flights
from motorpool._engine.transport import POLL_INTERVAL
from motorpool._engine.watchdog import Watchdog
from motorpool._protocol.messages import MANY, OFTEN, Item
from motorpool.backend import Isolation
from motorpool.errors import MotorpoolError, WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from motorpool._engine.pool import Pool
    from motorpool._engine.transport import Transport
    from motorpool._engine.work import Work
    from motorpool._protocol.messages import Outcome

# A worker that has one envelope waiting never idles for the length of a round trip (50 us here).
_IN_FLIGHT_PER_WORKER = 2


class Lane:
    """The nodes of a run that go to one backend's workers.

    Args:
        number: What the scheduler knows it by.
        pool: Where the workers are.
        transport: How nodes get there.
        work: The run.
        on_done: Called with each future that is done.
    """

    def __init__(
        self, number: int, pool: Pool, transport: Transport, work: Work,
        on_done: Callable[[Future[Any]], None],
    ) -> None:  # fmt: skip
        self._number, self._pool, self._transport = number, pool, transport
        ledger, nodes = work.ledger, work.nodes
        self._ledger, self._nodes = ledger, nodes
        self._report, self._fetch, self._on_done = work.report, work.fetch, on_done
        self._flights = Flights()
        self._tickets = itertools.count(1)
        self._deadlines = Deadlines(transport, work.policy.timeouts_of(nodes))
        self._aftermath = Aftermath(
            pool=pool, transport=transport, ledger=ledger, nodes=nodes,
            policy=work.policy, report=work.report, flights=self._flights,
            deadlines=self._deadlines,
        )  # fmt: skip
        self._watchdog = Watchdog(pool, transport, self._flights)
        self._recovery = self._aftermath.recovery
        in_process = pool.backend.capabilities.isolation.in_process
        self._runs_here = pool.backend.capabilities.isolation is Isolation.NONE
        # Of several nodes, only a status table shows which one broke a worker.
        tracked = transport.tracks_starts or in_process
        self._batches = Batches(
            nodes, ledger.scheduler, number, pool.max_workers, one_by_one=not tracked,
            expected=work.expected,
        )  # fmt: skip
        self._limit = pool.max_workers * (1 if in_process else _IN_FLIGHT_PER_WORKER)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way."""
        return bool(self._flights)

    @property
    def has_unstarted(self) -> bool:
        """Whether workers have left nodes alone whose fate is open."""
        return bool(self._aftermath.unstarted)

    def running(self) -> list[tuple[int, float | None]]:
        """The nodes that run, and since when (s, of `time.monotonic`).

        Where that is not known, those that may run, and None.
        """
        found: list[tuple[int, float | None]] = []
        for nodes in filter(None, self._flights.each()):
            if not self._transport.knows_running:
                found.append((nodes[0], None))
                continue
            stamps = ((node, self._transport.running(node)) for node in nodes)
            at = next(((node, s.time) for node, s in stamps if s is not None), None)
            found += [] if at is None else [at]
        return found

    def fill(self) -> None:
        """Keep enough envelopes in flight; a suspect of a crash flies alone."""
        if self._ledger.stopping:
            self._aftermath.stop()
        if self._aftermath.unstarted:
            self._aftermath.let_go()
        while not self._ledger.stopping and not self._aftermath.unstarted:
            if len(self._flights) >= (1 if self._recovery.on_trial else self._limit):
                break
            nodes = self._next()
            if not nodes:
                break
            self._submit(nodes)
        waiting = len(self._flights) > self._pool.max_workers
        self._transport.press(waiting=waiting or self._ledger.scheduler.ready(self._number) > 0)

    def _next(self) -> list[int]:
        """The nodes of the next envelope; none if none is ready."""
        while (suspect := self._recovery.next_suspect()) is not None:
            if self._ledger.scheduler.is_cut_off(suspect):
                self._ledger.give_up(suspect, "it needs a node that failed")
            elif nodes := self._ledger.scheduler.redo(suspect):
                return nodes
            self._recovery.end_trial([suspect])  # nothing was tried
        return self._batches.next()

    def _submit(self, nodes: list[int]) -> None:
        executor = self._pool.executor
        needs = self._ledger.scheduler.needs(nodes)
        items = [
            Item(node, next(self._tickets), *self._ledger.begin(node), before)
            for node, before in zip(nodes, needs, strict=True)
        ]
        problem = None if self._fetch is None else self._fetch(nodes)
        if problem is not None:
            self._not_sent(nodes, *problem)
            return
        if self._runs_here:
            self._announce(nodes[0])
        try:
            future = breaches.submitted(
                lambda: self._transport.submit(executor, items), *self._names(nodes[0])
            )
        except BrokenExecutor as error:
            self._aftermath.take_back(nodes)
            self._recover(error)
            return
        except MotorpoolError as error:
            self._not_sent(nodes, nodes[0], error)
            return
        self._flights.add(future, {item.node: item.ticket for item in items})
        future.add_done_callback(self._done)
        for node in nodes:
            self._deadlines.watch(node)

    def _not_sent(self, nodes: list[int], node: int, error: BaseException) -> None:
        """One of the nodes of an envelope fails, before any of them has started."""
        self._aftermath.take_back([n for n in nodes if n != node], started=False)
        self._aftermath.raised(node, error)

    def _announce(self, node: int) -> None:
        """Say that a node runs in this very thread, in which nothing can be said meanwhile."""
        if self._report.progress_due() is not None:
            self._report.progress(self._ledger.counts, [(node, time.monotonic())])

    def _done(self, future: Future[Any]) -> None:
        """Note how workers have ended, before their pool takes the others down; on its thread."""
        if not future.cancelled() and (error := future.exception()) is not None:
            self._pool.witness(error)
        self._on_done(future)

    def _names(self, node: int) -> tuple[str, str]:
        return self._pool.backend.name, self._nodes[node].name

    def keep_house(self) -> bool:
        """What is due now and then, and not because of a future; true if that changed anything."""
        self._deadlines.enforce(self._pool)
        if self._transport.tracks_starts and self._recovery.memory.is_due():
            self._recovery.memory.look(self._pool.worker_pids())
        changed = self._look(self._poll_interval())
        loss = self._watchdog.look()
        if loss is not None:
            self._aftermath.lost(loss)
        return changed or loss is not None

    def pause(self) -> float | None:
        """Seconds until there is something to look at, other than an outcome."""
        polling = self._poll_interval() if self._transport.tracks_starts else None
        pauses = (self._deadlines.pause(), polling, self._watchdog.pause())
        known = [pause for pause in pauses if pause is not None]
        return min(known, default=None)

    def _poll_interval(self) -> float:
        """Seconds between two looks at the outcomes that workers publish."""
        return OFTEN if self._flights.most > MANY else POLL_INTERVAL

    def land(self, future: Future[Any]) -> bool:
        """Deal with a future that is done; false if it is none of this lane's.

        As one that says that a signal has come, or of an executor that has been replaced.
        """
        if self._flights.get(future) is None:
            return False
        error = None if future.cancelled() else future.exception()
        if future.cancelled():
            self._aftermath.cancelled(self._leave(future))
        elif error is None:
            self._returned(future)
        elif not isinstance(error, BrokenExecutor):
            self._call_failed(future, error)
        elif self._aftermath.killed:
            self._aftermath.give_up(self._leave(future))
        else:
            self._recover(error)
        return True

    def _call_failed(self, future: Future[Any], error: BaseException) -> None:
        """An envelope has no result, and the executor works on."""
        self._look()  # what its worker has published is not lost
        nodes = self._flights.land(future)
        if isinstance(error, WorkerCrashedError):
            self._aftermath.crashed(nodes, error.pid, error.exitcode)
        else:
            self._aftermath.call_failed(nodes, error)
        for node in nodes:
            self._deadlines.forget(node)

    def _leave(self, future: Future[Any]) -> list[int]:
        """An envelope is over, and its worker lives; return what has no outcome."""
        nodes = self._flights.land(future)
        for node in nodes:
            self._recovery.landed(node)
            self._deadlines.forget(node)
        return nodes

    def _returned(self, future: Future[Any]) -> None:
        result = future.result()
        if not isinstance(result, self._transport.result_type):
            first, *others = self._leave(future)
            self._aftermath.take_back(others)
            self._aftermath.raised(first, breaches.wrong_result(*self._names(first), result))
            return
        outcomes = self._transport.settle(result, self._flights.settle)
        left = self._leave(future)
        self._aftermath.take_back(left, started=False)  # first, for these may need what has failed
        for outcome in outcomes:
            self._settle(outcome)

    def _look(self, interval: float = 0.0) -> bool:
        """Handle outcomes published ahead of their envelopes; return whether there were any."""
        results = self._transport.poll(interval)
        for result in results:
            for outcome in self._transport.settle(result, self._flights.settle):
                self._settle(outcome)
        return bool(results)

    def _settle(self, outcome: Outcome) -> None:
        node = outcome.node
        self._pool.has_worked = True
        self._recovery.landed(node)
        self._deadlines.forget(node)
        if not outcome.ran:
            self._aftermath.unstarted.append(node)
            return
        self._ledger.meter.add(outcome)
        self._batches.measured(node, outcome.seconds)
        starved = self._recovery.ran_alone(node)
        if isinstance(outcome.failure, BaseException):
            self._aftermath.raised(node, outcome.failure, outcome.pid)
            return
        self._ledger.completed(outcome)
        if starved:
            self._limit = self._recovery.fewer(self._limit, self._nodes[node].name)

    def _recover(self, error: BrokenExecutor) -> None:
        """A pool broke, and all that was in flight with it."""
        executor = self._pool.executor
        for future in self._recovery.drain(self._flights.futures(), error):
            self.land(future)
        self._look()
        self._aftermath.recover(executor, self._flights.clear())

    def stop(self) -> None:
        """Start nothing more, whatever becomes of the run."""
        self._transport.stop()
        self._aftermath.cancel_queued()

    def kill(self) -> None:
        """End the workers, whatever they do."""
        self._pool.kill()
