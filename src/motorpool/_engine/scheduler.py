"""Decides what runs next, and what follows when something has run or failed.

A pure state machine: no process, no clock, no I/O. What happens is told to it by methods that are
named for events, here and in its parts; what is to be done about it is in `actions`, in order, for
the engine.

    event                      what becomes of the tasks              actions
    sending.*                  READY, WAITING, SUSPECTED -> SENT      ResumeWorkers
    completed, completed_all   SENT -> DONE                           Release
    failed                     SENT -> PAUSED or FAILED               TryFailed, Skipped, Release
    unstarted                  SENT -> HELD
    returned                   SENT -> READY, WAITING, SKIPPED        Skipped
    tick                       PAUSED -> READY, WAITING
    look_at_clock                                                     KillWorker
    stop                       all but SENT and what is over          StopWorkers, Skipped, Release
                               -> SKIPPED
    losses.*                   SENT -> READY, SUSPECTED, FAILED       WorkerLost, Abandon, RunAlone

Each unit that was sent is disposed of by exactly one of `returned` and the events of `losses`. An
outcome counts only if `claim` says so: it may be of a try that is over, or have come before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._engine import actions as do
from motorpool._engine.handovers import Handovers
from motorpool._engine.losses import Losses
from motorpool._engine.policy import Retries
from motorpool._engine.sending import Sending
from motorpool._engine.state import FAILED, HELD, PAUSED, SKIPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motorpool._engine.lanes import LaneState
    from motorpool._engine.lifetimes import Lifetimes
    from motorpool._engine.policy import Policy
    from motorpool._engine.state import Unit
    from motorpool._engine.stretches import Stretches
    from motorpool._engine.tasks import TaskTable
    from motorpool._engine.tokens import Tokens
    from motorpool._protocol.status import Started


class Scheduler:
    """One run.

    Args:
        nodes: The nodes, in a topological order.
        table: Their tasks.
        stretches: Which tasks hand values to the next one in the same worker.
        lifetimes: Who still needs which dataset.
        policy: What to do when a node fails.
        tokens: What there is of resources.

    Attributes:
        table: The same.
        lanes: What is under way, by lane; the engine fills it.
        actions: What is to be done; the engine does it, and clears the list.
        sending: Knows what goes out next.
        losses: Takes the events of lost workers.
        handovers: Knows what is nowhere but with a worker.
        retries: Which tasks are tried again, and when.
        failures: The error of each node that has failed for good.
        stopping: Why nothing new is started, once that is so.
        completed_count: Number of tasks that are done.
    """

    def __init__(
        self, nodes: Sequence[Any], table: TaskTable, stretches: Stretches, lifetimes: Lifetimes,
        policy: Policy, tokens: Tokens,
    ) -> None:  # fmt: skip
        self.table = table
        self.lanes: list[LaneState] = []
        self.actions: list[do.Action] = []
        self.failures: dict[int, BaseException] = {}
        self.stopping = ""
        self.completed_count = 0
        self._names = [node.name for node in nodes]
        self._culprits: dict[int, int] = {}  # the failed one, of each that was skipped for one
        self._lifetimes, self._policy = lifetimes, policy
        self.retries = Retries(nodes, policy)
        self.sending = Sending(self, tokens)
        self.losses = Losses(self)
        self.handovers = Handovers(self, stretches, lifetimes)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of nodes that are through; of these, that have run, and that have failed."""
        through = len(self._names) - self.table.unfinished
        return through, self.completed_count, len(self.failures)

    @property
    def killed(self) -> bool:
        """Whether running tasks were ended with the run."""
        return bool(self.stopping) and self._policy.on_failure == "kill"

    # What comes back

    def claim(self, lane: int, number: int, nodes: Sequence[int]) -> list[int]:
        """Those of some outcomes that a unit has not had yet; they are had from now on.

        Args:
            lane: The lane that they come from.
            number: The unit that they bear.
            nodes: Whose outcomes they are.
        """
        unit = self.lanes[lane].units.get(number)
        if unit is None:
            return []
        claimed = [node for node in nodes if node in unit.left]
        if len(claimed) == len(unit.left):
            unit.left.clear()
        for node in claimed if unit.left else ():
            del unit.left[node]
        return claimed

    def completed_all(self, unit: Unit, nodes: Sequence[int]) -> None:
        """Tasks of a unit have run, and nothing that they have made is with their worker only.

        None of them was tried alone, and the unit is not `handing`.
        """
        self.lanes[unit.lane].deadlines.forget(nodes)
        self.table.done_all(unit, nodes)
        self.completed_count += len(nodes)
        if names := self._lifetimes.settle(nodes):
            self.actions.append(do.Release(names))

    def completed(self, node: int, *, unstored: bool = False) -> None:
        """A task has run.

        Args:
            node: Which one.
            unstored: Whether what the next one reads is nowhere but in their worker.
        """
        lane, task = self.landed(node), self.table[node]
        if unstored and task.unit is not None:
            task.unit.handing = True
        self.table.done(node)
        self.completed_count += 1
        if task.starved:
            task.starved = False
            lane.limit = max(1, min(lane.limit, lane.workers) - 1)
            self.actions.append(do.ReduceConcurrency(lane.number, node, lane.limit))
        if unstored:
            task.unstored = True
        else:
            self.handovers.release(node)

    def failed(self, node: int, error: BaseException, now: float) -> None:
        """A try of a task has failed: it is tried again, or fails for good, as the policy says."""
        lane, task = self.landed(node), self.table[node]
        task.starved = False
        pause = None if self.stopping else self.retries.pause_after(task, error)
        self.actions.append(do.TryFailed(node, task.attempt, error, pause is not None))
        if pause is not None:
            self.table.move(node, PAUSED)
            self.retries.park(node, now + pause)
            self.tick(now)
            if self.retries.may_stop(task):
                self.resume(lane)
            return
        self.failures[node] = error
        name = self._names[node]
        self._skip_for(node, self.table.fail(node))
        self.handovers.release(node)
        if self._policy.on_failure != "continue":
            self.stop(f"the node {name!r} failed")

    def unstarted(self, node: int) -> None:
        """A worker has left a task alone, for another has failed that may stop the run."""
        lane = self.landed(node)
        if self.stopping:
            self.take_back(node, started=False)
        else:
            self.table.move(node, HELD)
            lane.held.append(node)

    def returned(self, unit: Unit) -> None:
        """A unit is over, and its worker has not started what is left of it."""
        self.requeue(self.close(unit), started=False)

    # The clock

    def tick(self, now: float) -> None:
        """Let tasks whose pause is over run again."""
        for node in self.retries.due(now):
            self._requeue(node)

    def look_at_clock(self, number: int, running: Mapping[int, Started], now: float) -> None:
        """End the workers of tasks that are past their deadline.

        Args:
            number: The lane.
            running: Of the tasks that its `deadlines` watch, those that workers have started.
            now: Seconds, of the clock that workers use.
        """
        for pid in self.lanes[number].deadlines.overdue(running, now):
            self.actions.append(do.KillWorker(number, pid))

    # The end

    def stop(self, reason: str) -> None:
        """Skip everything that is not on its way, and say why."""
        if self.stopping:
            return
        self.stopping = reason
        for lane in self.lanes:
            self.actions.append(do.StopWorkers(lane.number, self.killed))
        for node in self.retries.drop():
            self.give_up(node, f"{reason}, before it was tried again")
        self.skip(self.table.skip_idle(), reason)
        for lane in self.lanes:
            waiting, lane.held = [*lane.held, *lane.suspects], []
            lane.suspects.clear()
            for node in waiting:
                self.give_up(node, reason)

    # What they have in common

    def landed(self, node: int) -> LaneState:
        """A task is under way no more."""
        lane = self.lanes[self.table.lanes[node]]
        lane.deadlines.forget((node,))
        if lane.on_trial == node:
            lane.on_trial = None
        return lane

    def close(self, unit: Unit) -> list[int]:
        """A unit is over; return its tasks without an outcome, for the caller to dispose of."""
        self.lanes[unit.lane].units.pop(unit.number)
        self.sending.tokens.give(unit.taken)
        left = list(unit.left)
        unit.left.clear()
        for node in left:
            self.landed(node)
        return left

    def requeue(self, nodes: Iterable[int], *, started: bool) -> list[int]:
        """Let tasks run again at no charge; return those before them that have to, as well."""
        return [u for node in nodes for u in self.take_back(node, started=started)]

    def take_back(self, node: int, *, started: bool) -> list[int]:
        """A try was lost through no fault of the task; if the run is stopping, that is its end."""
        if started:
            self.handovers.abandon(node)
        self.table[node].attempt -= 1
        if self.stopping:
            self.give_up(node, self.stopping)
            return []
        undone = self.handovers.undo_before(node)
        self._requeue(node)
        return undone

    def _requeue(self, node: int) -> None:
        if not self.skip_cut_off(node):
            self.table.requeue(node)

    def skip_cut_off(self, node: int) -> bool:
        """Skip a task if it waits for one that will not run, and had left before that was known.

        Returns:
            Whether it does.
        """
        culprit, cut_off = None, False
        for parent in self.table.graph.parents[node]:
            state = self.table[parent].state
            cut_off = cut_off or state in (FAILED, SKIPPED)
            culprit = parent if state is FAILED else self._culprits.get(parent, culprit)
        if culprit is not None:
            self._skip_for(culprit, self.table.skip(node))
        elif cut_off:
            self.skip(self.table.skip(node), self.stopping)
        return cut_off

    def _skip_for(self, culprit: int, nodes: Sequence[int]) -> None:
        self._culprits.update(dict.fromkeys(nodes, culprit))
        self.skip(nodes, f"it needs the node {self._names[culprit]!r}, which failed")

    def give_up(self, node: int, reason: str) -> None:
        """Skip a task, for one that it waits for and that will not run, or else for a reason."""
        if not self.skip_cut_off(node):
            self.skip(self.table.skip(node), reason)

    def skip(self, nodes: Iterable[int], reason: str) -> None:
        """Tasks were skipped."""
        for node in nodes:
            self.actions.append(do.Skipped(node, reason))
            self.handovers.release(node)

    def resume(self, lane: LaneState) -> None:
        """Let a lane's workers start tasks again, and send again what they have left alone."""
        held, lane.held = lane.held, []
        self.actions.append(do.ResumeWorkers(lane.number))
        self.requeue(held, started=False)
