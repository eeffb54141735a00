"""What follows when a node fails, or its worker dies: try again, run alone, give up, stop.

raised ---> failed --> another try, or the end and what the policy says of the others
crashed --> who did it? --> the guilty: failed; the innocent: run again, at no charge
recover --> a whole pool is lost: the same for all that was in flight, on a new one
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from motorpool._engine.crash_errors import end_of, noted
from motorpool._engine.recovery import Death, Recovery, ended_by_itself
from motorpool._system.activity import ends
from motorpool._system.exceptions import add_note
from motorpool.errors import BackendError, NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Executor

    from motorpool._engine.deadlines import Deadlines
    from motorpool._engine.flights import Flights
    from motorpool._engine.ledger import Ledger
    from motorpool._engine.policy import Policy
    from motorpool._engine.pool import Pool
    from motorpool._engine.recorder import Reporter
    from motorpool._engine.transport import Transport
    from motorpool._engine.watchdog import Loss


class Aftermath:
    """Deals with what goes wrong in one run.

    Args:
        pool: Where the workers are.
        transport: How nodes get there.
        ledger: What has become of each node.
        nodes: The nodes, in a topological order.
        policy: What to do when a node fails.
        report: Calls the observers.
        flights: What is under way.
        deadlines: Who has how long.

    Attributes:
        recovery: Finds culprits.
        unstarted: Nodes that a worker did not start, for another had failed, of which nothing is
            known here yet.
        killed: Whether running nodes were ended with the run.
    """

    def __init__(
        self, *, pool: Pool, transport: Transport, ledger: Ledger, nodes: Sequence[Any],
        policy: Policy, report: Reporter, flights: Flights, deadlines: Deadlines,
    ) -> None:  # fmt: skip
        self._pool, self._transport, self._ledger = pool, transport, ledger
        self._nodes, self._policy, self._report = nodes, policy, report
        self._flights, self._deadlines = flights, deadlines
        self.recovery = Recovery(pool, transport)
        self.unstarted: list[int] = []
        self.killed = False
        self._stopped = False

    def raised(self, node: int, error: BaseException, pid: int | None = None) -> None:
        """A node, or what a worker does around it, has raised an exception."""
        self._failed(node, noted(error, self._nodes[node].name, self._pool.backend.name, pid))

    def _failed(self, node: int, error: BaseException) -> None:
        """Try again, or fail for good and do as the policy says."""
        if self._ledger.failed(node, error, time.monotonic()):
            self._stop(f"the node {self._nodes[node].name!r} failed")
        elif self._ledger.attempts.may_stop(node) and not self._ledger.stopping:
            self.let_go(retried=True)

    def _stop(self, reason: str) -> None:
        """Stop the run."""
        if self._ledger.stopping:
            return
        self._transport.stop()
        self._ledger.stop(reason)
        self.stop()

    def stop(self) -> None:
        """Start nothing new, cancel what is queued; and, if so wished, end what is running."""
        if self._stopped:
            return
        self._stopped = True
        self._transport.stop()
        for node in self.recovery.drop_suspects():
            self._ledger.give_up(node, self._ledger.stopping)
        self.cancel_queued()
        self.killed = self._policy.on_failure == "kill"
        if self.killed:
            self._pool.kill()

    def cancel_queued(self) -> None:
        """Cancel what has not started, where there is no stop flag for workers."""
        # And a ProcessPoolExecutor that breaks leaves futures unanswered if others are cancelled.
        if self._transport.tracks_starts and self._pool.backend.capabilities.restarts:
            return
        for future in self._flights.futures():
            future.cancel()

    def let_go(self, *, retried: bool = False) -> None:
        """Deal with nodes that no worker started, once the failure that kept them is known."""
        if not self._ledger.stopping:
            if self._flights and not retried:
                return
            self._transport.go_on()  # else that failure was lost with its worker
        unstarted, self.unstarted = self.unstarted, []
        self.take_back(unstarted)

    def cancelled(self, nodes: Iterable[int]) -> None:
        """The executor has cancelled an envelope, because we asked it to or on its own."""
        if self._ledger.stopping:
            self.give_up(nodes)
            return
        for node in nodes:
            if self._ledger.scheduler.is_cut_off(node):
                self._ledger.give_up(node, "it needs a node that failed")
                continue
            text = "The executor cancelled the node; it may have been shut down from outside."
            self.raised(node, NodeError(text))

    def give_up(self, nodes: Iterable[int]) -> None:
        """Nodes were queued when the run stopped, or were killed with it."""
        for node in nodes:
            reason = "the run was stopped while it ran" if self.killed else self._ledger.stopping
            self._ledger.give_up(node, reason)

    def call_failed(self, nodes: Sequence[int], error: BaseException) -> None:
        """A call in a worker has failed, with an exception that is the executor's.

        That is how a pool says that the worker died, or that it could not even begin.

        Args:
            nodes: Those of the envelope that have no outcome.
            error: The exception.
        """
        at = next((node for node in nodes if self._transport.running(node) is not None), None)
        stamp = None if at is None else self._transport.running(at)
        if stamp is not None and (self._deadlines.has_expired(at) or ends(stamp.pid)):
            self.crashed(nodes, stamp.pid, self._pool.exitcode_of_dead(stamp.pid, error), error)
            return
        for node in nodes:
            self.recovery.landed(node)
        blamed = nodes[0] if at is None else at
        self.take_back([n for n in nodes if n != blamed], started=at is not None)
        self.raised(blamed, error)

    def crashed(
        self, nodes: Sequence[int], pid: int | None, exitcode: int | None,
        cause: BaseException | None = None,
    ) -> None:  # fmt: skip
        """A worker died, and these are the nodes of its envelope that have no outcome."""
        if self.killed:
            self.give_up(nodes)
            return
        culprit = self._culprit(nodes)
        others = [node for node in nodes if node != culprit]
        if culprit is None or (
            pid in self._deadlines.killed and not self._deadlines.has_expired(culprit)
        ):
            # It died for a node before, or while it was idle; these were on their way.
            self.recovery.count_restart()
            self._lost(pid, nodes)
            return
        alone = self.recovery.end_trial(nodes)
        started = [node for node in others if self._transport.may_have_started(node)]
        self.take_back([node for node in others if node not in started], started=False)
        self._lost(pid, started)
        self._charge(culprit, pid, exitcode, alone=alone, cause=cause)

    def lost(self, loss: Loss) -> None:
        """An executor has lost nodes, or the death of the worker that was at one."""
        backend, dead = self._pool.backend, loss.dead
        if dead is None:
            self._forget(self._flights.clear())
            self._pool.distrust()
            for node in loss.nodes:
                if self._ledger.scheduler.is_cut_off(node):
                    self._ledger.give_up(node, "it needs a node that failed")
                else:
                    self.raised(node, loss.breach(backend.name, self._nodes[node].name))
            return
        code = self._pool.exitcode_of_dead(dead.pid)
        nodes = self._flights.land(self._flights.of(loss.nodes[0]))
        others = self._flights.clear() if backend.capabilities.restarts else []
        self._forget([*nodes, *others])
        self._pool.distrust()
        self._lost(dead.pid, others)
        breach = loss.breach(backend.name, self._nodes[loss.nodes[0]].name)
        self.crashed(nodes, dead.pid, code, breach)

    def _forget(self, nodes: Iterable[int]) -> None:
        """Nodes are under way no more."""
        for node in nodes:
            self._deadlines.forget(node)
            self.recovery.landed(node)

    def _culprit(self, nodes: Sequence[int]) -> int | None:
        """The node that a worker was at when it died; of an envelope, it is at most one."""
        for node in nodes:
            if self._deadlines.has_expired(node):
                return node
        if not self._transport.tracks_starts:  # then each travels alone
            return nodes[0] if nodes else None
        for state in (self._transport.running, self._transport.finished):
            started = [node for node in nodes if state(node) is not None]
            if started:
                return started[-1]
        return None

    def _charge(
        self, node: int, pid: int | None, exitcode: int | None, *, alone: bool = False,
        cause: BaseException | None = None,
    ) -> None:  # fmt: skip
        """A worker died in this node, and in no other."""
        timed_out = self._deadlines.take_expired(node)
        death = Death(
            pid=pid, exitcode=exitcode, alone=alone, cause=cause,
            limit=self._deadlines.limits[node] if timed_out else None,
            starved=not timed_out and self.recovery.memory.take_kill(exitcode),
        )  # fmt: skip
        self.recovery.landed(node)
        self._condemned(node, death)

    def _condemned(self, node: int, death: Death) -> None:
        """It is known who did it, and how."""
        name = self._nodes[node].name
        if death.starved and not death.alone and not self._ledger.stopping:
            undone = self._ledger.take_back(node, queue=False)
            self._report.lost(death.pid, None, [*undone, node], starved=True)
            self.recovery.try_alone(node, name)
            return
        self._ledger.abandon(node)
        self._report.lost(death.pid, node, [], starved=death.starved)
        self._failed(node, self.recovery.error(name, death))

    def recover(self, broken: Executor, lost: list[int]) -> None:
        """A pool broke, and all that was in flight with it: find out who did it."""
        for node in lost:
            self._deadlines.forget(node)
        if self._ledger.stopping:  # nothing is run again
            if self._pool.backend.capabilities.restarts:
                self.recovery.replace(broken)
            self.give_up(lost)
            return
        try:
            verdict = self.recovery.investigate(broken, lost, self._deadlines)
        except BackendError as error:  # it is not ours, or breaks again and again
            self._name_running(lost, error)
            raise
        self._lost(None, verdict.innocent)
        undone = []
        for node in verdict.suspects:
            undone += self._ledger.take_back(node, queue=False)
        if verdict.suspects:
            again = [*undone, *verdict.suspects]
            self._report.lost(None, None, again, starved=verdict.starved)
        for node, pid, exitcode in verdict.guilty:
            self._charge(node, pid, exitcode, alone=verdict.alone)

    def _name_running(self, lost: Sequence[int], error: BackendError) -> None:
        """Note what an executor ran when it broke, or only who broke it, if that is known."""
        stamps = {node: self._transport.running(node) for node in lost}
        running = {self._nodes[n].name: s.pid for n, s in stamps.items() if s is not None}
        codes = {name: self._pool.exitcode(pid) for name, pid in running.items()}
        died = {name: code for name, code in codes.items() if ended_by_itself(code)}
        if died:
            ends = [f"the worker that ran {n!r} died: {end_of(code)}" for n, code in died.items()]
            add_note(error, f"It broke when {'; and '.join(ends)}")
        elif running:
            add_note(error, f"When it broke, it ran {', '.join(map(repr, running))}.")
        known = list(died or running)
        error.node = known[0] if len(known) == 1 else None

    def _lost(self, pid: int | None, innocent: Sequence[int]) -> None:
        """Run nodes again that were lost through no fault of their own."""
        if innocent:
            undone = self.take_back(innocent)
            self._report.lost(pid, None, [*undone, *innocent], starved=False)

    def take_back(self, nodes: Iterable[int], *, started: bool = True) -> list[int]:
        """Nodes have come to nothing, through no fault of their own: run them again.

        Args:
            nodes: Which ones.
            started: Whether they may have left something behind.

        Returns:
            Those before them that have to run again as well.
        """
        undone = []
        for node in nodes:
            undone += self._ledger.take_back(node, started=started)
        return undone
