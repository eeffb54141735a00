"""Says how a run goes in the words of Kedro's runners, and remembers what is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool.events import NodeCompleted, NodeFailed, RunStarted

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

    from motorpool.events import Event


class Narrator:
    """An observer of one run.

    Args:
        logger: Where to say it.

    Attributes:
        started: Whether the run has passed all checks.
        done: Names of the nodes that have run.
        failed: Names of those that have failed for good, the first one first.
    """

    wants = (RunStarted, NodeCompleted, NodeFailed)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._total = 0
        self.started = False
        self.done: set[str] = set()
        self.failed: list[str] = []

    def done_of(self, nodes: Iterable[Any]) -> list[Any]:
        """Those of the nodes that have run."""
        return [node for node in nodes if node.name in self.done]

    def on_event(self, event: Event) -> None:
        """Say what Kedro says of it."""
        if isinstance(event, RunStarted):
            self.started, self._total = True, event.nodes
        elif isinstance(event, NodeFailed):
            self.failed += [] if event.retried else [event.node]
        elif isinstance(event, NodeCompleted):
            self.done.add(event.node)
            self._logger.info("Completed node: %s", event.node)
            self._logger.info("Completed %d out of %d tasks", len(self.done), self._total)
