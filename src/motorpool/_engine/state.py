"""What a run knows of each task, which changes of state there are, and what has happened so far.

    WAITING --all parents done--> READY --in a unit--> SENT --> DONE
       |                            |                   |-----> FAILED
       |                            |                   |-----> PAUSED     and is tried again later
       |                            |                   |-----> HELD       its worker left it alone
       |                            |                   `-----> SUSPECTED  of a crash; runs alone
       `--------- SKIPPED <---------+--- the run stops, or a parent has failed

A task is one node of one run. From PAUSED, HELD and SUSPECTED it goes back to READY, to WAITING or
out again. A DONE task goes back to READY if what it made was lost with its worker, and is needed.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# So many of the latest changes are kept, for the story of a task.
_REMEMBERED = 10_000


class State(IntEnum):
    """Where a task is in its life; in the usual order."""

    WAITING = 0  #: for parents
    READY = 1  #: all its parents are done
    SENT = 2  #: in a unit that is under way
    HELD = 3  #: its worker did not start it, for a task had failed that may stop the run
    PAUSED = 4  #: has failed, and is tried again when a pause is over
    SUSPECTED = 5  #: may have broken a pool, or ran out of memory; runs with nothing beside it
    DONE = 6
    FAILED = 7
    SKIPPED = 8


WAITING, READY, SENT = State.WAITING, State.READY, State.SENT
HELD, PAUSED, SUSPECTED = State.HELD, State.PAUSED, State.SUSPECTED
DONE, FAILED, SKIPPED = State.DONE, State.FAILED, State.SKIPPED

#: Which states may follow which. Whatever else is tried is a mistake of the scheduler's.
TRANSITIONS: dict[State, frozenset[State]] = {
    WAITING: frozenset({READY, SENT, SKIPPED}),
    READY: frozenset({SENT, WAITING, SKIPPED}),
    SENT: frozenset({DONE, FAILED, PAUSED, HELD, SUSPECTED, READY, WAITING, SKIPPED}),
    HELD: frozenset({READY, WAITING, SKIPPED}),
    PAUSED: frozenset({READY, WAITING, SKIPPED}),
    SUSPECTED: frozenset({SENT, READY, WAITING, SKIPPED}),
    DONE: frozenset({READY, WAITING}),
    FAILED: frozenset(),
    SKIPPED: frozenset(),
}
#: States of tasks that no unit and no wait holds, so that they can be skipped.
IDLE = frozenset({WAITING, READY})


class TaskState:
    """One task.

    Attributes:
        index: Its position among the nodes of the run.
        state: Where it is in its life.
        missing: Number of its parents that are not done.
        attempt: Number of its tries; those lost through no fault of its own do not count.
        unit: The unit that it is in while it is SENT.
        sent: When (s, of `time.monotonic`) that unit was sent, of tasks with a time limit.
        unstored: Whether what it made is nowhere but in its worker, for the next task there.
        timed_out: Whether its worker was ended for its time limit.
        starved: Whether it ran out of memory with others beside it.
        pardoned: Whether a pool broke with it alone in it, that may have broken for another.
    """

    __slots__ = (
        "attempt", "index", "missing", "pardoned", "sent", "starved", "state", "timed_out", "unit",
        "unstored",
    )  # fmt: skip

    def __init__(self, index: int, missing: int) -> None:
        self.index = index
        self.state = WAITING if missing else READY
        self.missing = missing
        self.attempt = 0
        self.unit: Unit | None = None
        self.sent = 0.0
        self.unstored = self.timed_out = self.starved = self.pardoned = False


class Unit:
    """Tasks that one worker runs, one after the other.

    A unit is closed: each parent of its tasks is done, or is before it in the unit, or in the unit
    that it is queued behind.

    Attributes:
        number: No other unit of the run has the same; an outcome that bears it is of this unit.
        lane: Which workers it is for.
        nodes: Its tasks, in the order in which they run.
        left: Those of them that have no outcome yet, in the same order; a dict as an ordered set.
        alone: Whether nothing may run beside it.
        taken: What it has taken of resources, by name.
        handing: Whether a task of it has run whose values only its worker has.
        attempts: Which try it is, of those that are not tried for the first time.
        behind: Number of the unit that it is queued behind, at the same worker; 0 if of none.
        followed: Whether nothing more can be queued behind it.
    """

    __slots__ = (
        "alone", "attempts", "behind", "followed", "handing", "lane", "left", "nodes", "number",
        "taken",
    )  # fmt: skip

    def __init__(self, number: int, lane: int, nodes: Sequence[int], *, alone: bool) -> None:
        self.number, self.lane, self.nodes, self.alone = number, lane, nodes, alone
        self.left = dict.fromkeys(nodes)
        self.taken: dict[str, float] = {}
        self.handing = False
        self.attempts: dict[int, int] = {}
        self.behind, self.followed = 0, alone


class TransitionLog:
    """The latest changes of state, for who has to find out what went wrong."""

    def __init__(self) -> None:
        self._changes: deque[tuple[Any, State, State, Unit | None]] = deque(maxlen=_REMEMBERED)

    def note(self, node: int, before: State, after: State) -> None:
        """One task has changed."""
        self._changes.append((node, before, after, None))

    def note_unit(self, unit: Unit) -> None:
        """All tasks of a unit were sent."""
        self._changes.append((unit.nodes, READY, SENT, unit))

    def note_done(self, unit: Unit, nodes: Sequence[int]) -> None:
        """Some tasks of a unit are done."""
        self._changes.append((nodes, SENT, DONE, unit))

    def of(self, node: int) -> list[str]:
        """What is known of a task, oldest first."""
        found = []
        for nodes, before, after, unit in self._changes:
            if nodes == node:
                found.append(f"{before.name} -> {after.name}")
            elif unit is not None and node in nodes:
                found.append(f"{after.name} in unit {unit.number} of {len(unit.nodes)}")
        return found


class TransitionError(RuntimeError):
    """A change of state that there is not: a mistake of Motorpool's."""

    def __init__(self, node: str, before: State, after: State, story: Sequence[str]) -> None:
        known = "; ".join(story) or "nothing"
        super().__init__(
            f"The node {node!r} cannot go from {before.name} to {after.name}. This is a mistake "
            f"of Motorpool's, please report it. What is known of the node: {known}."
        )
