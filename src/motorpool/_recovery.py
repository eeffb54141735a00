"""After a crash: which node did it, which are innocent, and which have to be tried alone.

Where an executor fails exactly the task whose worker died, there is nothing to find out. A pool
with shared queues fails everything that was in flight. Then the journal says who had started and
not finished: one such node is the culprit. Several are suspects, and are run again one by one,
with nothing beside them: the pool that breaks again breaks for the node that is in it.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from motorpool._crash import crash_error
from motorpool.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor, Future

    from motorpool._journal import Started
    from motorpool._pool import Pool
    from motorpool._transport import Transport
    from motorpool.errors import WorkerCrashedError

# A broken executor fails its futures at once; one that does not in this time (s) never will.
_DRAIN_TIME = 5.0
# A pool that breaks so often without a single outcome in between is not worth another try.
_MOST_RESTARTS = 3
# How long to wait, in seconds, before looking again whether a node with a deadline has started.
_NOT_STARTED = 0.05


@dataclass(slots=True)
class Verdict:
    """Who broke a pool.

    Attributes:
        guilty: Nodes that did it, each with its worker's process id and exit code if known.
        innocent: Nodes that were lost with it and go back to the scheduler.
        suspects: Nodes that will be tried alone.
    """

    guilty: list[tuple[int, int | None, int | None]] = field(default_factory=list)
    innocent: list[int] = field(default_factory=list)
    suspects: list[int] = field(default_factory=list)


class Recovery:
    """Finds culprits, and gets a new executor.

    Args:
        pool: Where the executor comes from.
        transport: Knows what workers have started.
    """

    def __init__(self, pool: Pool, transport: Transport) -> None:
        self._pool = pool
        self._transport = transport
        self._suspects: deque[int] = deque()
        self._on_trial: int | None = None
        self._restarts = 0

    @property
    def on_trial(self) -> bool:
        """Whether suspects are being tried, so that nothing may run beside them."""
        return bool(self._suspects) or self._on_trial is not None

    def next_suspect(self) -> int | None:
        """The next node to try alone, if there is one."""
        if not self._suspects:
            return None
        self._on_trial = self._suspects.popleft()
        return self._on_trial

    def drop_suspects(self) -> list[int]:
        """Give up trying; return those that were still to be tried."""
        dropped = list(self._suspects)
        self._suspects.clear()
        return dropped

    def landed(self, node: int) -> None:
        """Note an outcome: the executor works, and the node was not the one."""
        self._restarts = 0
        if node == self._on_trial:
            self._on_trial = None

    def drain(self, flights: Mapping[Future[Any], int]) -> list[Future[Any]]:
        """Wait for the futures of a broken executor; return those that succeeded before."""
        finished = wait(list(flights), timeout=_DRAIN_TIME).done
        return [f for f in finished if not f.cancelled() and f.exception() is None]

    def crash(self, node: str, pid: int | None, exitcode: int | None) -> WorkerCrashedError:
        """The error of a node whose worker died, with the worker's last words."""
        return crash_error(
            node=node, backend=self._pool.backend.name, pid=pid, exitcode=exitcode,
            last_words=self._transport.last_words(pid),
        )  # fmt: skip

    def replace(self, broken: Executor) -> None:
        """Drop the executor, so that the next node gets a new one.

        Raises:
            BackendError: If it breaks again and again, or is not ours to replace.
        """
        self.count_restart()
        self._pool.replace(broken)

    def count_restart(self) -> None:
        """Note that workers had to be replaced.

        Raises:
            BackendError: If that happens again and again, without an outcome in between.
        """
        self._restarts += 1
        if self._restarts > _MOST_RESTARTS:
            raise BackendError(
                f"The executor of backend {self._pool.backend.name!r} broke "
                f"{self._restarts} times in a row without finishing a node. Its workers may not "
                "be able to start: look at standard error for their messages.",
                backend=self._pool.backend.name,
            )

    def investigate(self, broken: Executor, lost: list[int], deadlines: Deadlines) -> Verdict:
        """Say who did it, and replace the executor.

        Args:
            broken: The executor.
            lost: What was in flight, and has no outcome.
            deadlines: Knows whose worker we have killed ourselves.
        """
        started = {node: self._transport.running(node) for node in lost}
        pids = {node: s.pid for node, s in started.items() if s is not None}
        self.replace(broken)  # and with it, wait until all of its workers are reaped
        codes = {pid: self._pool.backend.exitcode(broken, pid) for pid in pids.values()}
        expired = [node for node in lost if deadlines.has_expired(node)]
        candidates = list(pids) if self._transport.has_journal else list(lost)
        suspects: list[int] = []
        if expired:
            guilty = expired
        elif self._on_trial is not None and self._on_trial in lost:
            guilty = [self._on_trial]
        elif len(candidates) == 1:
            guilty = candidates
        else:
            guilty, suspects = [], candidates
        self._on_trial = None
        self._suspects.extend(suspects)
        if guilty:
            self._restarts = 0  # somebody is charged, so this does not go on for ever
        known = {*guilty, *suspects}
        return Verdict(
            [(n, pids.get(n), codes.get(pids.get(n, -1))) for n in guilty],
            [n for n in lost if n not in known],
            suspects,
        )


class Deadlines:
    """Knows which running node has how long.

    A deadline counts from the moment when a worker starts the node, not from its submission.

    Args:
        transport: Knows when workers have started what.
        limits: For each node, the seconds that it has, or None.
    """

    def __init__(self, transport: Transport, limits: Sequence[float | None]) -> None:
        self._transport = transport
        self._limits = limits
        self._watched: dict[int, float] = {}  # and when each was submitted
        self._expired: set[int] = set()
        self.killed: set[int] = set()

    def watch(self, node: int) -> None:
        """A node was submitted."""
        if self._limits[node] is not None:
            self._watched[node] = time.time()
            self._expired.discard(node)

    def forget(self, node: int) -> None:
        """A node has come back."""
        self._watched.pop(node, None)

    def pause(self) -> float | None:
        """Seconds until there is something to look at; None if there will not be."""
        if not self._watched:
            return None
        now = time.time()
        pauses = []
        for node in self._watched:
            deadline = self._deadline(node, self._transport.running(node))
            pauses.append(_NOT_STARTED if deadline is None else deadline - now)
        return max(0.0, min(pauses))

    def _deadline(self, node: int, started: Started | None) -> float | None:
        """When a running node's time is up.

        A stamp may be read while it is written; no node has started before it was submitted.
        """
        if started is None:
            return None
        return max(started.time, self._watched[node]) + (self._limits[node] or 0.0)

    def due(self, now: float) -> list[Started]:
        """The workers that are past a deadline; each is returned once."""
        found = []
        for node in list(self._watched):
            started = self._transport.running(node)
            deadline = self._deadline(node, started)
            if started is not None and deadline is not None and now >= deadline:
                del self._watched[node]
                self._expired.add(node)
                self.killed.add(started.pid)
                found.append(started)
        return found

    def has_expired(self, node: int) -> bool:
        """Whether a node's worker was killed for its deadline."""
        return node in self._expired

    def take_expired(self, node: int) -> bool:
        """The same, and forget it, for the node may be tried again."""
        if node not in self._expired:
            return False
        self._expired.discard(node)
        return True
