"""How many nodes travel in one envelope: as many short ones as make it worth while.

How long a node will take is known from the nodes of the same function that have run. A node of
which nothing is known travels alone, or with its stretch.

What waits for nodes of the envelope and for nothing else comes along if it is short as well: it
would be done before the news of these could have come back, and the node gone to another worker.
"""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._engine.scheduler import Scheduler

# How much work (s) an envelope should hold: fifty times what it costs to send one, and little
# enough for a failure or an idle worker not to wait for long.
_TARGET = 0.003
# What a worker does around a node (s), whatever the node does.
_AROUND = 20e-6
# What an envelope costs (s): there and back, with what the driver does in between.
_JOURNEY = 200e-6
# A function that has become faster is believed after a few times; one that is slower, at once.
_BELIEF = 0.25


class Batches:
    """Fills envelopes.

    Args:
        nodes: The nodes.
        scheduler: What may run.
        lane: Whose nodes travel.
        workers: Number of workers.
        one_by_one: Whether each node travels alone, as where there is no journey.
        expected: Seconds that each node took in an earlier run, or None.
    """

    def __init__(
        self, nodes: Sequence[Any], scheduler: Scheduler, lane: int, workers: int, *,
        one_by_one: bool, expected: Sequence[float | None],
    ) -> None:  # fmt: skip
        numbers: dict[int, int] = {}
        functions = (id(getattr(node, "func", node)) for node in nodes)
        self._function = [numbers.setdefault(f, len(numbers)) for f in functions]
        known: dict[int, list[float]] = {}
        for function, seconds in zip(self._function, expected, strict=True):
            if seconds is not None:
                known.setdefault(function, []).append(seconds)
        self._seconds: list[float | None] = [
            median(known[f]) if f in known else None for f in range(len(numbers))
        ]
        self._scheduler = scheduler
        self._lane = lane
        self._workers = workers
        self._target = 0.0 if one_by_one else _TARGET
        # Work (s) that is done here before others could have done it side by side.
        self._detour = _JOURNEY * workers / (workers - 1) if workers > 1 else _TARGET

    def measured(self, node: int, seconds: float) -> None:
        """A node has run for so long."""
        function = self._function[node]
        known = self._seconds[function]
        if known is None or seconds > known:
            self._seconds[function] = seconds
        else:
            self._seconds[function] = known + _BELIEF * (seconds - known)

    def next(self) -> list[int]:
        """The nodes of the next envelope, in the order to run them in; none if none is ready."""
        scheduler, lane = self._scheduler, self._lane
        first = scheduler.pop(lane)
        if first is None:
            return []
        ready = scheduler.ready(lane)
        share = (ready + self._workers) // self._workers
        batch = scheduler.stretch(first)
        taken, cost = 1, sum(map(self._cost, batch))
        if (ready + 1) * cost <= self._detour:  # not worth a second journey
            share = 2 * (ready + 1)
        while cost < self._target and (taken * 2 <= share or (taken < share and cost < _JOURNEY)):
            room = self._target - cost
            node = scheduler.pop(lane, lambda n, room=room: self._cost(n) <= room)  # type: ignore[misc]
            if node is None:
                break
            stretch = scheduler.stretch(node)
            taken, cost = taken + 1, cost + sum(map(self._cost, stretch))
            batch += stretch
        if cost < self._target:
            self._follow(batch, cost)
        return batch

    def _follow(self, batch: list[int], cost: float) -> None:
        """Add what waits for nothing else, as long as it takes no longer than a journey."""
        wave, within = batch, Counter[int]()
        while True:
            wave = self._scheduler.behind(wave, within)
            more = sum(map(self._cost, wave))
            if not wave or more > self._detour or cost + more > self._target:
                break
            self._scheduler.start(wave)
            batch += wave
            cost += more

    def _cost(self, node: int) -> float:
        seconds = self._seconds[self._function[node]]
        return float("inf") if seconds is None else seconds + _AROUND
