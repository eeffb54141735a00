"""What a unit leaves for one that was queued behind it, before the driver has heard of either.

Its nodes find in the worker what those of the unit before have made. Whatever comes between, they
do not start then, and go back to the driver: a node before them has failed or was left alone, the
worker has had another unit meanwhile, or it is another worker, for the first one has died.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from motorpool._store import Payload
    from motorpool._worker.unit import UnitRun


class LeftBehind(NamedTuple):
    """What a unit has left in its worker.

    Attributes:
        number: The unit.
        missing: Its nodes that have failed, or not run.
        as_is: Values by number, as they are.
        stored: Others, as payloads.
    """

    number: int
    missing: set[int]
    as_is: dict[int, Any]
    stored: dict[int, Payload]


def left_by(unit: UnitRun) -> LeftBehind | None:
    """What a unit that is over has left; None if no node waits for one of its own."""
    load, values = unit.load, unit.values
    if not load.leads_on:
        return None
    wanted = load.wanted
    if wanted is None:
        wanted = frozenset(n for node in load.nodes for n in unit.session.writes[node])
    return LeftBehind(
        load.number, unit.lost.intersection(load.nodes).union(load.nodes[unit.at :]),
        {n: values.as_is[n] for n in wanted if n in values.as_is},
        {n: values.stored[n] for n in wanted if n in values.stored},
    )  # fmt: skip


def follow(unit: UnitRun) -> None:
    """Give a unit what the one that it is queued behind has left; else let it have no node."""
    before, nodes = unit.session.left, unit.load.nodes
    if before is None or before.number != unit.load.behind:
        unit.lost, unit.at = set(nodes), len(nodes)
        return
    if before.missing:
        parents = (p for node in nodes for p in unit.session.parents(node))
        unit.lost = before.missing.intersection(parents)
    unit.values.as_is.update(before.as_is)
    unit.values.stored = before.stored | unit.values.stored
