"""What the driver hears of nodes while they are under way: status table, outcomes, logs.

They lie in a folder of the run that workers on the same machine write to; where there is none,
nodes are heard of when their envelopes come back.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from motorpool._engine.transport import Transport
from motorpool._protocol.faults import last_words
from motorpool._protocol.logs import LogReader
from motorpool._protocol.spool import OUTCOMES, SpoolReader
from motorpool._protocol.status import STATUS, StatusTable

if TYPE_CHECKING:
    from motorpool._protocol.status import Started


class TrackedTransport(Transport):
    """Knows which nodes have started, and what workers have said, by files that they share.

    Args:
        scratch: The folder, or None.
    """

    def __init__(self, scratch: str | None) -> None:
        self._scratch = scratch
        self._status: StatusTable | None = None
        self._logs: LogReader | None = None
        self._outcomes: SpoolReader | None = None
        self._last_poll = 0.0

    def _open_files(self, nodes: int) -> None:
        """Make the folder, and a status table for so many nodes."""
        if not self._scratch:
            return
        scratch = Path(self._scratch)
        scratch.mkdir(mode=0o700)
        self._status = StatusTable(scratch / STATUS, nodes)
        self._logs = LogReader(scratch)
        self._outcomes = SpoolReader(scratch, OUTCOMES)
        self._last_poll = time.monotonic()

    def _read_logs(self) -> None:
        if self._logs is not None:
            self._logs.read()

    def running(self, node: int) -> Started | None:
        """Which worker has started a node that it has not finished."""
        return self._status.running(node) if self._status else None

    def finished(self, node: int) -> Started | None:
        """Which worker has finished a node whose outcome is not here."""
        return self._status.finished(node) if self._status else None

    def last_words(self, pid: int | None) -> str:
        """What a worker wrote when it died of a signal."""
        if pid is None or not self._scratch:
            return ""
        return last_words(Path(self._scratch), pid)

    @property
    def tracks_starts(self) -> bool:
        """Whether `running` knows: there is a status table."""
        return self._status is not None

    def stop(self) -> None:
        """Ask workers to start nothing more."""
        if self._status is not None:
            self._status.stop()

    def go_on(self) -> None:
        """Let workers start nodes again."""
        if self._status is not None:
            self._status.go_on()

    def press(self, *, waiting: bool) -> None:
        """Let workers know whether nodes wait for them."""
        if self._status is not None:
            self._status.press(waiting)

    def poll(self, interval: float = 0.0) -> list[bytes]:
        """Hand on what workers have logged, and return what is ahead of its future."""
        if self._logs is None or self._outcomes is None:
            return []
        now = time.monotonic()
        if now < self._last_poll + interval:
            return []
        self._last_poll = now
        self._logs.read()
        return list(self._outcomes.read())

    def close(self) -> None:
        """Remove the folder."""
        if self._status is not None:
            self._status.close()
        if self._scratch:
            _remove(self._scratch)


def _remove(folder: str) -> None:
    """Remove a folder of files; `shutil` takes as long again for what might be in between."""
    with contextlib.suppress(OSError):
        for file in os.scandir(folder):
            os.unlink(file.path)  # noqa: PTH108, a Path costs as much as the rest
        os.rmdir(folder)  # noqa: PTH106, likewise
