"""What the scheduler knows of the workers of one backend, and what it is told of their deaths."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence  # noqa: TC004, a field's type is never looked up

    from motorpool._engine.deadlines import Deadlines
    from motorpool._engine.sizes import UnitMaker
    from motorpool._engine.state import Unit


class LaneState:
    """The tasks of a run that go to one backend's workers.

    Args:
        number: Its number among the lanes of the run.
        workers: Number of workers.
        limit: How many units may be under way.
        maker: Chooses what the next unit has.
        deadlines: Who has how long.

    Attributes:
        units: What is under way, by number.
        held: Tasks that workers have not started, for another has failed that may stop the run.
        suspects: Tasks to be tried with nothing beside them.
        on_trial: The one that is being tried.
    """

    def __init__(
        self, number: int, workers: int, limit: int, maker: UnitMaker, deadlines: Deadlines
    ) -> None:
        self.number, self.workers, self.limit = number, workers, limit
        self.maker, self.deadlines = maker, deadlines
        self.units: dict[int, Unit] = {}
        self.held: list[int] = []
        self.suspects: deque[int] = deque()
        self.on_trial: int | None = None

    @property
    def limit_now(self) -> int:
        """How many units may be under way now: one, while tasks are tried alone."""
        return 1 if self.suspects or self.on_trial is not None else self.limit

    @property
    def most(self) -> int:
        """Number of tasks of the unit that has most of them left."""
        return max((len(unit.left) for unit in self.units.values()), default=0)

    def nodes(self) -> list[int]:
        """All tasks that are under way, in topological order."""
        return sorted(node for unit in self.units.values() for node in unit.left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A worker's death.

    Attributes:
        node: The task that it was at.
        pid: Its process id, if known.
        error: What to say of it, of the task.
        starved: Whether the kernel did it, for want of memory.
    """

    node: int
    pid: int | None
    error: BaseException
    starved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Who broke a pool.

    Attributes:
        deaths: The deaths of workers that it broke for.
        suspects: Tasks that may have broken it, to be tried alone.
        starved: Whether the kernel killed one of the suspects' workers for want of memory.
    """

    deaths: Sequence[Death] = ()
    suspects: Sequence[int] = ()
    starved: bool = False
