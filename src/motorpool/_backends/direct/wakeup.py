"""Wakes a thread that waits in `select`."""

from __future__ import annotations

import contextlib
import socket


class Wakeup:
    """A pair of sockets: `wake` makes the first readable.

    Attributes:
        sockets: Both; the first is the one to wait for.
    """

    def __init__(self) -> None:
        self.sockets = socket.socketpair()
        for end in self.sockets:
            end.setblocking(False)

    def wake(self) -> None:
        """Wake the waiting thread; from any thread, as often as one likes."""
        with contextlib.suppress(OSError):  # full, so it wakes anyway; or closed
            self.sockets[1].send(b"\0")

    def clear(self) -> None:
        """Read what `wake` has sent, so that the next one wakes again."""
        with contextlib.suppress(BlockingIOError):
            while self.sockets[0].recv(1024):
                pass

    def close(self) -> None:
        """Close both ends."""
        for end in self.sockets:
            end.close()
