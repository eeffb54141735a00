"""What the lanes of a run have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from motorpool._engine.ledger import Ledger
    from motorpool._engine.policy import Policy
    from motorpool._engine.recorder import Reporter


class Work(NamedTuple):
    """What all lanes of a run have in common.

    Attributes:
        ledger: What has become of each node.
        nodes: The nodes, in a topological order.
        expected: Seconds that each took in an earlier run, or None.
        policy: What to do when a node fails.
        report: Calls the observers.
        fetch: Brings what nodes read from where another lane has left it; returns a node for
            which that fails, and why. None where there is no other.
    """

    ledger: Ledger
    nodes: Sequence[Any]
    expected: Sequence[float | None]
    policy: Policy
    report: Reporter
    fetch: Callable[[Sequence[int]], tuple[int, Exception] | None] | None
