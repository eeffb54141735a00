"""Drives the scheduler with a backend's executor, until nothing is left to run.

    scheduler --next node--> transport --submit--> executor
        ^                                             |  done callbacks
        |                                             v
        +--- done, fail, requeue --- engine <--- one queue of futures

The loop waits on one queue, never on all futures, so that its cost does not grow with what is in
flight. What to do when something breaks is in `_recovery`.
"""

from __future__ import annotations

import time
from concurrent.futures import BrokenExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from motorpool._crash import noted, timeout_error
from motorpool._logs import POLL_INTERVAL
from motorpool._recovery import Deadlines, Recovery
from motorpool._report import Meter
from motorpool._scheduler import Scheduler
from motorpool.errors import NodeError, WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor, Future

    from motorpool._graph import Graph
    from motorpool._policy import Policy
    from motorpool._pool import Pool
    from motorpool._report import Reporter
    from motorpool._scheduler import Lifetimes
    from motorpool._task import Outcome
    from motorpool._transport import Transport

# A worker that has one node waiting never idles for the length of a round trip (50 us here).
_IN_FLIGHT_PER_WORKER = 2


class Engine:
    """One run.

    Args:
        pool: Where the workers are.
        transport: How nodes get there.
        nodes: The nodes, in a topological order.
        graph: Who waits for whom, by position in `nodes`.
        lifetimes: Who still needs which dataset.
        policy: What to do when a node fails.
        report: Tells observers.
    """

    def __init__(
        self, *, pool: Pool, transport: Transport, nodes: Sequence[Any], graph: Graph,
        lifetimes: Lifetimes, policy: Policy, report: Reporter,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._transport = transport
        self._nodes = nodes
        self._lifetimes = lifetimes
        self._policy = policy
        self._report = report
        self.scheduler = Scheduler(graph)
        self.failures: dict[int, BaseException] = {}
        self.meter = Meter()
        self._attempts = [0] * len(nodes)
        self._flights: dict[Future[Any], int] = {}
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._stopping = False
        self._killed = False
        self._recovery = Recovery(pool, transport)
        self._deadlines = Deadlines(transport, [policy.timeout_of(node) for node in nodes])
        in_process = pool.backend.capabilities.isolation.in_process
        self._limit = pool.max_workers * (1 if in_process else _IN_FLIGHT_PER_WORKER)

    def run(self) -> None:
        """Run until every node is done, failed or skipped.

        Raises:
            BackendError: If the executor cannot be kept going.
        """
        try:
            while self.scheduler.unfinished:
                self._fill()
                self._wait()
        except BaseException:
            self._transport.stop()
            self._cancel_queued()
            self._pool.kill()
            raise

    def _fill(self) -> None:
        """Keep enough nodes in flight; a suspect of a crash flies alone."""
        while not self._stopping:
            limit = 1 if self._recovery.on_trial else self._limit
            if len(self._flights) >= limit:
                return
            node = self._recovery.next_suspect()
            if node is None and (node := self.scheduler.pop()) is None:
                return
            self._submit(node)

    def _submit(self, node: int) -> None:
        executor = self._pool.executor
        self._attempts[node] += 1
        self._report.submitted(node, self._attempts[node])
        try:
            future = self._transport.submit(executor, node)
        except BrokenExecutor:
            self._uncharged(node)
            self._recover(executor)
            return
        self._flights[future] = node
        future.add_done_callback(self._done.put)
        self._deadlines.watch(node)

    def _wait(self) -> None:
        """Deal with at least one outcome, or with what the clock brings."""
        if not self._flights:
            self.scheduler.check_alive()
            return
        pause = self._deadlines.pause()
        if self._transport.has_journal:
            pause = min(POLL_INTERVAL, POLL_INTERVAL if pause is None else pause)
        try:
            self._land(self._done.get(timeout=pause))
            while True:
                self._land(self._done.get_nowait())
        except Empty:
            pass
        self._expire()
        self._transport.poll()

    def _land(self, future: Future[Any]) -> None:
        node = self._flights.pop(future, None)
        if node is None:  # of an executor that has been replaced
            return
        self._deadlines.forget(node)
        if future.cancelled():
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
        elif isinstance(error, BrokenExecutor):
            self._flights[future] = node
            self._recover(self._pool.executor)
        else:  # the worker could not even begin
            self._failed(node, self._noted(error, node, None))

    def _settle(self, outcome: Outcome) -> None:
        node = outcome.node
        self.meter.add(outcome)
        if not outcome.ran:
            self._give_up(node)
            return
        if isinstance(outcome.failure, BaseException):
            self._failed(node, self._noted(outcome.failure, node, outcome.pid))
            return
        self.scheduler.done(node)
        self._report.completed(outcome, self._attempts[node])
        self._release(node)

    def _noted(self, error: BaseException, node: int, pid: int | None) -> BaseException:
        return noted(error, self._nodes[node].name, self._pool.backend.name, pid)

    def _failed(self, node: int, error: BaseException) -> None:
        """Try again, or fail for good and do as the policy says."""
        retries = self._policy.retries_of(self._nodes[node])
        again = self._attempts[node] <= retries and not self._stopping
        self._report.failed(node, self._attempts[node], error, retried=again)
        if again:
            self.scheduler.requeue(node)
            return
        self.failures[node] = error
        name = self._nodes[node].name
        self._skip(self.scheduler.fail(node), f"it needs the node {name!r}, which failed")
        self._release(node)
        if self._policy.on_failure != "continue":
            self._stop(f"the node {name!r} failed")

    def _stop(self, reason: str) -> None:
        """Start nothing new, cancel what is queued; and, if so wished, end what is running."""
        if self._stopping:
            return
        self._stopping = True
        self._transport.stop()
        for suspect in self._recovery.drop_suspects():
            self._skip(self.scheduler.skip(suspect), reason)
        self._skip(self.scheduler.stop(), reason)
        self._cancel_queued()
        if self._policy.on_failure == "kill":
            self._killed = True
            self._pool.kill()

    def _cancel_queued(self) -> None:
        for future in list(self._flights):
            future.cancel()

    def _skip(self, nodes: list[int], reason: str) -> None:
        for node in nodes:
            self._report.skipped(node, reason)
            self._release(node)

    def _cancelled(self, node: int) -> None:
        if self._stopping:
            self._give_up(node)
        else:
            error = NodeError(
                "The executor cancelled the node; somebody else may have shut it down."
            )
            self._failed(node, self._noted(error, node, None))

    def _give_up(self, node: int) -> None:
        """A node was queued when the run stopped, or was killed with it."""
        reason = "the run was stopped while it ran" if self._killed else "the run was stopped"
        self._skip(self.scheduler.skip(node), reason)

    def _release(self, node: int) -> None:
        for name in self._lifetimes.settle(node):
            if self._transport.release(name):
                self._report.released(name)

    def _crashed(self, node: int, pid: int | None, exitcode: int | None) -> None:
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
            self._lost(pid, None, [node])
            return
        self._recovery.landed(node)
        self._transport.abandon(node)
        self._lost(pid, node, [])
        name, backend = self._nodes[node].name, self._pool.backend.name
        if timed_out:
            limit = self._policy.timeout_of(self._nodes[node])
            self._failed(node, timeout_error(node=name, backend=backend, pid=pid, limit=limit))
        else:
            self._failed(node, self._recovery.crash(name, pid, exitcode))

    def _recover(self, broken: Executor) -> None:
        """A pool broke, and all that was in flight with it: find out who did it."""
        for future in self._recovery.drain(self._flights):
            self._land(future)
        lost = sorted(self._flights.values())
        self._flights.clear()
        for node in lost:
            self._deadlines.forget(node)
        if self._killed or self._stopping:
            self._finish_stopped(broken, lost)
            return
        verdict = self._recovery.investigate(broken, lost, self._deadlines)
        self._lost(None, None, verdict.innocent)
        for node in verdict.suspects:
            self._attempts[node] -= 1
            self._transport.abandon(node)
        for node, pid, exitcode in verdict.guilty:
            self._crashed(node, pid, exitcode)

    def _finish_stopped(self, broken: Executor, lost: list[int]) -> None:
        """The pool broke after the run had stopped: nothing is run again."""
        if not self._killed and self._pool.backend.capabilities.restarts:
            self._recovery.replace(broken)
        for node in lost:
            self._give_up(node)

    def _lost(self, pid: int | None, culprit: int | None, innocent: list[int]) -> None:
        self._report.lost(pid, culprit, innocent)
        for node in innocent:
            self._uncharged(node)

    def _uncharged(self, node: int) -> None:
        """Run a node again that was lost through no fault of its own."""
        self._transport.abandon(node)
        self._attempts[node] -= 1
        if self._stopping:
            self._give_up(node)
        else:
            self.scheduler.requeue(node)

    def _expire(self) -> None:
        """End the workers of nodes that are past their deadline."""
        for started in self._deadlines.due(time.time()):
            try:
                self._pool.backend.kill_worker(self._pool.executor, started.pid)
            except ProcessLookupError:
                continue
