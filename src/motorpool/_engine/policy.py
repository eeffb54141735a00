"""What to do when a node fails: as the node says, or else as the run says."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motorpool._pipeline.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._engine.state import TaskState, Unit


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
        own = [getattr(node, "retries", None) for node in nodes]
        known = {each: Retry.of(self.retries if each is None else each) for each in set(own)}
        return [known[each] for each in own]

    def timeouts_of(self, nodes: Sequence[Any]) -> list[float | None]:
        """Seconds until each node is ended when it runs, or None."""
        own = (getattr(node, "timeout", None) for node in nodes)
        return [self.timeout if each is None else float(each) for each in own]


class Retries:
    """Says whether a failed task is tried again, and keeps those that pause before that.

    Args:
        nodes: The nodes.
        policy: What the run says.
    """

    def __init__(self, nodes: Sequence[Any], policy: Policy) -> None:
        self._goes_on = policy.on_failure == "continue"
        self._retries = policy.retries_of(nodes)
        self._are_none = not any(retry.count for retry in self._retries)
        self._pausing: list[tuple[float, int]] = []

    def may_stop(self, task: TaskState) -> bool:
        """Whether a failure of the present try stops the run, as far as is known."""
        if self._goes_on:
            return False
        return self._may_stop(self._retries[task.index], task.attempt)

    @staticmethod
    def _may_stop(retry: Retry, attempt: int) -> bool:
        return attempt > retry.count or retry.on is not BaseException

    def holding(self, unit: Unit) -> frozenset[int] | None:
        """The tasks of a unit whose failure may stop the run; None for all."""
        if self._goes_on:
            return frozenset()
        if self._are_none:
            return None
        retries, attempts = self._retries, unit.attempts
        return frozenset(
            node for node in unit.nodes
            if self._may_stop(retries[node], attempts.get(node, 1))
        )  # fmt: skip

    def pause_after(self, task: TaskState, error: BaseException) -> float | None:
        """Seconds to wait before a failed task is tried again; None if it is not."""
        retry, count = self._retries[task.index], task.attempt
        return retry.pause(count) if count <= retry.count and retry.wants(error) else None

    def park(self, node: int, until: float) -> None:
        """Keep a task until its pause is over (seconds, of the clock that `due` uses)."""
        heapq.heappush(self._pausing, (until, node))

    @property
    def next_due(self) -> float | None:
        """When the next pause is over, or None without any."""
        return self._pausing[0][0] if self._pausing else None

    def due(self, now: float) -> list[int]:
        """Take out the tasks whose pause is over."""
        found = []
        while self._pausing and self._pausing[0][0] <= now:
            found.append(heapq.heappop(self._pausing)[1])
        return found

    def drop(self) -> list[int]:
        """Take out all tasks that pause."""
        found = [node for _, node in self._pausing]
        self._pausing.clear()
        return sorted(found)
