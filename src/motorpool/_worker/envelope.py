"""One envelope in a worker: which of its nodes run, and what becomes of each."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from motorpool._protocol.failure import (
    Failure,
    as_failure,
    explain_interpreter,
    explain_readonly,
    explain_terminal,
    pack,
)
from motorpool._protocol.messages import MANY, Load, Outcome
from motorpool._store.allocate import allocating
from motorpool._store.checkpoint import keep_payload
from motorpool._system.process import peak_memory
from motorpool._worker.catalog import EnvelopeValues, TaskCatalog
from motorpool._worker.task import NodeRun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from motorpool._store import Payload
    from motorpool._worker.session import Session

# An envelope that lasts longer (s) goes back to the driver as soon as others wait for a worker;
# what it has left is then run in the order of the whole pipeline.
_LONG = 0.02


class Trip:
    """Runs the nodes of one envelope, one after the other.

    Args:
        session: The run.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._began = time.perf_counter()
        self._outcomes: list[Outcome] = []
        self._told = 0
        self._done: set[int] = set()
        self._values = EnvelopeValues({}, {})

    def run(self, loads: Iterable[tuple[Any, ...]]) -> bytes:
        """Run what can be run, one node after the other; return the outcomes."""
        outcomes, broken = self._outcomes, False
        before: Load | None = None
        for load in map(Load._make, loads):
            if not load.follows:
                if outcomes and self._is_long():
                    break
                broken = False
                if not self._done.issuperset(load.needs):
                    continue
            elif before is None or broken or not self._may_go_on(before, outcomes[-1]):
                broken = True
                continue
            untold = len(outcomes) - self._told
            if untold and (untold == MANY or not self._session.is_brisk(load.node)):
                self._tell()
            outcome = self._run(load)
            outcomes.append(outcome)
            before = load
            if outcome.failure is None and outcome.ran:
                self._done.add(load.node)
                self._values.stored.update(outcome.outputs)
        if self._session.guard is not None:
            self._session.guard.look()
        return self._packed(outcomes)

    def _must_part(self) -> bool:
        """Whether nothing more should run here, so that values have to be stored."""
        return self._session.stopping or (self._is_long() and self._session.pressed)

    def _may_go_on(self, load: Load, outcome: Outcome) -> bool:
        """Whether the next node of the stretch has what it needs."""
        if outcome.failure is not None or not outcome.ran:
            return False
        return bool(self._values.handed) if load.handed else not self._must_part()

    def _is_long(self) -> bool:
        return time.perf_counter() - self._began > _LONG

    def _tell(self) -> None:
        """What is done must not wait for a node that may take long, nor be lost with it."""
        with contextlib.suppress(OSError):  # then it goes with the rest
            self._session.publish(self._packed(self._outcomes[self._told :]))
        self._told = len(self._outcomes)

    def _packed(self, outcomes: list[Outcome]) -> bytes:
        """Outcomes as plain tuples; the last has the peak of memory."""
        if outcomes:
            outcomes[-1] = outcomes[-1]._replace(peak_memory=_peak_memory.read())
        return pickle.dumps([tuple(outcome) for outcome in outcomes])

    def _run(self, load: Load) -> Outcome:
        """Run a node; whatever happens in it becomes an outcome."""
        session, index = self._session, load.node
        if session.stopping and not load.follows:
            return Outcome(index, load.ticket, False, os.getpid(), time.time(), 0.0, {}, None, 0)
        if session.status is not None:
            session.status.start(index)
        started = time.time()
        clock = time.perf_counter()
        catalog = TaskCatalog(session, load, self._values)
        failure, kept, times = self._try(load, catalog)
        seconds = time.perf_counter() - clock
        session.record_seconds(index, seconds)
        try:
            catalog.end()
            session.client.end_node(goes_on=bool(self._values.handed))
        except OSError:  # what cannot be given back now goes with the run
            pass
        if session.guard is not None:
            session.guard.after(session.function_of(index), seconds)
        if session.status is not None:
            if load.holds and failure is not None:
                session.status.stop()
            session.status.finish(index)
        return Outcome(
            index, load.ticket, True, os.getpid(), started, seconds, catalog.outputs, failure,
            0, kept, times, catalog.about,
        )  # fmt: skip

    def _try(
        self, load: Load, catalog: TaskCatalog
    ) -> tuple[Failure | None, dict[str, str], tuple[float, float, float, float]]:
        """Run a node.

        Returns:
            Why it failed, if it did; where its outputs are kept; and the seconds that it took to
            import its function, to load, to call and to save.
        """
        session, settings, me = self._session, self._session.settings, os.getpid()
        failure: Failure | None = None
        kept: dict[str, str] = {}
        run, began = None, time.perf_counter()
        try:
            node = session.node(load.node)
            imports = time.perf_counter() - began
            with allocating(partial(session.allocate, load.node)):
                seen = catalog if session.host is None else session.host.view(catalog)
                run = NodeRun(
                    node, seen, session.hooks, is_async=settings.is_async,
                    run_id=settings.run_id, attempt=load.attempt,
                )  # fmt: skip
                session.context.run(run)
            if load.handed and self._must_part():
                catalog.part()
            if settings.checkpoint is not None:
                kept = self._keep(settings.checkpoint, catalog.outputs)
        except BaseException as error:  # noqa: BLE001, the worker outlives whatever a node raises
            _end_if_forked(me, error)
            if session.client.readonly:
                explain_readonly(error)
            explain_terminal(error)
            explain_interpreter(error)
            failure = pack(as_failure(error), session.client.dumps, session.client.loads)
            catalog.drop()
        _end_if_forked(me, None)
        times = (0.0, 0.0, 0.0, 0.0) if run is None else (imports, run.load, run.call, run.save)
        return failure, kept, times

    def _keep(self, folder: str, outputs: dict[str, Payload]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name, payload in outputs.items():
            kept |= keep_payload(folder, name, payload, self._session.client)
        return kept


class _PeakMemory:
    """Reads this process's peak of memory, in no more than a fiftieth of the time.

    It may take the system 40 us, and 2 ms when it is busy.
    """

    def __init__(self) -> None:
        self._peak = 0
        self._next = 0.0

    def read(self) -> int:
        """The peak in bytes, maybe of a moment ago."""
        began = time.perf_counter()
        if began >= self._next:
            self._peak = peak_memory()
            ended = time.perf_counter()
            self._next = ended + 50 * (ended - began)
        return self._peak


_peak_memory = _PeakMemory()


def _end_if_forked(worker: int, error: BaseException | None) -> None:
    """End a child that the node has forked and that has come back here: it is no worker."""
    if os.getpid() == worker:
        return
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(0 if error is None or getattr(error, "code", 1) in {0, None} else 1)
