"""Which running node has how long, and whose time is up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._engine.pool import Pool
    from motorpool._engine.transport import Transport
    from motorpool._protocol.status import Started

# How long to wait, in seconds, before looking again whether a node with a deadline has started.
_NOT_STARTED = 0.05


class Deadlines:
    """Knows which running node has how long.

    A deadline counts from the moment when a worker starts the node, not from its submission.

    Args:
        transport: Knows when workers have started what.
        limits: For each node, the seconds that it has, or None.

    Attributes:
        limits: The same.
        killed: Process ids of workers that were ended for a deadline.
    """

    def __init__(self, transport: Transport, limits: Sequence[float | None]) -> None:
        self._transport = transport
        self.limits = limits
        self._watched: dict[int, float] = {}  # and when each was submitted
        self._expired: set[int] = set()
        self.killed: set[int] = set()

    def watch(self, node: int) -> None:
        """A node was submitted."""
        if self.limits[node] is not None:
            self._watched[node] = time.monotonic()
            self._expired.discard(node)

    def forget(self, node: int) -> None:
        """A node has come back."""
        if self._watched:
            self._watched.pop(node, None)

    def pause(self) -> float | None:
        """Seconds until there is something to look at; None if there will not be."""
        if not self._watched:
            return None
        now = time.monotonic()
        pauses = []
        for node in self._watched:
            deadline = self._deadline(node, self._transport.running(node))
            pauses.append(_NOT_STARTED if deadline is None else deadline - now)
        return max(0.0, min(pauses))

    def _deadline(self, node: int, started: Started | None) -> float | None:
        """When a running node's time is up.

        A stamp may be read while it is written; no node has started before it was submitted.
        """
        if started is None:
            return None
        return max(started.time, self._watched[node]) + (self.limits[node] or 0.0)

    def due(self, now: float) -> list[Started]:
        """The workers that are past a deadline; each is returned once."""
        found = []
        for node in list(self._watched):
            started = self._transport.running(node)
            deadline = self._deadline(node, started)
            if started is not None and deadline is not None and now >= deadline:
                del self._watched[node]
                self._expired.add(node)
                self.killed.add(started.pid)
                found.append(started)
        return found

    def enforce(self, pool: Pool) -> None:
        """End the workers of nodes that are past their deadline."""
        for started in self.due(time.monotonic()):
            pool.kill_worker(started.pid)

    def has_expired(self, node: int | None) -> bool:
        """Whether a node's worker was killed for its deadline."""
        return node in self._expired

    def take_expired(self, node: int) -> bool:
        """The same, and forget it, for the node may be tried again."""
        if node not in self._expired:
            return False
        self._expired.discard(node)
        return True
