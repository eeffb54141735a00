"""Finds out what became of workers that are lost, and gets new ones.

What follows for the tasks is decided in `losses`.
"""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import TYPE_CHECKING

from motorpool._engine.crash_errors import crash_error, end_of, memory_error, noted, timeout_error
from motorpool._engine.lanes import Blame, Death
from motorpool._engine.losses import ended_by_itself
from motorpool._engine.memory import MemoryWatch
from motorpool._system.activity import ends
from motorpool._system.exceptions import add_note
from motorpool.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import BrokenExecutor, Executor, Future
    from typing import Any

    from motorpool._engine.pool import Pool
    from motorpool._engine.scheduler import Scheduler
    from motorpool._engine.state import Unit
    from motorpool._engine.transport import Transport
    from motorpool._engine.watchdog import Loss
    from motorpool._protocol.status import Started
    from motorpool.errors import NodeError

# A broken executor fails its futures at once; one that does not in this time (s) never will.
_DRAIN_TIME = 5.0
# A pool that breaks so often without a single outcome in between is not worth another try.
_MOST_RESTARTS = 3


class Recovery:
    """Finds out how the workers of a lane have ended, and gets a new executor.

    Args:
        number: The lane.
        pool: Where the executor comes from.
        transport: Knows what workers have started.
        scheduler: Knows what is under way.
        nodes: The nodes of the run.

    Attributes:
        memory: Knows whom the kernel has killed for want of memory.
    """

    def __init__(
        self, number: int, pool: Pool, transport: Transport, scheduler: Scheduler,
        nodes: Sequence[Any],
    ) -> None:  # fmt: skip
        self._number, self._pool, self._transport = number, pool, transport
        self._scheduler, self._nodes = scheduler, nodes
        self._restarts = 0
        self._reason = ""
        self.memory = MemoryWatch()

    def worked(self) -> None:
        """There was an outcome, so the executor works."""
        self._restarts = 0

    def names(self, node: int) -> tuple[str, str]:
        """Names of the backend and of a node."""
        return self._pool.backend.name, self._nodes[node].name

    def noted(self, node: int, error: BaseException, pid: int | None = None) -> BaseException:
        """An exception, with the node, the backend and the worker in a note."""
        backend, name = self.names(node)
        return noted(error, name, backend, pid)

    def unsent(self, unit: Unit, node: int, error: BaseException) -> None:
        """One of the tasks of a unit fails, before any of them has started."""
        self._scheduler.losses.unsent(unit, node, self.noted(node, error), time.monotonic())

    def call_failed(self, unit: Unit, error: BaseException) -> None:
        """The call that runs a unit has failed, with an exception that is the executor's.

        That is how a pool says that the worker died, or that it could not even begin.
        """
        started = self._transport.started(unit.left)
        at = next(iter(started), None)
        if at is not None:
            pid = started[at].pid
            if self._scheduler.table[at].timed_out or ends(pid):
                self.crashed(unit, pid, self._pool.exitcode_of_dead(pid, error), error)
                return
        self.worked()
        blamed = next(iter(unit.left)) if at is None else at
        self._scheduler.losses.call_failed(
            unit, blamed, self.noted(blamed, error), time.monotonic(), started=at is not None
        )

    def crashed(
        self, unit: Unit, pid: int | None, exitcode: int | None,
        cause: BaseException | None = None, reason: str = "",
    ) -> None:  # fmt: skip
        """The worker of a unit has died.

        Args:
            unit: What it had.
            pid: The worker, if known.
            exitcode: How it ended, negative for a signal, if known.
            cause: What the executor has said of it, if that is more.
            reason: Why its pool ended it, if it did.
        """
        losses = self._scheduler.losses
        culprit = losses.culprit(unit, self._at(unit), pid)
        if self._scheduler.killed:
            losses.lost([unit], pid)
        elif culprit is None:
            self.count_restart()
            losses.lost([unit], pid)
        else:
            self.worked()
            alone = unit.alone
            death = self._death(culprit, pid, exitcode, alone=alone, cause=cause, reason=reason)
            started = [node for node in unit.left if self._transport.may_have_started(node)]
            losses.worker_died(unit, death, started, time.monotonic())

    def pool_broken(self, broken: Executor) -> None:
        """An executor has broken, and all that was under way with it.

        Raises:
            BackendError: If it breaks again and again, or is not ours to replace.
        """
        if not self._scheduler.stopping:
            blame = self._blame(broken)
        else:  # nothing is run again
            blame = Blame()
            if self._pool.backend.capabilities.restarts:
                self._replace(broken, ())
        self._scheduler.losses.pool_broken(self._number, blame, time.monotonic())

    def lost(self, loss: Loss) -> None:
        """An executor has lost what is under way, or the death of a worker at a node."""
        backend, losses, first = self._pool.backend, self._scheduler.losses, loss.nodes[0]
        if loss.dead is None:
            self._pool.distrust()
            breaches = {n: loss.breach(backend.name, self._nodes[n].name) for n in loss.nodes}
            errors = {node: self.noted(node, error) for node, error in breaches.items()}
            losses.calls_lost(self._number, errors, time.monotonic())
            return
        code = self._pool.exitcode_of_dead(loss.dead.pid)
        unit = self._scheduler.table[first].unit
        assert unit is not None  # noqa: S101, it is under way
        others = [u for u in self._scheduler.lanes[self._number].units.values() if u is not unit]
        self._pool.distrust()
        if backend.capabilities.restarts:
            losses.lost(others, loss.dead.pid)
        breach = loss.breach(backend.name, self._nodes[first].name)
        self.crashed(unit, loss.dead.pid, code, breach)

    def drain(self, futures: list[Future[Any]], error: BrokenExecutor) -> list[Future[Any]]:
        """Wait for the futures of a broken executor; return those that succeeded before."""
        self._reason = str(error)
        finished = wait(futures, timeout=_DRAIN_TIME).done
        return [f for f in finished if not f.cancelled() and f.exception() is None]

    def _at(self, unit: Unit) -> int | None:
        """The task of a unit that its worker was at when it died."""
        left = list(unit.left)
        if not self._transport.tracks_starts:  # then each travels alone
            return left[0] if left else None
        for stamp in (self._transport.running, self._transport.finished):
            started = [node for node in left if stamp(node) is not None]
            if started:
                return started[-1]
        return None

    def _death(
        self, node: int, pid: int | None, exitcode: int | None, *, alone: bool,
        cause: BaseException | None = None, reason: str = "",
    ) -> Death:  # fmt: skip
        """A worker's death in a task, in words.

        Args:
            node: The task.
            pid: The worker, if known.
            exitcode: How it ended, negative for a signal, if known.
            alone: Whether the task had nothing beside it.
            cause: What the executor has said of it, if that is more.
            reason: Why its pool ended it, if it did.
        """
        deadlines = self._scheduler.lanes[self._number].deadlines
        limit = deadlines.limits[node] if self._scheduler.table[node].timed_out else None
        starved = limit is None and self.memory.take_kill(exitcode)
        error: NodeError
        about: dict[str, Any] = {
            "node": self._nodes[node].name, "backend": self._pool.backend.name, "pid": pid,
        }  # fmt: skip
        if limit is not None:
            error = timeout_error(limit=limit, **about)
        elif starved:
            figures = self.memory.figures(pid)
            error = memory_error(exitcode=exitcode, alone=alone, figures=figures, **about)
        else:
            words = self._transport.last_words(pid)
            error = crash_error(exitcode=exitcode, last_words=words, reason=reason, **about)
        error.__cause__ = cause
        return Death(node=node, pid=pid, error=error, starved=starved)

    def _blame(self, broken: Executor) -> Blame:
        """Replace an executor that has broken, and find out for whom it has.

        Raises:
            BackendError: If it breaks again and again, or is not ours to replace.
        """
        lost = self._scheduler.lanes[self._number].nodes()
        stamps = self._stamps(lost)
        killed = self._replace(broken, lost)  # and with it, wait until all workers are reaped
        codes = {
            node: None if stamp.pid in killed else self._pool.exitcode(stamp.pid, broken)
            for node, stamp in stamps.items()
        }
        alone = any(unit.alone for unit in self._scheduler.lanes[self._number].units.values())
        guilty, suspects = self._scheduler.losses.accuse(
            self._number, codes, tracked=self._transport.tracks_starts
        )
        if guilty:
            self._restarts = 0  # a task is charged, so this does not go on for ever
        starved = bool(suspects) and self.memory.take_kill(None)
        if suspects:
            self.memory.forget()
        deaths = [
            self._death(
                n, stamps[n].pid if n in stamps else None, codes.get(n), alone=alone
            )
            for n in guilty
        ]  # fmt: skip
        return Blame(deaths=deaths, suspects=suspects, starved=starved)

    def _stamps(self, lost: Iterable[int]) -> dict[int, Started]:
        """The tasks that workers were at.

        If they were at none: those that had finished, for one may have cut its worker off from us.
        """
        for stamp in (self._transport.running, self._transport.finished):
            stamps = {node: stamp(node) for node in lost}
            if any(stamps.values()):
                return {node: found for node, found in stamps.items() if found is not None}
        return {}

    def _replace(self, broken: Executor, lost: Sequence[int]) -> set[int]:
        """Drop the executor, so that the next unit gets a new one.

        Returns:
            Process ids of workers that had to be killed for it.
        """
        try:
            self.count_restart()
            return self._pool.replace(broken)
        except BackendError as error:  # it is not ours, or breaks again and again
            self._name_running(lost, error)
            raise

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

    def _name_running(self, lost: Sequence[int], error: BackendError) -> None:
        """Note what an executor ran when it broke, or only who broke it, if that is known."""
        stamps = {node: self._transport.running(node) for node in lost}
        running = {self._nodes[n].name: s.pid for n, s in stamps.items() if s is not None}
        codes = {name: self._pool.exitcode(pid) for name, pid in running.items()}
        died = {name: code for name, code in codes.items() if ended_by_itself(code)}
        if died:
            ends = [f"the worker that ran {n!r} died: {end_of(code)}" for n, code in died.items()]
            add_note(error, f"It broke when {'; and '.join(ends)}")
        elif running:
            add_note(error, f"When it broke, it ran {', '.join(map(repr, running))}.")
        known = list(died or running)
        error.node = known[0] if len(known) == 1 else None
