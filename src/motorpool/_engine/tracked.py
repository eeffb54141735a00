"""What workers write for their driver while they run nodes: starts, outcomes and log records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motorpool._engine.transport import Transport

if TYPE_CHECKING:
    from motorpool._engine.sent import RunFiles
    from motorpool._protocol.status import Started


class TrackedTransport(Transport):
    """Knows which nodes have started, and what workers have said, by files that they share.

    Attributes:
        files: These files, once there are any.
    """

    def __init__(self) -> None:
        self.files: RunFiles | None = None

    def running(self, node: int) -> Started | None:
        """Which worker has started a node that it has not finished."""
        return self.files.status.running(node) if self.files else None

    def finished(self, node: int) -> Started | None:
        """Which worker has finished a node whose outcome is not here."""
        return self.files.status.finished(node) if self.files else None

    def last_words(self, pid: int | None) -> str:
        """What a worker wrote when it died of a signal."""
        return "" if pid is None or self.files is None else self.files.last_words(pid)

    @property
    def tracks_starts(self) -> bool:
        """Whether `running` knows: there is a status table."""
        return self.files is not None

    def stop(self) -> None:
        """Ask workers to start nothing more."""
        if self.files is not None:
            self.files.status.stop()

    def go_on(self) -> None:
        """Let workers start nodes again."""
        if self.files is not None:
            self.files.status.go_on()

    def press(self, *, waiting: bool) -> None:
        """Let workers know whether nodes wait for them."""
        if self.files is not None:
            self.files.status.press(waiting)

    def poll(self, interval: float = 0.0) -> list[bytes]:
        """Hand on what workers have logged, and return what is ahead of its future."""
        return [] if self.files is None else self.files.poll(interval)
