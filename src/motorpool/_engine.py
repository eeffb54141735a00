"""Drives the scheduler with a backend's executor, until nothing is left to run.

    ledger --next nodes-> transport --submit--> executor
        ^                                             |  done callbacks
        |                                             v
        +--- completed, failed, lost --- engine <--- one queue of futures

The loop waits on one queue, never on all futures: its cost does not grow with what is in flight.
What follows from an outcome is in `_ledger`, what to do when something breaks in `_aftermath`.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from concurrent.futures import BrokenExecutor, Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from motorpool._aftermath import Aftermath
from motorpool._batches import Batches
from motorpool._deadlines import Deadlines
from motorpool._flights import Flights
from motorpool._interrupts import Interrupts
from motorpool._transport import POLL_INTERVAL, Item
from motorpool.backend import Isolation
from motorpool.errors import WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._ledger import Ledger
    from motorpool._policy import Policy
    from motorpool._pool import Pool
    from motorpool._report import Reporter
    from motorpool._task import Outcome
    from motorpool._transport import Transport

# A worker that has one envelope waiting never idles for the length of a round trip (50 us here).
_IN_FLIGHT_PER_WORKER = 2


class Engine:
    """One run.

    Args:
        pool: Where the workers are.
        transport: How nodes get there.
        ledger: What has become of each node.
        nodes: The nodes, in a topological order.
        policy: What to do when a node fails.
        report: Tells observers.
    """

    def __init__(
        self, *, pool: Pool, transport: Transport, ledger: Ledger, nodes: Sequence[Any],
        policy: Policy, report: Reporter,
    ) -> None:  # fmt: skip
        self._pool, self._transport = pool, transport
        self._nodes, self._report = nodes, report
        self.ledger = ledger
        self._flights = Flights()
        self._tickets = itertools.count(1)
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._deadlines = Deadlines(transport, [policy.timeout_of(node) for node in nodes])
        self._aftermath = Aftermath(
            pool=pool, transport=transport, ledger=ledger, nodes=nodes, policy=policy,
            report=report, flights=self._flights, deadlines=self._deadlines,
        )  # fmt: skip
        self._recovery = self._aftermath.recovery
        isolation = pool.backend.capabilities.isolation
        self._batches = Batches(  # of several nodes, only a journal tells which one broke a worker
            nodes, ledger.scheduler, pool.max_workers, one_by_one=not transport.has_journal
        )
        self._limit = pool.max_workers * (1 if isolation.in_process else _IN_FLIGHT_PER_WORKER)
        done = self._done  # a reference to this object would be a cycle, which keeps stores open
        self._interrupts = Interrupts(  # where nodes run in this thread, they are interrupted
            lambda: done.put(Future()), active=isolation is not Isolation.NONE
        )

    def run(self) -> None:
        """Run until every node is done, failed or skipped.

        Raises:
            BackendError: If the executor cannot be kept going.
        """
        with self._interrupts as interrupts:
            try:
                while self.ledger.scheduler.unfinished:
                    self._fill()
                    self._wait()
                    interrupts.check()
            except BaseException:
                self._transport.stop()
                self._aftermath.cancel_queued()
                self._pool.kill()
                raise

    def _fill(self) -> None:
        """Keep enough envelopes in flight; a suspect of a crash flies alone."""
        if self.ledger.attempts.next_due is not None:
            self.ledger.wake(time.monotonic())
        if self.ledger.unstarted:
            self._aftermath.let_go()
        while not self.ledger.stopping and not self.ledger.unstarted:
            if len(self._flights) >= (1 if self._recovery.on_trial else self._limit):
                break
            nodes = self._next()
            if not nodes:
                break
            self._submit(nodes)
        waiting = len(self._flights) > self._pool.max_workers or self.ledger.scheduler.ready > 0
        self._transport.press(waiting=waiting)

    def _next(self) -> list[int]:
        """The nodes of the next envelope; none if none is ready."""
        while (suspect := self._recovery.next_suspect()) is not None:
            if self.ledger.scheduler.is_cut_off(suspect):
                self.ledger.give_up(suspect, "it needs a node that failed")
            elif nodes := self.ledger.scheduler.redo(suspect):
                return nodes
            self._recovery.end_trial([suspect])  # nothing was tried
        return self._batches.next()

    def _submit(self, nodes: list[int]) -> None:
        executor = self._pool.executor
        items = [Item(node, next(self._tickets), *self.ledger.begin(node)) for node in nodes]
        try:
            future = self._transport.submit(executor, items)
        except BrokenExecutor as error:
            self._aftermath.take_back(nodes)
            self._recover(error)
            return
        self._flights.add(future, {item.node: item.ticket for item in items})
        future.add_done_callback(self._done.put)
        for node in nodes:
            self._deadlines.watch(node)

    def _wait(self) -> None:
        """Deal with at least one outcome, or with what the clock brings."""
        due = self.ledger.attempts.next_due
        if not self._flights and due is None:
            stopping = bool(self.ledger.stopping) and not self.ledger.unstarted
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
        self._report.flush()
        self._deadlines.enforce(self._pool)
        if self._transport.has_journal and self._recovery.memory.is_due():
            self._recovery.memory.look(self._pool.worker_pids())
        return self._look()

    def _pause(self, due: float | None) -> float | None:
        """Seconds until there is something to look at, other than an outcome."""
        waking = None if due is None else max(0.0, due - time.monotonic())
        polling = POLL_INTERVAL if self._transport.has_journal else None
        known = [p for p in (self._deadlines.pause(), polling, waking) if p is not None]
        return min(known, default=None)

    def _land(self, future: Future[Any]) -> None:
        if self._flights.get(future) is None:
            return  # a signal has come; or of an executor that has been replaced
        if future.cancelled():
            self._aftermath.cancelled(self._leave(future))
            return
        error = future.exception()
        if error is None:
            self._returned(future)
        elif isinstance(error, WorkerCrashedError):
            self._look(now=True)  # what it has told is not lost
            nodes = self._flights.land(future)
            self._aftermath.crashed(nodes, error.pid, error.exitcode)
            for node in nodes:
                self._deadlines.forget(node)
        elif not isinstance(error, BrokenExecutor):  # the worker could not even begin
            first, *others = self._leave(future)
            self._aftermath.take_back(others, started=False)
            self._aftermath.raised(first, error)
        elif self._aftermath.killed:
            self._aftermath.give_up(self._leave(future))
        else:
            self._recover(error)

    def _leave(self, future: Future[Any]) -> list[int]:
        """An envelope is over, and its worker lives; return what has no outcome."""
        nodes = self._flights.land(future)
        for node in nodes:
            self._recovery.landed(node)
            self._deadlines.forget(node)
        return nodes

    def _returned(self, future: Future[Any]) -> None:
        outcomes = self._transport.settle(future.result(), self._flights.settle)
        left = self._leave(future)
        self._aftermath.take_back(left, started=False)  # first, for these may need what has failed
        for outcome in outcomes:
            self._settle(outcome)

    def _look(self, *, now: bool = False) -> bool:
        """Deal with what workers have told while their envelopes are under way; was there any?"""
        results = self._transport.poll(now=now)
        for result in results:
            for outcome in self._transport.settle(result, self._flights.settle):
                self._settle(outcome)
        return bool(results)

    def _settle(self, outcome: Outcome) -> None:
        node = outcome.node
        self._recovery.landed(node)
        self._deadlines.forget(node)
        self.ledger.meter.add(outcome)
        if not outcome.ran:
            self.ledger.unstarted.append(node)
            return
        self._batches.measured(node, outcome.seconds)
        starved = self._recovery.ran_alone(node)
        if isinstance(outcome.failure, BaseException):
            self._aftermath.raised(node, outcome.failure, outcome.pid)
            return
        self.ledger.completed(outcome)
        if starved:
            self._limit = self._recovery.fewer(self._limit, self._nodes[node].name)

    def _recover(self, error: BrokenExecutor) -> None:
        """A pool broke, and all that was in flight with it."""
        executor = self._pool.executor
        for future in self._recovery.drain(self._flights.futures(), error):
            self._land(future)
        self._look(now=True)
        self._aftermath.recover(executor, self._flights.clear())
