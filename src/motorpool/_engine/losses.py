"""What follows when workers are lost: who did it, who runs again, and who is tried alone.

A part of the scheduler, and pure as well. Where an executor fails exactly the task whose worker
died, there is little to find out. A pool with shared queues fails everything that was under way,
and takes its other workers down: then those are the culprits whose workers have ended by
themselves. Where it is not known how workers ended, all tasks that had started are suspects, and
run again one by one, with nothing beside them: the pool that breaks again breaks for the task that
is in it. All others run again, at no charge.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from motorpool._engine import actions as do
from motorpool._engine.state import SUSPECTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motorpool._engine.lanes import Blame, Death, LaneState
    from motorpool._engine.scheduler import Scheduler
    from motorpool._engine.state import Unit

#: How a worker ends that its pool takes down because another has died; or how it ended is unknown.
WITH_ITS_POOL = frozenset({None, -int(signal.SIGTERM)})


def ended_by_itself(exitcode: int | None) -> bool:
    """Whether a worker is known to have ended, and not because its pool took it down."""
    return exitcode not in WITH_ITS_POOL


class Losses:
    """Takes the events of lost workers.

    Args:
        scheduler: Of which it is a part.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def next_suspect(self, lane: LaneState) -> list[int]:
        """The next task to be tried alone, after what it needs; nothing if there is none."""
        while lane.suspects:
            node = lane.suspects.popleft()
            if self._scheduler.skip_cut_off(node):
                continue
            if nodes := self._scheduler.table.with_lost_parents(node):
                lane.on_trial = node
                return nodes
            self._scheduler.table.requeue(node)
        return []

    def unsent(self, unit: Unit, node: int, error: BaseException, now: float) -> None:
        """A unit could not be sent, for one of its tasks, which fails."""
        left = self._scheduler.close(unit)
        self._scheduler.requeue([n for n in left if n != node], started=False)
        self._scheduler.failed(node, error, now)

    def cancelled(self, unit: Unit, errors: Mapping[int, BaseException], now: float) -> None:
        """The executor has cancelled a unit, because it was asked to, or on its own.

        Args:
            unit: Which one.
            errors: What to say of each task that is left, if it was on its own.
            now: Seconds, of the clock of `tick`.
        """
        left = self._scheduler.close(unit)
        if self._scheduler.stopping:
            self._give_up(left)
        else:
            self._fail_each(left, errors, now)

    def call_failed(
        self, unit: Unit, node: int, error: BaseException, now: float, *, started: bool
    ) -> None:
        """The call that runs a unit has failed, with an exception that is the executor's.

        Args:
            unit: Which one.
            node: The task to blame.
            error: The exception.
            now: Seconds, of the clock of `tick`.
            started: Whether the others may have left something behind.
        """
        left = self._scheduler.close(unit)
        self._scheduler.requeue([n for n in left if n != node], started=started)
        self._scheduler.failed(node, error, now)

    def not_taken(self, unit: Unit) -> None:
        """An executor has broken before it took a unit: its tasks have not started."""
        self._scheduler.requeue(self._scheduler.close(unit), started=False)

    def calls_lost(self, number: int, errors: Mapping[int, BaseException], now: float) -> None:
        """An executor has lost everything that it was given: each task fails."""
        for unit in list(self._scheduler.lanes[number].units.values()):
            self._scheduler.close(unit)
        self._fail_each(errors, errors, now)

    def lost(self, units: Iterable[Unit], pid: int | None) -> None:
        """Units were lost through no fault of their tasks, which run again at no charge."""
        left = [node for unit in units for node in self._scheduler.close(unit)]
        if self._scheduler.killed:
            self._give_up(left)
        else:
            self._run_again(left, pid)

    def culprit(self, unit: Unit, at: int | None, pid: int | None) -> int | None:
        """The task to blame for the death of its worker, if any.

        Args:
            unit: What the worker had.
            at: The task that it was at, if that is known.
            pid: The worker, if known.
        """
        deadlines = self._scheduler.lanes[unit.lane].deadlines
        late = next((node for node in unit.left if self._scheduler.table[node].timed_out), None)
        if late is None and pid in deadlines.killed:
            return None  # it was ended for a task before; these were on their way
        return at if late is None else late

    def accuse(
        self, number: int, codes: Mapping[int, int | None], *, tracked: bool
    ) -> tuple[list[int], list[int]]:
        """The culprits, or else the suspects, among what is under way in a pool that broke.

        Args:
            number: The lane.
            codes: Of the tasks that had started: how their workers ended, if known.
            tracked: Whether it is known which tasks had started.
        """
        lane, table = self._scheduler.lanes[number], self._scheduler.table
        lost = lane.nodes()
        if late := [node for node in lost if table[node].timed_out]:
            return late, []
        if lane.on_trial in lost and lane.on_trial is not None:
            # One before it may have run again to give it input, and have broken the pool instead.
            node = max(codes, default=lane.on_trial)
            if codes.get(node) in WITH_ITS_POOL - {None} and not table[node].pardoned:
                table[node].pardoned = True
                return [], [node]  # a worker beside it may have died, which had no task
            return [node], []
        candidates = list(codes) if tracked else lost
        found = [node for node in candidates if ended_by_itself(codes.get(node))]
        return (found, []) if found else ([], candidates)

    def worker_died(self, unit: Unit, death: Death, started: Iterable[int], now: float) -> None:
        """A worker died in a task of a unit.

        Args:
            unit: What the worker had.
            death: In which task, and how.
            started: Others that it may have begun.
            now: Seconds, of the clock of `tick`.
        """
        alone = unit.alone
        left = self._scheduler.close(unit)
        if self._scheduler.killed:
            self._give_up(left)
            return
        others = [node for node in left if node != death.node]
        begun = set(started)
        self._scheduler.requeue([n for n in others if n not in begun], started=False)
        self._run_again([n for n in others if n in begun], death.pid)
        self._blame(death, now, alone=alone)

    def pool_broken(self, number: int, blame: Blame, now: float) -> None:
        """A pool broke, and all that was under way in a lane with it.

        Args:
            number: The lane.
            blame: Who did it, or may have.
            now: Seconds, of the clock of `tick`.
        """
        lane = self._scheduler.lanes[number]
        units, lane.on_trial = list(lane.units.values()), None
        alone = any(unit.alone for unit in units)
        left = sorted(node for unit in units for node in self._scheduler.close(unit))
        if self._scheduler.stopping:
            self._give_up(left)
            return
        known = {*blame.suspects, *(death.node for death in blame.deaths)}
        self._run_again([node for node in left if node not in known], None)
        again: list[int] = []
        for node in blame.suspects:
            again += self._try_alone(lane, node, starved=blame.starved)
        if again:
            self._scheduler.actions.append(do.WorkerLost(None, None, again, blame.starved))
        for death in blame.deaths:
            self._blame(death, now, alone=alone)

    def _give_up(self, nodes: Iterable[int]) -> None:
        """Tasks were queued when the run stopped, or were killed with it."""
        killed = self._scheduler.killed
        reason = "the run was stopped while it ran" if killed else self._scheduler.stopping
        for node in nodes:
            self._scheduler.give_up(node, reason)

    def _fail_each(
        self, nodes: Iterable[int], errors: Mapping[int, BaseException], now: float
    ) -> None:
        for node in list(nodes):
            if not self._scheduler.skip_cut_off(node):
                self._scheduler.failed(node, errors[node], now)

    def _run_again(self, nodes: Sequence[int], pid: int | None) -> None:
        """Run tasks again that were lost with a worker, through no fault of their own."""
        if nodes:
            undone = self._scheduler.requeue(nodes, started=True)
            self._scheduler.actions.append(do.WorkerLost(pid, None, [*undone, *nodes]))

    def _try_alone(self, lane: LaneState, node: int, *, starved: bool) -> list[int]:
        """Run a task again with nothing beside it; return it, after what has to run before."""
        self._scheduler.handovers.abandon(node)
        self._scheduler.table[node].attempt -= 1
        self._scheduler.table[node].starved = starved
        undone = self._scheduler.handovers.undo_before(node)
        self._scheduler.table.move(node, SUSPECTED)
        lane.suspects.append(node)
        return [*undone, node]

    def _blame(self, death: Death, now: float, *, alone: bool) -> None:
        """It is known who broke a worker, and how."""
        node = death.node
        self._scheduler.table[node].timed_out = False
        if death.starved and not alone and not self._scheduler.stopping:
            lane = self._scheduler.lanes[self._scheduler.table.lanes[node]]
            again = self._try_alone(lane, node, starved=True)
            self._scheduler.actions.append(do.WorkerLost(death.pid, None, again, starved=True))
            self._scheduler.actions.append(do.RunAlone(node))
            return
        self._scheduler.handovers.abandon(node)
        self._scheduler.actions.append(do.WorkerLost(death.pid, node, [], death.starved))
        self._scheduler.failed(node, death.error, now)
