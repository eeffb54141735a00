"""What to do when a node fails: as the node says, or else as the run says."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from motorpool._pipeline.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a run says.

    Attributes:
        on_failure: "stop", "continue" or "kill".
        retries: How to try a node again that does not say so itself.
        timeout: Seconds until a running node is ended that does not say so itself.
    """

    on_failure: str
    retries: int | Retry
    timeout: float | None

    def retries_of(self, nodes: Sequence[Any]) -> list[Retry]:
        """How to try each node again."""
        usual, known = Retry.of(self.retries), lru_cache(maxsize=64)(Retry.of)
        own = (getattr(node, "retries", None) for node in nodes)
        return [usual if each is None else known(each) for each in own]

    def timeouts_of(self, nodes: Sequence[Any]) -> list[float | None]:
        """Seconds until each node is ended when it runs, or None."""
        own = (getattr(node, "timeout", None) for node in nodes)
        return [self.timeout if each is None else float(each) for each in own]


class Attempts:
    """Counts the tries of each node, and keeps those that pause before the next one.

    Args:
        nodes: The nodes.
        policy: What the run says.
    """

    def __init__(self, nodes: Sequence[Any], policy: Policy) -> None:
        self._policy = policy
        self._retries = policy.retries_of(nodes)
        self._counts = [0] * len(nodes)
        self._pausing: list[tuple[float, int]] = []

    def __getitem__(self, node: int) -> int:
        """Which try of a node it is, from 1."""
        return self._counts[node]

    def begin(self, node: int) -> int:
        """Count a try, and return its number."""
        self._counts[node] += 1
        return self._counts[node]

    def may_stop(self, node: int) -> bool:
        """Whether a failure of the present try stops the run, as far as is known."""
        if self._policy.on_failure == "continue":
            return False
        retry = self._retries[node]
        return self._counts[node] > retry.count or retry.on is not BaseException

    def uncharge(self, node: int) -> None:
        """Take a try back that was lost through no fault of the node."""
        self._counts[node] -= 1

    def pause_after(self, node: int, error: BaseException) -> float | None:
        """Seconds to wait before a failed node is tried again; None if it is not."""
        retry = self._retries[node]
        count = self._counts[node]
        return retry.pause(count) if count <= retry.count and retry.wants(error) else None

    def park(self, node: int, until: float) -> None:
        """Keep a node until its pause is over (seconds, of the clock that `due` uses)."""
        heapq.heappush(self._pausing, (until, node))

    @property
    def next_due(self) -> float | None:
        """When the next pause is over, or None without any."""
        return self._pausing[0][0] if self._pausing else None

    def due(self, now: float) -> list[int]:
        """Take out the nodes whose pause is over."""
        found = []
        while self._pausing and self._pausing[0][0] <= now:
            found.append(heapq.heappop(self._pausing)[1])
        return found

    def drop(self) -> list[int]:
        """Take out all nodes that pause."""
        found = [node for _, node in self._pausing]
        self._pausing.clear()
        return sorted(found)
