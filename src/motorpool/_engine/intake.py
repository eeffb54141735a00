"""Takes in what comes back from the workers of one lane, and tells everybody of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motorpool._engine.durations import Durations
    from motorpool._engine.pool import Pool
    from motorpool._engine.recovery import Recovery
    from motorpool._engine.state import Unit
    from motorpool._engine.transport import Transport
    from motorpool._engine.work import Work
    from motorpool._protocol.messages import UnitResult


class Intake:
    """Takes in what has become of nodes: values, durations, events, news for the scheduler.

    Args:
        number: What the scheduler knows the lane by.
        pool: Where the workers are.
        transport: How results get here.
        work: The run.
        durations: Learns how long nodes take.
        recovery: Notes where an error has come from.
    """

    def __init__(
        self, number: int, pool: Pool, transport: Transport, work: Work, durations: Durations,
        recovery: Recovery,
    ) -> None:  # fmt: skip
        self._number, self._pool, self._transport, self._work = number, pool, transport, work
        self._scheduler, self._durations, self._recovery = work.scheduler, durations, recovery
        # Published by units whose values come of another that is done, and has not been heard.
        self._early: list[UnitResult] = []

    def returned(self, unit: Unit, result: Any) -> None:
        """A unit is over.

        Args:
            unit: Which one.
            result: What has come; None if that cannot be read, and nothing is left of the unit.
        """
        news = None if result is None else self._claimed(self._transport.read(result))
        if unit.left:
            self.look()  # there may be news that was published before
        if not unit.left:
            self._durations.note_unit(unit.nodes)
        self._recovery.worked()
        self._scheduler.returned(unit)  # first, for what is left may need what has failed
        if news is not None:
            self._settle(unit, news)

    def look(self, interval: float = 0.0) -> bool:
        """Take in what was published ahead of units; return whether there was anything.

        Args:
            interval: Seconds since the last look below which it is not worth another one.
        """
        units = self._scheduler.lanes[self._number].units
        heard = [*self._early, *map(self._transport.read, self._transport.poll(interval))]
        self._early = []
        for result in heard:
            unit = units.get(result.number)
            if unit is not None and unit.behind in units:
                self._early.append(result)
            elif (news := self._claimed(result)) is not None and unit is not None:
                self._settle(unit, news)
        return len(heard) > len(self._early)

    def _claimed(self, result: UnitResult) -> UnitResult | None:
        """What of a result has not come before, registered; None if nothing of it is wanted."""
        claim, number = self._scheduler.claim, self._number
        ran = claim(number, result.number, result.nodes)
        unstarted = claim(number, result.number, result.unstarted) if result.unstarted else []
        if not ran and not unstarted:
            return None
        if len(ran) < len(result.nodes):
            result = result.only(ran, self._work.writes)
        self._transport.register(result)
        return result._replace(unstarted=unstarted)

    def _settle(self, unit: Unit, news: UnitResult) -> None:
        scheduler, nodes = self._scheduler, news.nodes
        self._pool.has_worked = True
        self._recovery.worked()
        if nodes:
            self._work.meter.add(news)
            self._durations.note(nodes, news.seconds)
            self._work.report.completed(news, unit.attempts, self._work.meter.timeline)
        if not (news.failures or news.handing or unit.handing or unit.alone):
            scheduler.completed_all(unit, nodes)
        else:
            self._settle_each(news)
        for node in news.unstarted:
            scheduler.unstarted(node)

    def _settle_each(self, news: UnitResult) -> None:
        for node in news.nodes:
            if node in news.failures:
                failure: Any = news.failures[node]  # unpacked when it was registered
                error = self._recovery.noted(node, failure, news.pid)
                self._scheduler.failed(node, error, time.monotonic())
            else:
                kept = self._transport.is_kept(node, news)
                self._scheduler.completed(node, unstored=not kept)
