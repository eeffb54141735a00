"""Says in the log how a run goes, in the words of Kedro's runners.

What goes wrong is a warning, and said by the `Reporter`, whether or not this is read.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from motorpool._wording import counted
from motorpool.events import (
    NodeCompleted,
    NodeSkipped,
    RunFinished,
    RunStarted,
)

if TYPE_CHECKING:
    from motorpool.events import Event

_logger = logging.getLogger("motorpool")


class LogObserver:
    """Writes a line for each node that has run or been given up."""

    def __init__(self) -> None:
        self._total = 0
        self._completed = 0

    @staticmethod
    def is_wanted() -> bool:
        """Whether the log level lets the lines through."""
        return _logger.isEnabledFor(logging.INFO)

    def on_event(self, event: Event) -> None:
        """Write what an event calls for."""
        match event:
            case RunStarted():
                self._total = event.nodes
                _logger.info(
                    "Running %s on backend %r, %d at a time",
                    counted(event.nodes, "node"), event.backend, event.max_workers,
                )  # fmt: skip
            case NodeCompleted():
                self._completed += 1
                _logger.info(
                    "Completed node: %s (%.2f s), %d out of %d",
                    event.node, event.seconds, self._completed, self._total,
                )  # fmt: skip
            case NodeSkipped():
                _logger.info("Skipped node: %s (%s)", event.node, event.reason)
            case RunFinished() if not event.resume_from:
                _logger.info(
                    "Pipeline execution completed successfully in %.1f sec.",
                    event.summary.wall_time,
                )
