"""Shows how far a run is: on a terminal, or in a notebook."""

from __future__ import annotations

import html
import sys
import time
from typing import TYPE_CHECKING, Any

from motorpool._wording import counted
from motorpool.events import NodeFailed, NodeSkipped, RunFinished, RunProgressed, RunStarted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from motorpool.events import Event, Observer

_BAR_WIDTH = 24
_MOST_SHOWN = 3


class Progress:
    """What there is to show, brought up to date by events.

    Attributes:
        done: Number of nodes that have run.
        failed: Number of nodes that have failed for good.
        total: Number of nodes; 0 before that is known.
    """

    wants = (RunStarted, RunProgressed, NodeFailed, NodeSkipped, RunFinished)

    def __init__(self) -> None:
        self.done = self.failed = self.skipped = self.total = 0
        self._phase = ""
        self._began = time.monotonic()
        self._ended: float | None = None
        self._running: list[tuple[str, float | None]] = []  # and since when

    def say(self, phase: str) -> None:
        """Show what is happening before the first node."""
        self._phase, self._began = phase, time.monotonic()

    def note(self, event: Event) -> None:
        """Take an event into account."""
        now = time.monotonic()
        if isinstance(event, RunStarted):
            self.total, self._began = event.nodes, now
            self._phase = "starting workers, which import what they need"
        elif isinstance(event, RunProgressed):
            self.done, self.failed = event.completed, event.failed
            times = zip(event.running, event.seconds, strict=True)
            self._running = [(n, None if s is None else now - s) for n, s in times]
            if self._running or self.done or self.failed:
                self._phase = ""
        elif isinstance(event, NodeFailed):
            self.failed += not event.retried
        elif isinstance(event, NodeSkipped):
            self.skipped += 1
        elif isinstance(event, RunFinished):
            summary = event.summary
            self.done, self.failed = summary.completed, len(summary.failed)
            self.skipped, self._ended = summary.skipped, now
            self._running, self._phase = [], ""

    @property
    def seconds(self) -> float:
        """Seconds since the run has begun, or the phase before it."""
        return (self._ended or time.monotonic()) - self._began

    def status(self) -> str:
        """What runs, and for how long; or what is happening before anything does."""
        now = time.monotonic()
        parts = [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        shown = [
            name if since is None else f"{name} {_clock(now - since)}"
            for name, since in self._running[:_MOST_SHOWN]
        ]
        more = len(self._running) - len(shown)
        shown += [f"{more} more"] if more > 0 else []
        parts += [self._phase] if self._phase else []
        return "; ".join([*parts, *([f"running: {', '.join(shown)}"] if shown else [])])


class TerminalProgress:
    """A line on a terminal that is drawn again ten times a second, whatever happens.

    Args:
        console: The terminal; by default standard error.
    """

    wants = Progress.wants

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console  # noqa: PLC0415, rich takes 50 ms to import
        from rich.live import Live  # noqa: PLC0415, as above

        self._progress = Progress()
        self._live = Live(
            console=console or Console(stderr=True), get_renderable=self._line,
            refresh_per_second=10, redirect_stdout=sys.stdout.isatty(),
        )  # fmt: skip

    def say(self, phase: str) -> None:
        """Show what is happening before the run."""
        self._progress.say(phase)
        self._live.start()
        self._live.refresh()

    def on_event(self, event: Event) -> None:
        """Draw from here on what an event says."""
        self._progress.note(event)
        if isinstance(event, RunStarted):
            self._live.start()
        elif isinstance(event, RunFinished):
            self.close()

    def close(self) -> None:
        """Leave the line as it is."""
        self._live.stop()

    def _line(self) -> RenderableType:
        from rich.progress_bar import ProgressBar  # noqa: PLC0415, as above
        from rich.table import Table  # noqa: PLC0415, as above
        from rich.text import Text  # noqa: PLC0415, as above

        progress = self._progress
        line = Table.grid(padding=(0, 1))
        for _ in range(4):
            line.add_column(no_wrap=True, overflow="ellipsis")
        style = "red" if progress.failed else "bar.complete"
        bar = ProgressBar(
            total=progress.total or None, completed=progress.done, width=_BAR_WIDTH,
            complete_style=style, finished_style=style,
        )  # fmt: skip
        count = f"{progress.done}/{progress.total} nodes" if progress.total else ""
        line.add_row(count, bar, _clock(progress.seconds), Text(progress.status()))
        return line


class NotebookProgress:
    """The same in the output of a notebook's cell."""

    wants = Progress.wants

    def __init__(self) -> None:
        self._progress = Progress()
        self._handle: Any = None

    def on_event(self, event: Event) -> None:
        """Show what an event says; between events nothing changes but times."""
        from IPython.display import HTML, display  # noqa: PLC0415, only there is this used

        self._progress.note(event)
        if isinstance(event, NodeFailed | NodeSkipped):
            return  # what follows shows it
        shown = HTML(self._html())  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)

    def _html(self) -> str:
        progress = self._progress
        return (
            f'<progress value="{progress.done}" max="{progress.total}"></progress> '
            f"{progress.done} of {counted(progress.total, 'node')}, {_clock(progress.seconds)} "
            f"{html.escape(progress.status())}"
        )


def progress_for(wanted: bool | str) -> Observer | None:
    """What shows a run here.

    Args:
        wanted: True, False, or "auto" for only where somebody may see it.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if wanted and getattr(shell, "kernel", None) is not None:
        return NotebookProgress()
    if wanted is True or (wanted == "auto" and sys.stderr.isatty()):
        return TerminalProgress()
    return None


def _clock(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004, a minute
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
