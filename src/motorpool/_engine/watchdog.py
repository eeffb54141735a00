"""Notices when an executor has lost what it was given: nothing is heard, and no worker is at work.

    a node runs, outcomes come, workers use the processor    ->  all is well
    nothing of that, and a call that was submitted later     ->  the executor has lost the nodes,
    comes back, or no worker does anything for long              which fail, and is replaced
    a node runs, and its worker is dead                      ->  the executor has missed the death

Where starts are not tracked, as on other hosts, a node that runs for long cannot be told from one
that is lost: nothing is noticed there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from motorpool._engine import breaches
from motorpool._system.activity import is_gone, used_seconds
from motorpool._system.process import descendants
from motorpool._wording import counted

if TYPE_CHECKING:
    from concurrent.futures import Future

    from motorpool._engine.lanes import LaneState
    from motorpool._engine.pool import Pool
    from motorpool._engine.transport import Transport
    from motorpool._protocol.status import Started
    from motorpool.errors import BrokenBackendError

_logger = logging.getLogger("motorpool")
# How often (s) to look; a look takes 10 us and 1 us for each node that is under way.
_INTERVAL = 1.0
# A look that is so many times late says nothing: the driver was stopped, and workers with it.
_AWAY = 10
# How long (s) nothing must have been heard, for a call that comes back to mean that nodes are
# lost; and for silence alone to mean it, of an executor that has worked, or has just started.
_PATIENCE = 30.0
_SILENCE = 60.0
_START = 180.0
# How long (s) a pool may take to notice that a worker has died.
_UNNOTICED = 10.0
# Part of one processor's time below which workers are idle: a thread that polls takes as much.
_IDLE = 0.05


class Loss(NamedTuple):
    """What an executor has lost.

    Attributes:
        nodes: Those that it has lost, in topological order.
        seconds: For how long nothing was heard of them.
        dead: The worker that died in one of them, if that is what it has missed.
    """

    nodes: list[int]
    seconds: float
    dead: Started | None

    def breach(self, backend: str, node: str) -> BrokenBackendError:
        """What to say of it, of one of the nodes."""
        say = breaches.lost_future if self.dead is None else breaches.silent_death
        return say(backend, node, self.seconds)


class Watchdog:
    """Watches over the units of a lane.

    Args:
        pool: Where the workers are.
        transport: Knows what runs.
        state: What is under way.
    """

    def __init__(self, pool: Pool, transport: Transport, state: LaneState) -> None:
        self._pool, self._transport, self._state = pool, transport, state
        self._next = 0.0
        self._seen: list[int] = []
        self._used: tuple[float, float] | None = None
        self._deaths: dict[int, float] = {}  # nodes whose worker is dead, and since when
        self._probe: Future[int] | None = None
        self._warned = False

    def pause(self) -> float | None:
        """Seconds until there is something to look at; None if nothing is under way."""
        return _INTERVAL if self._state.units else None

    def look(self) -> Loss | None:
        """Return what is lost, if anything is; once."""
        now = time.monotonic()
        if now < self._next:
            return None
        was_away = now > self._next + _AWAY * _INTERVAL
        self._next = now + _INTERVAL
        nodes = self._state.nodes()
        changed = not nodes or nodes != self._seen
        if changed or was_away or not self._transport.knows_running:
            self._seen, self._deaths = nodes, {}
            self._heard(now)
            return None
        running = {node: self._transport.running(node) for node in nodes}
        stamps = {node: stamp for node, stamp in running.items() if stamp is not None}
        if (dead := self._unnoticed(stamps, now)) is not None:
            self._deaths.clear()
            return Loss([dead], _UNNOTICED, stamps[dead])
        if stamps or self._are_at_work(now):
            self._heard(now)
            return None
        quiet = now - max(self._pool.heard, self._pool.started)
        return Loss(nodes, quiet, None) if self._is_lost(quiet) else None

    def _heard(self, now: float) -> None:
        """Something has happened, or is going on."""
        self._pool.heard = now
        self._probe, self._used, self._warned = None, None, False

    def _unnoticed(self, stamps: dict[int, Started], now: float) -> int | None:
        """A node whose worker has been dead for long."""
        gone = {node for node, stamp in stamps.items() if is_gone(stamp.pid)}
        self._deaths = {node: self._deaths.get(node, now) for node in gone}
        return next((n for n, since in self._deaths.items() if now - since > _UNNOTICED), None)

    def _are_at_work(self, now: float) -> bool:
        """Whether the workers have used the processor since the last look, or may have."""
        pids = self._pool.worker_pids() or descendants(os.getpid())
        used, before = used_seconds(pids), self._used
        self._used = None if used is None else (now, used)
        if used is None or before is None:
            return used is None
        return used - before[1] > _IDLE * (now - before[0])

    def _is_lost(self, quiet: float) -> bool:
        """Whether what is under way must be lost, after so many seconds without a sign of life."""
        if quiet < _PATIENCE / 2:
            return False
        if self._probe is None:
            with contextlib.suppress(Exception):  # whatever a broken executor raises
                self._probe = self._pool.executor.submit(os.getpid)
        if quiet < _PATIENCE:
            return False
        if self._answers():
            return True
        patience = _SILENCE if self._pool.has_worked else _START
        if quiet < patience:
            return False
        if not self._pool.backend.capabilities.restarts:  # it may have other things to do
            self._warn(quiet)
            return False
        return True

    def _answers(self) -> bool:
        """Whether a call that was submitted later has come back."""
        probe = self._probe
        try:
            return probe is not None and probe.done() and probe.exception(0) is None
        except Exception:  # noqa: BLE001, a future of a broken executor's own
            return False

    def _warn(self, quiet: float) -> None:
        if not self._warned:
            self._warned = True
            _logger.warning(
                "Nothing has been heard of %s for %.0f s, and no worker is at work. The "
                "executor that was passed to the runner (%s) is busy with tasks of others, or has "
                "lost them; if it has, the run waits for ever: interrupt it.",
                counted(len(self._seen), "node"), quiet, self._pool.backend.name,
            )  # fmt: skip
