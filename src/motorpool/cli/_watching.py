"""What people see of a run while it runs: a progress bar, or else log lines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from motorpool._run.result import RESUME_HINT
from motorpool._system.kedro_project import project_of
from motorpool._system.loggers import named_loggers


class Watching:
    """A progress bar, or log lines; all of it on standard error.

    Args:
        target: What is about to be imported.
        show_bar: Whether there is a bar; None for only on a terminal.

    Attributes:
        bars: Observers that draw it.
    """

    def __init__(self, target: str, *, show_bar: bool | None) -> None:
        self.bars: list[Any] = []
        self._handler: logging.Handler | None = None
        shows = sys.stderr.isatty() if show_bar is None else show_bar
        if shows:  # rich takes as long to import as a small run takes
            from rich.console import Console  # noqa: PLC0415
            from rich.logging import RichHandler  # noqa: PLC0415

            from motorpool._run.progress import TerminalProgress  # noqa: PLC0415

            console = Console(stderr=True)
            self._handler = RichHandler(console=console, show_path=False)
            logging.basicConfig(format="%(name)s: %(message)s", handlers=[self._handler])
            self.bars = [TerminalProgress(console)]
            self.bars[0].say(f"importing {target}")
            click.get_current_context().call_on_close(self.bars[0].close)
        else:
            logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
            if project_of(target) is None:  # a project has settings of its own
                logging.getLogger().setLevel(logging.INFO)
        # What it would say of resuming is said here as a command.
        logging.getLogger("motorpool").addFilter(lambda record: record.msg != RESUME_HINT)

    def move_logs(self) -> None:
        """Move log lines that a project's own settings would write to standard output.

        That is for what --print asks for, and for what nodes print; and lines beside a bar would
        be drawn over.
        """
        root = logging.getLogger()
        for logger in (root, *named_loggers().values()):
            for handler in [h for h in logger.handlers if _is_on_terminal(h)]:
                if self._handler is not None and handler is not self._handler:
                    logger.removeHandler(handler)
                    place = root if logger.propagate else logger  # once for each line
                    place.addHandler(self._handler)  # which does nothing if it is there
                elif isinstance(handler, logging.StreamHandler):
                    handler.setStream(sys.stderr)
                elif self._handler is None:
                    handler.console.file = sys.stderr  # type: ignore[attr-defined]


def _is_on_terminal(handler: logging.Handler) -> bool:
    """Whether a handler writes to standard output or error, by itself or by rich."""
    own = getattr(handler, "stream", None)
    stream = own or getattr(getattr(handler, "console", None), "file", None)
    terminal = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return stream is not None and any(stream is each for each in terminal)
