"""Drives the scheduler with a backend's executor, until nothing is left to run.

    ledger --next node--> transport --submit--> executor
        ^                                             |  done callbacks
        |                                             v
        +--- completed, failed, lost --- engine <--- one queue of futures

The loop waits on one queue, never on all futures: its cost does not grow with what is in flight.
What follows from an outcome is in `_ledger`, what to do when something breaks in `_recovery`.
"""

from __future__ import annotations

import time
from concurrent.futures import BrokenExecutor, Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from motorpool._crash import noted
from motorpool._deadlines import Deadlines
from motorpool._interrupts import Interrupts
from motorpool._logs import POLL_INTERVAL
from motorpool._recovery import Death, Recovery
from motorpool.backend import Isolation
from motorpool.errors import NodeError, WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from motorpool._ledger import Ledger
    from motorpool._policy import Policy
    from motorpool._pool import Pool
    from motorpool._report import Reporter
    from motorpool._task import Outcome
    from motorpool._transport import Transport

# A worker that has one node waiting never idles for the length of a round trip (50 us here).
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
        self._nodes, self._policy, self._report = nodes, policy, report
        self.ledger = ledger
        self._flights: dict[Future[Any], int] = {}
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._killed = False
        self._recovery = Recovery(pool, transport)
        self._deadlines = Deadlines(transport, [policy.timeout_of(node) for node in nodes])
        isolation = pool.backend.capabilities.isolation
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
                self._cancel_queued()
                self._pool.kill()
                raise

    def _fill(self) -> None:
        """Keep enough nodes in flight; a suspect of a crash flies alone."""
        if self.ledger.unstarted:
            self._let_go()
        while not self.ledger.stopping and not self.ledger.unstarted:
            if len(self._flights) >= (1 if self._recovery.on_trial else self._limit):
                return
            node = self._recovery.next_suspect()
            if node is None and (node := self.ledger.scheduler.pop()) is None:
                return
            self._submit(node)

    def _let_go(self, *, retried: bool = False) -> None:
        """Deal with nodes that no worker started, once the failure that kept them is known."""
        if not self.ledger.stopping:
            if self._flights and not retried:
                return
            self._transport.go_on()  # else that failure was lost with its worker
        unstarted, self.ledger.unstarted = self.ledger.unstarted, []
        for node in unstarted:
            self._take_back(node)

    def _submit(self, node: int) -> None:
        executor = self._pool.executor
        attempt, holds = self.ledger.begin(node)
        try:
            future = self._transport.submit(executor, node, attempt, holds=holds)
        except BrokenExecutor as error:
            self._take_back(node)
            self._recover(executor, error)
            return
        self._flights[future] = node
        future.add_done_callback(self._done.put)
        self._deadlines.watch(node)

    def _wait(self) -> None:
        """Deal with at least one outcome, or with what the clock brings."""
        due = self.ledger.attempts.next_due
        if not self._flights and due is None:
            self.ledger.scheduler.check_alive()
            return
        try:
            self._land(self._done.get(timeout=self._pause(due)))
            while True:
                self._land(self._done.get_nowait())
        except Empty:
            pass
        self._deadlines.enforce(self._pool)
        self.ledger.wake(time.monotonic())
        if self._transport.has_journal and self._recovery.memory.is_due():
            self._recovery.memory.look(self._pool.worker_pids())
        self._transport.poll()
        self._report.flush()

    def _pause(self, due: float | None) -> float | None:
        """Seconds until there is something to look at, other than an outcome."""
        waking = None if due is None else max(0.0, due - time.monotonic())
        polling = POLL_INTERVAL if self._transport.has_journal else None
        known = [p for p in (self._deadlines.pause(), polling, waking) if p is not None]
        return min(known, default=None)

    def _land(self, future: Future[Any]) -> None:
        node = self._flights.pop(future, None)
        if node is None:  # a signal has come; or of an executor that has been replaced
            return
        self._deadlines.forget(node)
        if future.cancelled():
            self._recovery.landed(node)
            self._cancelled(node)
            return
        error = future.exception()
        if not isinstance(error, BrokenExecutor | WorkerCrashedError):
            self._recovery.landed(node)
        if error is None:
            for outcome in self._transport.settle(future.result()):
                self._settle(outcome)
        elif isinstance(error, WorkerCrashedError):
            self._crashed(node, error.pid, error.exitcode)
        elif isinstance(error, BrokenExecutor) and self._killed:
            self._give_up(node)
        elif isinstance(error, BrokenExecutor):
            self._flights[future] = node
            self._recover(self._pool.executor, error)
        else:  # the worker could not even begin
            self._raised(node, error)

    def _settle(self, outcome: Outcome) -> None:
        node = outcome.node
        self.ledger.meter.add(outcome)
        if not outcome.ran:
            self.ledger.unstarted.append(node)
            return
        starved = self._recovery.ran_alone(node)
        if isinstance(outcome.failure, BaseException):
            self._raised(node, outcome.failure, outcome.pid)
            return
        self.ledger.completed(outcome)
        if starved:
            self._limit = self._recovery.fewer(self._limit, self._nodes[node].name)

    def _raised(self, node: int, error: BaseException, pid: int | None = None) -> None:
        self._failed(node, noted(error, self._nodes[node].name, self._pool.backend.name, pid))

    def _failed(self, node: int, error: BaseException) -> None:
        """Try again, or fail for good and do as the policy says."""
        if self.ledger.failed(node, error, time.monotonic()):
            self._stop(f"the node {self._nodes[node].name!r} failed")
        elif self.ledger.attempts.may_stop(node) and not self.ledger.stopping:
            self._let_go(retried=True)

    def _stop(self, reason: str) -> None:
        """Start nothing new, cancel what is queued; and, if so wished, end what is running."""
        if self.ledger.stopping:
            return
        self._transport.stop()
        self.ledger.stop(reason, self._recovery.drop_suspects())
        self._cancel_queued()
        self._killed = self._policy.on_failure == "kill"
        if self._killed:
            self._pool.kill()

    def _cancel_queued(self) -> None:
        """Keep what has not started from starting, where workers cannot be told so."""
        # And a ProcessPoolExecutor that breaks leaves futures unanswered if others are cancelled.
        if self._transport.has_journal and self._pool.backend.capabilities.restarts:
            return
        for future in list(self._flights):
            future.cancel()

    def _cancelled(self, node: int) -> None:
        if self.ledger.stopping:
            self._give_up(node)
        else:
            text = "The executor cancelled the node; somebody else may have shut it down."
            self._raised(node, NodeError(text))

    def _give_up(self, node: int) -> None:
        """A node was queued when the run stopped, or was killed with it."""
        reason = "the run was stopped while it ran" if self._killed else self.ledger.stopping
        self.ledger.give_up(node, reason)

    def _crashed(
        self, node: int, pid: int | None, exitcode: int | None, *, alone: bool = False
    ) -> None:
        """A worker died in this node, and in no other."""
        if self._killed:
            self._give_up(node)
            return
        timed_out = self._deadlines.take_expired(node)
        if not timed_out and (
            pid in self._deadlines.killed or not self._transport.may_have_started(node)
        ):
            # It died for the node before, or while it was idle; this one was on its way.
            self._recovery.count_restart()
            self._lost(pid, [node])
            return
        death = Death(
            pid=pid, exitcode=exitcode, alone=alone or self._recovery.is_on_trial(node),
            limit=self._policy.timeout_of(self._nodes[node]) if timed_out else None,
            starved=not timed_out and self._recovery.memory.take_kill(exitcode),
        )  # fmt: skip
        self._recovery.landed(node)
        self._condemned(node, death)

    def _condemned(self, node: int, death: Death) -> None:
        """It is known who did it, and how."""
        name = self._nodes[node].name
        if death.starved and not death.alone and not self.ledger.stopping:
            self._report.lost(death.pid, None, [node], starved=True)
            self.ledger.take_back(node, queue=False)
            self._recovery.try_alone(node, name)
            return
        self._transport.abandon(node)
        self._report.lost(death.pid, node, [], starved=death.starved)
        self._failed(node, self._recovery.error(name, death))

    def _recover(self, broken: Executor, error: BrokenExecutor) -> None:
        """A pool broke, and all that was in flight with it: find out who did it."""
        for future in self._recovery.drain(self._flights, error):
            self._land(future)
        lost = sorted(self._flights.values())
        self._flights.clear()
        for node in lost:
            self._deadlines.forget(node)
        if self.ledger.stopping:  # nothing is run again
            if self._pool.backend.capabilities.restarts:
                self._recovery.replace(broken)
            for node in lost:
                self._give_up(node)
            return
        verdict = self._recovery.investigate(broken, lost, self._deadlines)
        self._lost(None, verdict.innocent)
        if verdict.suspects:
            self._report.lost(None, None, verdict.suspects, starved=verdict.starved)
        for node in verdict.suspects:
            self.ledger.take_back(node, queue=False)
        for node, pid, exitcode in verdict.guilty:
            self._crashed(node, pid, exitcode, alone=verdict.alone)

    def _lost(self, pid: int | None, innocent: list[int]) -> None:
        """Run nodes again that were lost through no fault of their own."""
        if innocent:
            self._report.lost(pid, None, innocent, starved=False)
        for node in innocent:
            self._take_back(node)

    def _take_back(self, node: int) -> None:
        self.ledger.take_back(node, queue=not self.ledger.stopping)
        if self.ledger.stopping:
            self._give_up(node)
