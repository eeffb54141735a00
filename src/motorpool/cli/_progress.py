"""Observers for the terminal and for files."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import IO, TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from motorpool._failure import summary_of
from motorpool.events import (
    NodeCompleted,
    NodeFailed,
    NodeSkipped,
    NodeSubmitted,
    RunFinished,
    RunStarted,
    WorkerLost,
)

if TYPE_CHECKING:
    from rich.console import Console

    from motorpool.events import Event

# The eye sees no more; at 100,000 nodes an update for each would cost more than the nodes.
_INTERVAL = 0.1


class ProgressBar:
    """Shows how many nodes are through, and some that are under way.

    Args:
        console: Where to show it.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("[progress.description]{task.description}"), BarColumn(),
            MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[running]}"),
            console=console,
        )  # fmt: skip
        self._task = self._progress.add_task("nodes", total=None, running="")
        self._submitted: dict[str, None] = {}
        self._over: set[str] = set()
        self._shown = 0.0

    def on_event(self, event: Event) -> None:
        """Keep count; redraw now and then."""
        match event:
            case RunStarted():
                self._progress.update(self._task, total=event.nodes)
                self._progress.start()
            case NodeSubmitted():
                self._submitted[event.node] = None
            case NodeCompleted() | NodeFailed(retried=False) | NodeSkipped():
                self._submitted.pop(event.node, None)
                self._over.add(event.node)
            case WorkerLost():  # with values of nodes that were done
                self._over.difference_update(event.innocent)
            case RunFinished():
                self._shown = 0.0
                self._submitted.clear()
        if time.monotonic() - self._shown > _INTERVAL:
            self._show()
        if isinstance(event, RunFinished):
            self._progress.stop()

    def _show(self) -> None:
        self._shown = time.monotonic()
        names = list(self._submitted)[:3]
        self._progress.update(self._task, completed=len(self._over), running=", ".join(names))


class EventFile:
    """Writes each event as a line of JSON.

    Args:
        file: Where to write.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def on_event(self, event: Event) -> None:
        """Write a line: the fields of the event, and its class as `event`."""
        fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
        line = json.dumps({"event": type(event).__name__, **fields}, default=_plain)
        self._file.write(line + "\n")
        if isinstance(event, RunFinished):
            self._file.flush()


class Outcome:
    """Keeps the last word of a run, which is said after a failure as well."""

    def __init__(self) -> None:
        self.finished: RunFinished | None = None
        self.skipped: dict[str, list[str]] = {}  # by reason

    def on_event(self, event: Event) -> None:
        """Remember the end, and what was skipped and why."""
        if isinstance(event, NodeSkipped):
            self.skipped.setdefault(event.reason, []).append(event.node)
        elif isinstance(event, RunFinished):
            self.finished = event


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, BaseException):
        return summary_of(value)
    return str(value)
