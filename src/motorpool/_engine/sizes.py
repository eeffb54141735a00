"""How many tasks a unit has: as many short ones as make its journey worth while.

How long a task will take is known from those of the same function that have run: in this run, in
earlier ones on the same workers, or by a journal. A function of which nothing is known starts
slowly: its first task travels alone, and each unit that has come back lets the next one have eight
times as many, until they hold work of 2 ms.

A unit of independent tasks holds a worker's share of those that are ready, so that nobody idles;
what waits for nothing but tasks of the unit comes along. Longer tasks than four journeys travel
alone: their journey is hidden by the unit that waits at each worker. (Granularity and its cost:
arXiv 2602.20561.)
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from motorpool._engine.priority import middle
from motorpool._engine.state import WAITING
from motorpool._engine.stretches import NO_NODE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from motorpool._engine.stretches import Stretches
    from motorpool._engine.tasks import TaskTable
    from motorpool._engine.tokens import Tokens

# How much work (s) a unit should hold: ten times what a journey costs, and little enough for a
# failure or an idle worker not to wait for long.
_TARGET = 0.002
# What a worker does around a task (s) that is not in the seconds of the task.
_AROUND = 2e-6
# What a journey costs (s): there and back, with what the driver does in between.
_JOURNEY = 200e-6
# Where much is ready, a unit may have so much of a worker's share of it, and no more than that
# (s): what a worker does between units, 0.2 ms, shows least then.
_PART, _LARGEST = 0.25, 0.004
# A task that takes so many journeys travels alone; or so much of a unit, where that is more.
_ALONE, _ALONE_PART = 4, 0.3
# A unit may have so many times as many tasks of a function as have come back in one, and no more
# than this.
_GROWTH, _MOST = 8, 4096
# A function that has become faster is believed after a few times; one that is slower, at once.
_BELIEF = 0.3

#: How long a task of a function takes (s), and how many of them a unit may have.
Remembered = tuple[float, int]


class Durations:
    """How long tasks take, by function.

    Args:
        functions: For each node the number of its function, from 0.
        expected: Seconds that each took in an earlier run, or None.
        fingerprints: Of each function, what it is known by in other pipelines.
        remembered: What is known of functions by earlier runs on the same workers; see `remember`.
    """

    def __init__(
        self, functions: Sequence[int], expected: Sequence[float | None],
        fingerprints: Sequence[str], remembered: Mapping[str, Remembered],
    ) -> None:  # fmt: skip
        self._function, self._fingerprints = functions, fingerprints
        numbers = range(len(fingerprints))
        known: dict[int, list[float]] = {}
        for function, seconds in zip(self._function, expected, strict=True):
            if seconds is not None:
                known.setdefault(function, []).append(seconds)
        self._seconds: list[float | None] = [None for _ in numbers]
        self._cap = [1 for _ in numbers]
        for function, fingerprint in enumerate(fingerprints):
            if function in known:
                self._seconds[function], self._cap[function] = middle(known[function]), _MOST
            elif fingerprint in remembered:
                self._seconds[function], self._cap[function] = remembered[fingerprint]
        self._weight, self._total = [0.0] * len(numbers), 0.0
        for function in numbers:
            self._weigh(function)

    def weight(self, node: int) -> float:
        """What a task counts in a unit, in seconds."""
        return self._weight[self._function[node]]

    def seconds(self, nodes: Sequence[int]) -> float | None:
        """How long some tasks will take; None if that is not known of one."""
        known = [self._seconds[self._function[node]] for node in nodes]
        return None if None in known else sum(filter(None, known))

    def is_settled(self, node: int) -> bool:
        """Whether a task counts what it takes, and not more for want of knowledge."""
        function = self._function[node]
        return self._weight[function] > _TARGET / self._cap[function]

    @property
    def usual(self) -> float:
        """What a task counts on average."""
        return self._total / len(self._weight)

    def remember(self) -> dict[str, Remembered]:
        """What is known of functions now, for the next run."""
        rows = zip(self._fingerprints, self._seconds, self._cap, strict=True)
        return {name: (seconds, cap) for name, seconds, cap in rows if seconds is not None}

    def note(self, nodes: Sequence[int], seconds: Sequence[float]) -> None:
        """Tasks have run for so long."""
        took: dict[int, list[float]] = {}
        for function, each in zip(map(self._function.__getitem__, nodes), seconds, strict=True):
            took.setdefault(function, []).append(each)
        for function, all_of_it in took.items():
            self._note(function, sum(all_of_it) / len(all_of_it), len(all_of_it))

    def _note(self, function: int, seconds: float, times: int) -> None:
        known = self._seconds[function]
        if known is not None and seconds < known:
            seconds += (known - seconds) * (1 - _BELIEF) ** times
        self._seconds[function] = seconds
        self._weigh(function)

    def note_unit(self, nodes: Sequence[int]) -> None:
        """All these tasks have come back from one journey."""
        for function, count in Counter(map(self._function.__getitem__, nodes)).items():
            if self._cap[function] < _MOST:
                cap = max(self._cap[function], _GROWTH * count)
                self._cap[function] = min(_MOST, cap)
                self._weigh(function)

    def _weigh(self, function: int) -> None:
        seconds, cap = self._seconds[function], self._cap[function]
        least, before = _TARGET / cap, self._weight[function]
        weight = _TARGET if seconds is None else max(seconds + _AROUND, least)
        self._weight[function] = weight
        self._total += weight - before  # to add them up would be quadratic in functions


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
        self._target = max(_TARGET, 2 * self._least)

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
            if weight > alone or len(chosen) >= _MOST:
                break
        if chosen and self._linked and not self._one_by_one:
            self._add_closed(chosen, cost)
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

    def _add_closed(self, chosen: dict[int, None], cost: float) -> None:
        """Add short tasks that wait for nothing but what is in the unit."""
        tasks, children, lanes = self._table.tasks, self._table.graph.children, self._table.lanes
        following, weight_of, kinds = self._following, self.durations.weight, self._table.kinds
        within: dict[int, int] = {}
        todo = list(chosen)
        for node in todo:  # it grows meanwhile
            for child in children[node]:
                within[child] = inside = within.get(child, 0) + 1
                task = tasks[child]
                if inside < task.missing or task.state is not WAITING or child in chosen:
                    continue
                weight = weight_of(child)
                if (
                    weight > _ALONE * _JOURNEY or cost + weight > self._target
                    or len(chosen) >= _MOST or lanes[child] != self._lane or child in kinds
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
