"""Which tasks go out next, as a unit.

A part of the scheduler, and pure as well.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from motorpool._engine.state import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from motorpool._engine.lanes import LaneState
    from motorpool._engine.scheduler import Scheduler
    from motorpool._engine.tokens import Tokens

# A unit of more tasks is searched once for what waits for it: it takes 0.3 us for each.
_MANY = 8


class Sending:
    """Sends units.

    Args:
        scheduler: Of which it is a part.
        tokens: What there is of resources.
    """

    def __init__(self, scheduler: Scheduler, tokens: Tokens) -> None:
        self._scheduler, self.tokens = scheduler, tokens
        self._numbers = itertools.count(1)

    def next_unit(self, number: int, now: float) -> Unit | None:
        """There may be room for a unit: the next one of a lane, or None.

        Args:
            number: The lane.
            now: Seconds, of the clock that workers use.
        """
        lane = self._scheduler.lanes[number]
        if lane.held and not lane.units:
            self._scheduler.resume(lane)  # the failure that kept them was lost with its worker
        if not self._has_room(lane):
            return None
        nodes, alone = self._scheduler.losses.next_suspect(lane), True
        if not nodes:
            nodes, alone = lane.maker.make(), False
        return self._sent(lane, nodes, now, alone=alone) if nodes else None

    def next_behind(
        self, before: Unit, now: float, may_go: Callable[[Sequence[int]], bool]
    ) -> Unit | None:
        """Nothing is ready: a unit of what waits for a unit only, for its worker; or None.

        Args:
            before: The unit that it waits for.
            now: Seconds, of the clock that workers use.
            may_go: Whether tasks may go there, as far as it depends on their data.
        """
        lane = self._scheduler.lanes[before.lane]
        if before.followed or not self._has_room(lane):
            return None
        nodes = lane.maker.make_behind(before)
        before.followed = bool(nodes) or len(before.left) > _MANY
        if not (nodes and may_go(nodes)):
            return None
        unit = self._sent(lane, nodes, now)
        unit.behind = before.number
        return unit

    def _has_room(self, lane: LaneState) -> bool:
        return not (self._scheduler.stopping or lane.held) and len(lane.units) < lane.limit_now

    def _sent(
        self, lane: LaneState, nodes: Sequence[int], now: float, *, alone: bool = False
    ) -> Unit:
        unit, table = (
            Unit(next(self._numbers), lane.number, nodes, alone=alone),
            self._scheduler.table,
        )
        table.send(unit)
        unit.taken = self.tokens.take(nodes)
        lane.units[unit.number] = unit
        lane.deadlines.watch(map(table.tasks.__getitem__, nodes), now)
        return unit
