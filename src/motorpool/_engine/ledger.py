"""What has become of each node, and what follows from it for the others.

completed --> children ready, inputs released
failed ----> a pause and another try, or the end: dependents skipped, and maybe the run stopped
skipped ---> inputs released
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._engine.policy import Attempts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._engine.exchange import Values
    from motorpool._engine.policy import Policy
    from motorpool._engine.recorder import Meter, Reporter
    from motorpool._engine.scheduler import Lifetimes, Scheduler
    from motorpool._engine.stretches import Stretches
    from motorpool._protocol.messages import Outcome


class Ledger:
    """Keeps the books of one run.

    Args:
        nodes: The nodes, in a topological order.
        scheduler: Who may run, by position in `nodes`.
        stretches: Who hands what to whom.
        lifetimes: Who still needs which dataset.
        policy: What to do when a node fails.
        report: Calls the observers.
        values: Holds the data.
        meter: Adds up what nodes have taken.

    Attributes:
        failures: The error of each node that failed for good.
        stopping: Why nothing new is started, once that is so.
    """

    def __init__(
        self, *, nodes: Sequence[Any], scheduler: Scheduler, stretches: Stretches,
        lifetimes: Lifetimes, policy: Policy, report: Reporter, values: Values, meter: Meter,
    ) -> None:  # fmt: skip
        self.scheduler = scheduler
        self.attempts = Attempts(nodes, policy)
        self.failures: dict[int, BaseException] = {}
        self.meter = meter
        self._completed = 0
        self.stopping = ""
        self._nodes = nodes
        self._stretches = stretches
        self._loose: dict[int, int] = {}  # node to one before it: only its worker has the values
        self._lifetimes = lifetimes
        self._policy = policy
        self._report = report
        self._values = values

    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of nodes that are through; of these, that have run, and that have failed."""
        through = len(self._nodes) - self.scheduler.unfinished
        return through, self._completed, len(self.failures)

    def begin(self, node: int) -> tuple[int, bool]:
        """A node is on its way to a worker.

        Returns:
            Which try it is, and whether a failure of it may stop the run.
        """
        attempt = self.attempts.begin(node)
        self._report.submitted(node, attempt)
        return attempt, self.attempts.may_stop(node)

    def completed(self, outcome: Outcome) -> None:
        """A node has run."""
        node = outcome.node
        self.scheduler.done(node)
        self._completed += 1
        self._report.completed(outcome, self.attempts[node], self.meter.timeline)
        if any(name not in outcome.outputs for name in self._stretches.handed[node]):
            self._loose[self._stretches.following[node]] = node
        else:
            self._release(node)

    def failed(self, node: int, error: BaseException, now: float) -> bool:
        """A try has failed: try again, or fail for good.

        Args:
            node: Which one.
            error: Why.
            now: Seconds, of the clock that `wake` uses.

        Returns:
            Whether the run is to stop.
        """
        pause = None if self.stopping else self.attempts.pause_after(node, error)
        self._report.failed(node, self.attempts[node], error, retried=pause is not None)
        if pause is not None:
            self.attempts.park(node, now + pause)
            self.wake(now)
            return False
        self.failures[node] = error
        name = self._nodes[node].name
        self.skip(self.scheduler.fail(node), f"it needs the node {name!r}, which failed")
        self._release(node)
        return self._policy.on_failure != "continue"

    def wake(self, now: float) -> None:
        """Let nodes whose pause is over run again."""
        for node in self.attempts.due(now):
            self.scheduler.requeue(node)

    def stop(self, reason: str) -> None:
        """Skip everything that is not on its way, and say why."""
        self.stopping = reason
        for node in self.attempts.drop():
            self.skip(self.scheduler.skip(node), f"{reason}, before it was tried again")
        self.skip(self.scheduler.stop(), reason)

    def skip(self, nodes: Sequence[int], reason: str) -> None:
        """Nodes will not run."""
        for node in nodes:
            self._report.skipped(node, reason)
            self._release(node)

    def give_up(self, node: int, reason: str) -> None:
        """A node was on its way, and comes to nothing."""
        self.skip(self.scheduler.skip(node), reason)

    def take_back(self, node: int, *, started: bool = True, queue: bool = True) -> list[int]:
        """A try was lost through no fault of the node; if the run is stopping, that is its end.

        Args:
            node: Which one.
            started: Whether it may have left something behind.
            queue: Whether it goes back among those that are ready.

        Returns:
            The nodes before it that have to run again, for their values were with the worker.
        """
        if started:
            self.abandon(node)
        self.attempts.uncharge(node)
        if self.stopping:
            self.give_up(node, self.stopping)
            return []
        undone, behind = [], node
        while (before := self._loose.pop(behind, None)) is not None:
            undone.append(before)
            behind = before
        for before in reversed(undone):
            self.attempts.uncharge(before)
            self.scheduler.undo(before)
            self._completed -= 1
        if self.scheduler.is_cut_off(node):  # since it left with the one before it
            self.give_up(node, "it needs a node that failed")
        elif queue:
            self.scheduler.requeue(node)
        return undone

    def abandon(self, node: int) -> None:
        """Give up what a try of a node has left, and what it was handed by the nodes before."""
        self._values.abandon(node)
        before = self._loose.get(node)
        while before is not None:
            self._values.abandon(before, handed=True)
            before = self._loose.get(before)

    def _release(self, node: int) -> None:
        """Give back what a node has read, and those of its stretch whose values it had."""
        settled: int | None = node
        while settled is not None:
            for name in self._lifetimes.settle(settled):
                if self._values.release(name):
                    self._report.released(name)
            settled = self._loose.pop(settled, None)
