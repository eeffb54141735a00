"""How many tasks a unit has: as many short ones as make its journey worth while.

A unit of independent tasks holds a worker's share of those that are ready, so that nobody idles;
what waits for nothing but tasks of the unit comes along. Longer tasks than four journeys travel
alone: their journey is hidden by the unit that waits at each worker. Where nothing is ready, that
is one of tasks that wait for nothing but the unit under way there. (Granularity and its cost:
arXiv 2602.20561.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from motorpool._engine.durations import MOST, TARGET
from motorpool._engine.state import WAITING
from motorpool._engine.stretches import NO_NODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from motorpool._engine.durations import Durations
    from motorpool._engine.state import Unit
    from motorpool._engine.stretches import Stretches
    from motorpool._engine.tasks import TaskTable
    from motorpool._engine.tokens import Tokens

# What a journey costs (s): there and back, with what the driver does in between.
_JOURNEY = 200e-6
# Where much is ready, a unit may have so much of a worker's share of it, and no more than that
# (s): what a worker does between units, 0.2 ms, shows least then.
_PART, _LARGEST = 0.25, 0.004
# A task that takes so many journeys travels alone; or so much of a unit, where that is more.
_ALONE, _ALONE_PART = 4, 0.3
# A longer task (s) is not queued behind a unit: a journey is little of it, and a worker that
# idles by then may have it sooner.
_QUEUED = 0.005


class UnitMaker:
    """Chooses the tasks of the next unit of a lane.

    Args:
        table: All tasks.
        stretches: Which of them run one after the other in one worker.
        durations: How long they take.
        lane: Whose tasks travel.
        workers: Number of workers.
        one_by_one: Whether each task travels alone, as where there is no journey.
        tokens: What there is of resources. A task that takes some travels alone.

    Attributes:
        durations: The same.
    """

    def __init__(
        self, table: TaskTable, stretches: Stretches, durations: Durations, lane: int,
        workers: int, *, one_by_one: bool, tokens: Tokens,
    ) -> None:  # fmt: skip
        self._tokens = tokens
        self._table, self.durations, self._lane = table, durations, lane
        self._following = stretches.following
        self._workers, self._one_by_one = workers, one_by_one
        self._linked = any(map(len, table.graph.parents))
        # What is worth splitting off (s); of linked work, who reads a part waits for a journey.
        self._least = _JOURNEY * (3 if self._linked else 1)
        self._target = max(TARGET, 2 * self._least)

    def make(self) -> list[int]:
        """The tasks of the next unit, in the order to run them in; none if none can go."""
        if self._tokens.kinds:
            kind = self._table.most_urgent(self._lane, self._tokens.fitting())
            node = None if kind is None else self._table.first(self._lane, kind)
            if kind is None or node is None:
                return []
            if kind:
                self._table.take(self._lane, kind)
                return [node]
        return self._make()

    def _make(self) -> list[int]:
        """The tasks of the next unit of those that take no resources."""
        table, following, weight_of = self._table, self._following, self.durations.weight
        share, alone = self._limits()
        chosen: dict[int, None] = {}
        cost = 0.0
        while cost < share or not chosen:
            node = table.first(self._lane)
            if node is None:
                break
            weight = weight_of(node)
            if chosen and cost + weight > 1.5 * share:
                break
            table.take(self._lane)
            if following[node] == NO_NODE:
                chosen[node] = None
                cost += weight
            else:
                cost += self._add(self._stretch(node), chosen)
            if weight > alone or len(chosen) >= MOST:
                break
        if chosen and self._linked and not self._one_by_one:
            self._add_closed(chosen, chosen, cost)
        return list(chosen)

    def make_behind(self, unit: Unit) -> list[int]:
        """Short tasks that wait for nothing but tasks of a unit; none if there are none."""
        chosen: dict[int, None] = {}
        if self._linked and not (self._one_by_one or self._tokens.kinds):
            self._add_closed(chosen, unit.left, 0.0)
        return list(chosen)

    def _limits(self) -> tuple[float, float]:
        """How much the next unit should hold, and from where on a task is alone in it; seconds."""
        there_is = self._table.ready(self._lane, 0) * self.durations.usual / self._workers
        target, first = self._target, self._table.first(self._lane)
        if first is not None and self.durations.is_settled(first):
            target = max(target, min(_LARGEST, _PART * there_is))
        share = 0.0 if self._one_by_one else max(self._least, min(target, there_is))
        return share, max(_ALONE * _JOURNEY, _ALONE_PART * target)

    def _stretch(self, node: int) -> list[int]:
        """A task, and what follows it in the same worker."""
        found = [node]
        node = self._following[node]
        kinds = self._table.kinds
        while node != NO_NODE and self._table[node].state is WAITING and node not in kinds:
            found.append(node)
            node = self._following[node]
        return found

    def _add(self, nodes: Sequence[int], chosen: dict[int, None]) -> float:
        """Add tasks to the unit; return what they count."""
        chosen.update(dict.fromkeys(nodes))
        return sum(map(self.durations.weight, nodes))

    def _add_closed(self, chosen: dict[int, None], under_way: Iterable[int], cost: float) -> None:
        """Add short tasks to a unit that wait for nothing but others.

        Args:
            chosen: What the unit has.
            under_way: Those others: the same, or what the worker has before it.
            cost: What the unit counts.
        """
        tasks, children, lanes = self._table.tasks, self._table.graph.children, self._table.lanes
        following, weight_of, kinds = self._following, self.durations.weight, self._table.kinds
        within: dict[int, int] = {}
        todo = list(under_way)
        for node in todo:  # it grows meanwhile
            for child in children[node]:
                within[child] = inside = within.get(child, 0) + 1
                task = tasks[child]
                if inside < task.missing or task.state is not WAITING or child in chosen:
                    continue
                weight = weight_of(child)
                fits = weight <= _ALONE * _JOURNEY and cost + weight <= self._target
                if (
                    not (fits if chosen else weight <= _QUEUED) or len(chosen) >= MOST
                    or lanes[child] != self._lane or child in kinds
                ):  # fmt: skip
                    continue
                if following[child] == NO_NODE:
                    chosen[child] = None
                    cost += weight
                    todo.append(child)
                else:
                    behind = self._stretch(child)
                    cost += self._add(behind, chosen)
                    todo += behind
