"""A gate that tasks wait at until the test lets them through: a barrier across processes."""

from __future__ import annotations

import contextlib
import secrets
import threading
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


_OVER = "over"


class Ticket(NamedTuple):
    """What a task needs to find the gate; pickles."""

    address: Any
    key: bytes


class Arrival(NamedTuple):
    """A task at the gate."""

    name: Any
    pid: int
    connection: Connection


class Gate:
    """A context manager; on its end, everybody is let through.

    Args:
        host: The address of this host that workers can reach.

    Attributes:
        ticket: What tasks need.
        arrivals: Who has come, in order.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        key = secrets.token_bytes(32)
        self._listener = Listener((host, 0), authkey=key, backlog=128)
        self.ticket = Ticket(self._listener.address, key)
        self.arrivals: list[Arrival] = []
        self._changed = threading.Condition()
        self._is_open = False
        self._doorman = threading.Thread(target=self._admit, daemon=True)

    def __enter__(self) -> Self:
        self._doorman.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.open()
        with Client(self.ticket.address, authkey=self.ticket.key) as connection:
            connection.send(_OVER)
        self._doorman.join()
        self._listener.close()
        for arrival in self.arrivals:
            arrival.connection.close()

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until so many tasks have come; return whether they have."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.arrivals) >= count, seconds)

    def open(self) -> None:
        """Let everybody through, and who is still to come."""
        with self._changed:
            self._is_open = True
            for arrival in self.arrivals:
                self._let_through(arrival.connection)

    def pids(self) -> list[int]:
        """Processes of those that have come."""
        with self._changed:
            return [arrival.pid for arrival in self.arrivals]

    def _admit(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
                message = connection.recv()
            except Exception:  # noqa: BLE001, S112, one that died on its way, or a stranger
                continue
            if message == _OVER:
                connection.close()
                return
            name, pid = message
            with self._changed:
                self.arrivals.append(Arrival(name, pid, connection))
                if self._is_open:
                    self._let_through(connection)
                self._changed.notify_all()

    @staticmethod
    def _let_through(connection: Connection) -> None:
        with contextlib.suppress(OSError):  # it has died meanwhile
            connection.send(True)
