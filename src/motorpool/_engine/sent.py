"""What workers have been sent of a plan, kept for the next run of the same plan.

It is kept with the pool, if nothing went wrong in the run. The next one needs no more than a name
of its own: workers find their session, and the files that they share with the driver are there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from typing import TYPE_CHECKING

from motorpool._protocol.faults import last_words
from motorpool._protocol.logs import LogReader
from motorpool._protocol.spool import OUTCOMES, SpoolReader, listed
from motorpool._protocol.status import STATUS, StatusTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class RunFiles:
    """A folder that the driver of a run shares with its workers.

    Args:
        parent: Where to make it.
        nodes: Number of nodes.

    Attributes:
        folder: The folder.
        status: Which worker is at which node.
    """

    def __init__(self, parent: Path, nodes: int) -> None:
        self.folder = parent / secrets.token_hex(8)
        self.folder.mkdir(mode=0o700)
        try:
            self.status = StatusTable(self.folder / STATUS, nodes)
        except BaseException:
            self._remove()
            raise
        self._logs = LogReader(self.folder)
        self._outcomes = SpoolReader(self.folder, OUTCOMES)
        self._last_poll = time.monotonic()

    def read_logs(self) -> None:
        """Hand on what workers have logged."""
        self._logs.read()

    def poll(self, interval: float = 0.0) -> list[bytes]:
        """Hand on what workers have logged, and return what is ahead of its future.

        Args:
            interval: Seconds since the last look below which it is not worth another one.
        """
        now = time.monotonic()
        if now < self._last_poll + interval:
            return []
        self._last_poll = now
        names = listed(self.folder)
        self._logs.read(names)
        return list(self._outcomes.read(names))

    def last_words(self, pid: int) -> str:
        """What a worker wrote when it died of a signal."""
        return last_words(self.folder, pid)

    def wipe(self) -> None:
        """Make it as new, for another run of as many nodes; no worker is at anything."""
        self.poll()  # what has not been read by now was told in results
        self.status.wipe()

    def close(self) -> None:
        """Remove it, when all that has come has been handed on."""
        self.read_logs()
        self.status.close()
        self._remove()

    def _remove(self) -> None:
        """Remove the folder; `shutil` takes as long again for what might be in between."""
        with contextlib.suppress(OSError):
            for file in os.scandir(self.folder):
                os.unlink(file.path)  # noqa: PTH108, a Path costs as much as the rest
            os.rmdir(self.folder)  # noqa: PTH106, likewise


class SentPlan:
    """A plan that workers can find.

    Args:
        fingerprint: What it is known by; empty if no other run may have it.
        head: What leads a worker to it.
        files: What the driver and the workers share, or None.
        release: Called when no worker needs the plan any more.

    Attributes:
        fingerprint: The same.
        head: The same.
        files: The same.
    """

    def __init__(
        self, fingerprint: bytes, head: bytes, files: RunFiles | None, release: Callable[[], None]
    ) -> None:
        self.fingerprint, self.head, self.files = fingerprint, head, files
        self._release, self._owner = release, os.getpid()

    def close(self) -> None:
        """Remove what there is of it; nothing in a forked child, whose parent has it still."""
        if os.getpid() != self._owner:
            return
        self._release()
        if self.files is not None:
            self.files.close()


class SentPlans:
    """The plan that the last run has left."""

    def __init__(self) -> None:
        self._last: SentPlan | None = None

    def take(self, fingerprint: bytes) -> SentPlan | None:
        """The plan, if it is this one; it is the caller's then. Another one is removed."""
        last, self._last = self._last, None
        if last is None or (fingerprint and last.fingerprint == fingerprint):
            return last
        last.close()
        return None

    def keep(self, sent: SentPlan) -> None:
        """Keep a plan for the next run."""
        self.close()
        if sent.files is not None:
            sent.files.wipe()
        self._last = sent

    def close(self) -> None:
        """Remove what is kept."""
        last, self._last = self._last, None
        if last is not None:
            last.close()


def fingerprint_of(pieces: Iterable[bytes | memoryview]) -> bytes:
    """What a plan is known by.

    Args:
        pieces: Its pickle, and the buffers that go with it.
    """
    found = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        found.update(piece)
    return found.digest()
