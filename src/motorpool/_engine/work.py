"""What the lanes of a run have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from motorpool._engine.exchange import Values
    from motorpool._engine.policy import Policy
    from motorpool._engine.recorder import Meter, Reporter
    from motorpool._engine.scheduler import Scheduler
    from motorpool._engine.stretches import Stretches
    from motorpool._engine.tokens import Tokens


class Work(NamedTuple):
    """What all lanes of a run have in common.

    Attributes:
        nodes: The nodes, in a topological order.
        functions: For each the number of its function.
        fingerprints: Of each function, what it is known by in other pipelines.
        scheduler: Decides what becomes of each.
        stretches: Which nodes hand values to the next one in the same worker.
        expected: Seconds that each took in an earlier run, or None.
        policy: What to do when a node fails.
        report: Calls the observers.
        meter: Adds up what nodes have taken.
        values: Holds the data.
        tokens: What there is of resources.
        writes: For each node the numbers of the datasets that it writes.
        fetch: Brings what nodes read from where another lane has left it; returns a node for
            which that fails, and why. None where there is no other.
    """

    nodes: Sequence[Any]
    functions: Sequence[int]
    fingerprints: Sequence[str]
    scheduler: Scheduler
    stretches: Stretches
    expected: Sequence[float | None]
    policy: Policy
    report: Reporter
    meter: Meter
    values: Values
    tokens: Tokens
    writes: Sequence[Sequence[int]]
    fetch: Callable[[Sequence[int]], tuple[int, Exception] | None] | None
