"""Values that a task has handed to the next of its stretch, and that only its worker has.

A part of the scheduler, and pure as well. As long as the next task has not run, what the one
before has read is not given back: if the worker is lost, both run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from motorpool._engine import actions as do
from motorpool._engine.stretches import NO_NODE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from motorpool._engine.lifetimes import Lifetimes
    from motorpool._engine.scheduler import Scheduler
    from motorpool._engine.stretches import Stretches


class Handovers:
    """Knows which values are nowhere but with a worker.

    Args:
        scheduler: Of which it is a part.
        stretches: Which tasks hand values to the next one in the same worker.
        lifetimes: Who still needs which dataset.

    Attributes:
        stretches: The same.
    """

    def __init__(self, scheduler: Scheduler, stretches: Stretches, lifetimes: Lifetimes) -> None:
        self._scheduler, self._lifetimes = scheduler, lifetimes
        self.stretches = stretches

    def release(self, node: int) -> None:
        """Give back what a task has read, and those of its stretch whose values it had."""
        for settled in [node, *self._unstored_before(node)]:
            self._scheduler.table[settled].unstored = False
            if names := self._lifetimes.settle((settled,)):
                self._scheduler.actions.append(do.Release(names))

    def undo_before(self, node: int) -> list[int]:
        """Those before a task whose values were with its worker only have to run again."""
        scheduler, undone = self._scheduler, list(self._unstored_before(node))
        for before in reversed(undone):
            scheduler.table[before].unstored = False
            scheduler.table[before].attempt -= 1
            scheduler.table.undo(before)
            scheduler.completed_count -= 1
        return undone

    def abandon(self, node: int) -> None:
        """Give up what a try has left, and what it was handed by the tasks before."""
        self._scheduler.actions.append(do.Abandon(node))
        for before in self._unstored_before(node):
            self._scheduler.actions.append(do.Abandon(before, handed=True))

    def _unstored_before(self, node: int) -> Iterator[int]:
        before = self.stretches.before[node]
        while before != NO_NODE and self._scheduler.table[before].unstored:
            yield before
            before = self.stretches.before[before]
