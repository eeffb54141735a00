"""Observers for the command line: what is written to a file, and what is said in the end."""

from __future__ import annotations

import dataclasses
import json
from typing import IO, TYPE_CHECKING, Any

from motorpool._protocol.failure import summary_of
from motorpool.events import NodeSkipped, RunFinished, RunSummary

if TYPE_CHECKING:
    from pathlib import Path

    from motorpool._report.recording import Recording
    from motorpool.events import Event


class EventFile:
    """Writes each event as a line of JSON.

    Args:
        file: Where to write.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._encode = json.JSONEncoder(default=_plain).encode
        self._fields: dict[type[Event], list[str]] = {}

    def on_event(self, event: Event) -> None:
        """Write a line: the fields of the event, and its class as `event`."""
        kind = type(event)
        if kind not in self._fields:
            self._fields[kind] = [field.name for field in dataclasses.fields(event)]
        line: dict[str, Any] = {"event": kind.__name__}
        for name in self._fields[kind]:
            line[name] = getattr(event, name)
        self._file.write(self._encode(line) + "\n")
        if isinstance(event, RunFinished):
            self._file.flush()


class SummaryFile:
    """Writes what a run came to as JSON, also after a failure.

    Args:
        file: Where to write.
    """

    wants = (RunFinished,)

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def on_event(self, event: Event) -> None:
        """Write it."""
        if isinstance(event, RunFinished):
            json.dump(event.summary.as_dict(), self._file, indent=2)
            self._file.write("\n")
            self._file.flush()


class Files:
    """The files that a run writes about itself.

    Args:
        events: For each event, or None.
        summary: For the summary, or None.
        report: For a page, or None.
        trace: For a trace, or None.
        target: What is run.

    Attributes:
        observers: What writes them.
        pipeline: What is run; to be set before the run is over.
    """

    def __init__(
        self, events: IO[str] | None, summary: IO[str] | None, report: Path | None,
        trace: Path | None, target: str,
    ) -> None:  # fmt: skip
        self.observers: list[Any] = [EventFile(events)] if events else []
        self.observers += [SummaryFile(summary)] if summary else []
        self.pipeline: Any = None
        self._report, self._trace, self._target = report, trace, target
        if report or trace:  # which few runs need; all of `_report` takes 20 ms to import
            from motorpool._report.recording import Recording  # noqa: PLC0415

            self.observers.append(Recording(self._write))

    def _write(self, run: Recording) -> None:
        from motorpool._report.bars import Shape  # noqa: PLC0415, as above
        from motorpool._report.page import command_line  # noqa: PLC0415
        from motorpool._report.run_page import run_page  # noqa: PLC0415
        from motorpool._report.trace import write_trace  # noqa: PLC0415

        if self._trace is not None:
            with self._trace.open("w", encoding="utf-8") as file:
                write_trace(file, run)
        if self._report is not None:
            text = run_page(run, Shape.of(self.pipeline), self._target, command_line())
            self._report.write_text(text, encoding="utf-8")


class Outcome:
    """Keeps the last word of a run, which is said after a failure as well."""

    wants = (NodeSkipped, RunFinished)

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
    if isinstance(value, RunSummary):
        return value.as_dict(nodes=False)  # each has an event of its own
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, BaseException):
        return summary_of(value)
    return str(value)
