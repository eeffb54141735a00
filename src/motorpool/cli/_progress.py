"""The progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from motorpool.events import RunFinished, RunProgressed, RunStarted

if TYPE_CHECKING:
    from rich.console import Console

    from motorpool.events import Event


class ProgressBar:
    """Shows how many nodes are through, and some that are under way.

    Args:
        console: Where to show it.
    """

    wants = (RunStarted, RunProgressed, RunFinished)

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("[progress.description]{task.description}"), BarColumn(),
            MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[running]}"),
            console=console,
        )  # fmt: skip
        self._task = self._progress.add_task("nodes", total=None, running="")

    def on_event(self, event: Event) -> None:
        """Redraw."""
        if isinstance(event, RunStarted):
            self._progress.update(self._task, total=event.nodes)
            self._progress.start()
        elif isinstance(event, RunProgressed):
            names = ", ".join(event.running)
            self._progress.update(self._task, completed=event.finished, running=names)
        elif isinstance(event, RunFinished):
            summary = event.summary
            finished = summary.completed + len(summary.failed) + summary.skipped
            self._progress.update(self._task, completed=finished, running="")
            self._progress.stop()
