"""How long tasks take, by function, and how many of a kind may travel together.

It is known from those of the same function that have run: in this run, in earlier ones on the same
workers, or by a journal. A function of which nothing is known starts slowly: its first task
travels alone, and each unit that has come back lets the next one have eight times as many, until
they hold work of 2 ms.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from motorpool._engine.priority import middle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How much work (s) a unit should hold: ten times what a journey costs, and little enough for a
#: failure or an idle worker not to wait for long.
TARGET = 0.002
#: No unit has more tasks.
MOST = 4096
# A unit may have so many times as many tasks of a function as have come back in one.
_GROWTH = 8
# What a worker does around a task (s) that is not in the seconds of the task.
_AROUND = 2e-6
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
                self._seconds[function], self._cap[function] = middle(known[function]), MOST
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
        return self._weight[function] > TARGET / self._cap[function]

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
            if self._cap[function] < MOST:
                cap = max(self._cap[function], _GROWTH * count)
                self._cap[function] = min(MOST, cap)
                self._weigh(function)

    def _weigh(self, function: int) -> None:
        seconds, cap = self._seconds[function], self._cap[function]
        least, before = TARGET / cap, self._weight[function]
        weight = TARGET if seconds is None else max(seconds + _AROUND, least)
        self._weight[function] = weight
        self._total += weight - before  # to add them up would be quadratic in functions
