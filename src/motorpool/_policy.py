"""What to do when a node fails: as the node says, or else as the run says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a run says.

    Attributes:
        on_failure: "stop", "continue" or "kill".
        retries: How often to try a node again that does not say so itself.
        timeout: Seconds until a running node is ended that does not say so itself.
    """

    on_failure: str
    retries: int
    timeout: float | None

    def retries_of(self, node: Any) -> int:
        """How often to try a node again."""
        own = getattr(node, "retries", None)
        return self.retries if own is None else int(own)

    def timeout_of(self, node: Any) -> float | None:
        """Seconds until a running node is ended, or None."""
        own = getattr(node, "timeout", None)
        return self.timeout if own is None else float(own)
