"""After a crash: which node did it, which are innocent, and which have to be tried alone.

Where an executor fails exactly the task whose worker died, there is nothing to find out. A pool
with shared queues fails everything that was in flight, and takes its other workers down. Then the
status table says who had started and not finished, and the exit codes, where the pool keeps them,
whose worker died by itself: those are the culprits. Where there are no codes, all who had started
are suspects, and are run again one by one, with nothing beside them: the pool that breaks again
breaks for the node that is in it.
"""

from __future__ import annotations

import logging
import signal
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from motorpool._engine.crash_errors import crash_error, memory_error, timeout_error
from motorpool._engine.memory import MemoryWatch
from motorpool.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import BrokenExecutor, Executor, Future

    from motorpool._engine.deadlines import Deadlines
    from motorpool._engine.pool import Pool
    from motorpool._engine.transport import Transport
    from motorpool._protocol.status import Started
    from motorpool.errors import NodeError

_logger = logging.getLogger("motorpool")
# How a worker ends that its pool takes down because another has died; or how it ended is unknown.
_WITH_ITS_POOL = frozenset({None, -int(signal.SIGTERM)})
# A broken executor fails its futures at once; one that does not in this time (s) never will.
_DRAIN_TIME = 5.0
# A pool that breaks so often without a single outcome in between is not worth another try.
_MOST_RESTARTS = 3


def ended_by_itself(exitcode: int | None) -> bool:
    """Whether a worker is known to have ended, and not because its pool took it down."""
    return exitcode not in _WITH_ITS_POOL


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a worker died in a node.

    Attributes:
        pid: Its process id, if known.
        exitcode: Its exit code, negative for a signal, if known.
        alone: Whether the node had nothing beside it.
        limit: The node's timeout, if that is why its worker was ended.
        starved: Whether the kernel did it, for want of memory.
        cause: What the executor has said of it, if that is more.
    """

    pid: int | None
    exitcode: int | None
    alone: bool
    cause: BaseException | None = None
    limit: float | None
    starved: bool


@dataclass(slots=True)
class Verdict:
    """Who broke a pool.

    Attributes:
        guilty: Nodes that did it, each with its worker's process id and exit code if known.
        innocent: Nodes that were lost with it and go back to the scheduler.
        suspects: Nodes that will be tried alone.
        alone: Whether the guilty one had nothing beside it.
        starved: Whether the kernel killed one of the suspects' workers for want of memory.
    """

    guilty: list[tuple[int, int | None, int | None]] = field(default_factory=list)
    innocent: list[int] = field(default_factory=list)
    suspects: list[int] = field(default_factory=list)
    alone: bool = False
    starved: bool = False


class Recovery:
    """Finds culprits, and gets a new executor.

    Args:
        pool: Where the executor comes from.
        transport: Knows what workers have started.

    Attributes:
        memory: Knows whom the kernel has killed for want of memory.
    """

    def __init__(self, pool: Pool, transport: Transport) -> None:
        self._pool = pool
        self._transport = transport
        self._suspects: deque[int] = deque()
        self._on_trial: int | None = None
        self._restarts = 0
        self._tried_again: set[int] = set()
        self._starved: set[int] = set()  # nodes that ran out of memory beside others
        self.memory = MemoryWatch()
        self._reason = ""

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

    def end_trial(self, nodes: Sequence[int]) -> bool:
        """End the trial of a suspect if it is among these nodes; whether it is."""
        if self._on_trial is None or self._on_trial not in nodes:
            return False
        self._on_trial = None
        return True

    def fewer(self, limit: int, name: str) -> int:
        """A node had memory enough when it was alone, so there were too many at a time.

        Args:
            limit: How many may be in flight.
            name: The node.

        Returns:
            How many from here on.
        """
        fewer = max(1, min(limit, self._pool.max_workers) - 1)
        _logger.warning(
            "The node %r had enough memory when it ran alone. From here on, at most %d run at a "
            "time; fewer workers would save what is run twice.", name, fewer,
        )  # fmt: skip
        return fewer

    def landed(self, node: int) -> None:
        """Note that a node is back from the workers: the executor works, and its trial is over."""
        self._restarts = 0
        if node == self._on_trial:
            self._on_trial = None

    def drain(self, futures: list[Future[Any]], error: BrokenExecutor) -> list[Future[Any]]:
        """Wait for the futures of a broken executor; return those that succeeded before."""
        self._reason = str(error)
        finished = wait(futures, timeout=_DRAIN_TIME).done
        return [f for f in finished if not f.cancelled() and f.exception() is None]

    def error(self, node: str, death: Death) -> NodeError:
        """The error of a node whose worker died, or had to."""
        error = self._error(node, death)
        error.__cause__ = death.cause
        return error

    def _error(self, node: str, death: Death) -> NodeError:
        backend, pid = self._pool.backend.name, death.pid
        if death.limit is not None:
            return timeout_error(node=node, backend=backend, pid=pid, limit=death.limit)
        if death.starved:
            return memory_error(
                node=node, backend=backend, pid=pid, exitcode=death.exitcode, alone=death.alone,
                figures=self.memory.figures(pid),
            )  # fmt: skip
        return crash_error(
            node=node, backend=backend, pid=pid, exitcode=death.exitcode,
            last_words=self._transport.last_words(pid),
        )  # fmt: skip

    def try_alone(self, node: int, name: str) -> None:
        """Memory ran out, maybe for its neighbours: run the node again with nothing beside it."""
        _logger.warning(
            "The kernel ended the worker of the node %r for want of memory. It is run again, "
            "with nothing beside it.", name,
        )  # fmt: skip
        self._starved.add(node)
        self._suspects.append(node)

    def ran_alone(self, node: int) -> bool:
        """Whether a node that has landed had been run alone, for want of memory."""
        if node not in self._starved:
            return False
        self._starved.discard(node)
        return True

    def replace(self, broken: Executor) -> set[int]:
        """Drop the executor, so that the next node gets a new one.

        Returns:
            Process ids of workers that had to be killed for it.

        Raises:
            BackendError: If it breaks again and again, or is not ours to replace.
        """
        self.count_restart()
        return self._pool.replace(broken)

    def count_restart(self) -> None:
        """Note that workers had to be replaced.

        Raises:
            BackendError: If that happens again and again, without an outcome in between.
        """
        self._restarts += 1
        if self._restarts > _MOST_RESTARTS:
            raise BackendError(
                f"The executor of backend {self._pool.backend.name!r} broke "
                f"{self._restarts} times in a row without finishing a node: {self._reason or '?'} "
                "Its workers may not be able to start: look at standard error for what they say.",
                backend=self._pool.backend.name,
            )

    def investigate(self, broken: Executor, lost: list[int], deadlines: Deadlines) -> Verdict:
        """Say who did it, and replace the executor.

        Args:
            broken: The executor.
            lost: What was in flight, and has no outcome.
            deadlines: Knows whose worker we have killed ourselves.
        """
        running = {node: self._transport.running(node) for node in lost}
        stamps = running if any(running.values()) else self._unreported(lost)
        pids = {node: stamp.pid for node, stamp in stamps.items() if stamp is not None}
        killed = self.replace(broken)  # and with it, wait until all of its workers are reaped
        codes = {
            pid: None if pid in killed else self._pool.exitcode(pid, broken)
            for pid in pids.values()
        }
        alone = self._on_trial is not None and self._on_trial in lost
        guilty = [node for node in lost if deadlines.has_expired(node)]
        suspects: list[int] = []
        if not guilty:
            guilty, suspects = self._accused(lost, {n: codes[pid] for n, pid in pids.items()})
        self._on_trial = None
        starved = bool(suspects) and self.memory.take_kill(None)
        if suspects:
            self._suspects.extend(suspects)
            self._starved.update(suspects if starved else ())
            self.memory.forget()
        if guilty:
            self._restarts = 0  # a node is charged, so this does not go on for ever
        known = {*guilty, *suspects}
        return Verdict(
            guilty=[(n, pids.get(n), codes.get(pids.get(n, -1))) for n in guilty],
            innocent=[n for n in lost if n not in known],
            suspects=suspects,
            alone=alone,
            starved=starved,
        )

    def _unreported(self, lost: list[int]) -> dict[int, Started | None]:
        """No worker was at a node: one that had finished may have cut its worker off from us."""
        return {node: self._transport.finished(node) for node in lost}

    def _accused(
        self, lost: list[int], codes: Mapping[int, int | None]
    ) -> tuple[list[int], list[int]]:
        """The guilty, or else the suspects, among what was lost.

        Args:
            lost: What was in flight, and has no outcome.
            codes: Of the nodes that had started: how their workers ended, if known.
        """
        if self._on_trial is not None and self._on_trial in lost:
            # One before it may have run again to give it input, and have broken the pool instead.
            node = max(codes, default=self._on_trial)
            if codes.get(node) in _WITH_ITS_POOL - {None} and node not in self._tried_again:
                self._tried_again.add(node)  # a worker beside it may have died, which had no node
                return [], [node]
            return [node], []
        candidates = list(codes) if self._transport.tracks_starts else list(lost)
        guilty = [node for node in candidates if ended_by_itself(codes.get(node))]
        return (guilty, []) if guilty else ([], candidates)
