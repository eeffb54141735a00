"""How many nodes travel in one envelope: as many short ones as make it worth while.

How long a node will take is known from the nodes of the same function that have run. A node of
which nothing is known travels alone, or with its stretch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._scheduler import Scheduler

# How much work (s) an envelope should hold: fifty times what it costs to send one, and little
# enough for a failure or an idle worker not to wait for long.
_TARGET = 0.003
# What a worker does around a node (s), whatever the node does.
_AROUND = 10e-6
# Up to here (s), a journey costs more than it would to wait for the neighbours.
_JOURNEY = 100e-6
# A function that has become faster is believed after a few times; one that is slower, at once.
_BELIEF = 0.25


class Batches:
    """Fills envelopes.

    Args:
        nodes: The nodes.
        scheduler: What may run.
        workers: Number of workers.
        one_by_one: Whether each node travels alone, as where there is no journey.
    """

    def __init__(
        self, nodes: Sequence[Any], scheduler: Scheduler, workers: int, *, one_by_one: bool
    ) -> None:
        numbers: dict[int, int] = {}
        functions = (id(getattr(node, "func", node)) for node in nodes)
        self._function = [numbers.setdefault(f, len(numbers)) for f in functions]
        self._seconds: list[float | None] = [None] * len(numbers)
        self._scheduler = scheduler
        self._workers = workers
        self._target = 0.0 if one_by_one else _TARGET

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
        scheduler = self._scheduler
        first = scheduler.pop()
        if first is None:
            return []
        share = (scheduler.ready + self._workers) // self._workers
        batch = scheduler.stretch(first)
        taken, cost = 1, sum(map(self._cost, batch))
        while cost < self._target and (taken * 2 <= share or (taken < share and cost < _JOURNEY)):
            room = self._target - cost
            node = scheduler.pop(lambda node, room=room: self._cost(node) <= room)  # type: ignore[misc]
            if node is None:
                break
            stretch = scheduler.stretch(node)
            taken, cost = taken + 1, cost + sum(map(self._cost, stretch))
            batch += stretch
        return batch

    def _cost(self, node: int) -> float:
        seconds = self._seconds[self._function[node]]
        return float("inf") if seconds is None else seconds + _AROUND
