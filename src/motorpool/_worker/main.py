"""What runs inside a worker process: envelopes in, outcomes out.

run_envelope(bytes)
   |  the plan, mapped and kept: unpickles only the nodes and datasets that this worker runs
   v
journal.start -> NodeRun -> journal.finish -> outcomes, as bytes
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import threading
import time
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._protocol.equipment import Equipment
from motorpool._protocol.failure import Failure, as_failure, explain_readonly, pack
from motorpool._protocol.faults import FaultWriter
from motorpool._protocol.logs import LogWriter, redirect
from motorpool._protocol.messages import Outcome, owner_tag
from motorpool._protocol.plan import Plan, load_hooks
from motorpool._protocol.spool import OUTCOMES, Outbox
from motorpool._protocol.status import JOURNAL, Journal
from motorpool._store import INLINE_LIMIT
from motorpool._store.allocate import allocating
from motorpool._store.checkpoint import keep_payload
from motorpool._system.process import limit_threads, watch_parent
from motorpool._worker.envelope import NodeCatalog, Trip
from motorpool._worker.process_state import Surroundings
from motorpool._worker.task import Hooks, NodeRun

if TYPE_CHECKING:
    from motorpool._protocol.host import Host
    from motorpool._protocol.messages import Load
    from motorpool._protocol.plan import Settings
    from motorpool._store import Payload, Ref, StoreClient

_outbox = Outbox(OUTCOMES)
_outbox_lock = threading.Lock()
# A function that takes less (s) may delay the news of the nodes before it.
BRISK = 0.005


def run_envelope(data: bytes) -> bytes:
    """Run the nodes of an envelope, one after the other.

    Args:
        data: Pickle of what leads to the run, from `envelope_head`; and of `Load`s, as tuples.

    Returns:
        Pickle of a list of outcomes, as plain tuples. What has none was not started. Behind it
        what was logged, where no file takes that; see `LogWriter.take`.
    """
    head, loads = pickle.loads(data)
    session = _session(head)
    session.begin()
    return Trip(session).run(loads) + session.words()


@lru_cache(maxsize=2)  # two runs may share the workers of one runner
def _session(head: bytes) -> Session:
    return Session(*pickle.loads(head))


class Session:
    """A run, as one worker knows it."""

    def __init__(self, client: Any, plan: Ref, key: bytes) -> None:
        self._client: StoreClient = client
        self._plan: Plan = client.get(plan)
        equipment = Equipment.unseal(self._plan.sealed, key)
        self._pickled_datasets = equipment.datasets
        settings = self._plan.settings
        self._scratch = Path(settings.scratch) if settings.scratch else None
        self._journal = Journal(self._scratch / JOURNAL) if self._scratch else None
        self._functions: dict[int, Any] = {}
        self._seconds: dict[int, float] = {}  # that each function took when it last ran
        self._datasets: dict[str, Any] = {}
        self._owned = _set_up(settings)
        host = equipment.host
        self._host: Host | None = None if host is None else client.loads(host)
        self._hooks = Hooks(load_hooks(equipment.hooks, client.loads))
        self._hooks.call(
            "motorpool_worker_started", backend=settings.backend, run_id=settings.run_id
        )
        if self._owned is not None:
            self._owned.surroundings.accept()
            redirect(self._owned.log, settings.log_levels)  # imports may have changed it

    def begin(self) -> None:
        """An envelope has come: what this process writes belongs to this run."""
        if self._owned is not None:
            self._owned.log.point_to(self._scratch)
            self._owned.faults.point_to(self._scratch)

    def words(self) -> bytes:
        """What has been logged and cannot be read elsewhere."""
        return b"" if self._owned is None else self._owned.log.take()

    @property
    def stopping(self) -> bool:
        """Whether nodes that have not started should not start any more."""
        return self._journal is not None and self._journal.stopping

    @property
    def pressed(self) -> bool:
        """Whether other nodes wait for a worker."""
        return self._journal is not None and self._journal.pressed

    def run(self, load: Load, trip: Trip) -> Outcome:
        """Run a node; whatever happens in it becomes an outcome."""
        index = load.node
        if self.stopping and not load.follows:
            return Outcome(index, load.ticket, False, os.getpid(), time.time(), 0.0, {}, None, 0)
        if self._journal is not None:
            self._journal.start(index)
        started = time.time()
        clock = time.perf_counter()
        catalog = NodeCatalog(self, load, trip)
        failure, kept = self._try(load, catalog, trip)
        seconds = time.perf_counter() - clock
        self._seconds[self._plan.nodes.function_of[index]] = seconds
        try:
            catalog.end()
            self._client.end_node(goes_on=bool(trip.handed))
        except OSError:  # what cannot be given back now goes with the run
            pass
        if self._owned is not None:
            self._owned.surroundings.restore()
        if self._journal is not None:
            if load.holds and failure is not None:
                self._journal.stop()
            self._journal.finish(index)
        return Outcome(
            index, load.ticket, True, os.getpid(), started, seconds, catalog.outputs, failure,
            0, kept,
        )  # fmt: skip

    def _try(
        self, load: Load, catalog: NodeCatalog, trip: Trip
    ) -> tuple[Failure | None, dict[str, str]]:
        """Run a node; return why it failed, if it did, and where its outputs are kept."""
        settings, me = self._plan.settings, os.getpid()
        failure: Failure | None = None
        kept: dict[str, str] = {}
        try:
            node = self.node(load.node)
            with allocating(partial(self._allocate, load.node)):
                seen = catalog if self._host is None else self._host.view(catalog)
                NodeRun(
                    node, seen, self._hooks, is_async=settings.is_async,
                    run_id=settings.run_id, attempt=load.attempt,
                )()  # fmt: skip
            if load.handed and trip.must_part():
                catalog.part()
            if settings.checkpoint is not None:
                kept = self._keep(settings.checkpoint, catalog.outputs)
        except BaseException as error:  # noqa: BLE001, the worker outlives whatever a node raises
            _end_if_forked(me, error)
            if self._client.readonly:
                explain_readonly(error)
            failure = pack(as_failure(error), self._client.dumps, self._client.loads)
            catalog.drop()
        _end_if_forked(me, None)
        return failure, kept

    def _keep(self, folder: str, outputs: dict[str, Payload]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name, payload in outputs.items():
            kept |= keep_payload(folder, name, payload, self._client)
        return kept

    def node(self, index: int) -> Any:
        """A node; it is run once, so it is not kept, unlike its function."""
        return self._plan.nodes.load(index, self._function, self._loaded)

    def dataset(self, name: str) -> Any | None:
        """A dataset that workers use themselves, or None."""
        if name not in self._pickled_datasets:
            return None
        if name not in self._datasets:
            self._datasets[name] = self._loaded(self._pickled_datasets[name])
        return self._datasets[name]

    def _allocate(self, node: int, nbytes: int) -> memoryview | None:
        return self._client.allocate(nbytes, owner_tag(self._plan.settings.token, node))

    def put(self, value: Any, node: int, *, spend: bool, handed: bool) -> Payload:
        """Keep a node's value in the store.

        Args:
            value: The value.
            node: The node.
            spend: Whether the value itself ends with it.
            handed: Whether it is for the next node alone, so that the driver is not told of it.
        """
        owner = owner_tag(self._plan.settings.token, node, handed=handed)
        return self._client.put(value, owner=owner, spend=spend)

    def protect(self, array: Any) -> None:
        """Let a large array that is handed on be read only, if the run says so."""
        if self._client.readonly and array.nbytes > INLINE_LIMIT:
            array.flags.writeable = False

    def get(self, payload: Payload) -> Any:
        """Load a value from the store."""
        return self._client.get(payload)

    def discard(self, payload: Payload) -> None:
        """Give up a value in the store."""
        self._client.discard(payload)

    def is_brisk(self, index: int) -> bool:
        """Whether the node's function took little time when it last ran here."""
        function = self._plan.nodes.function_of[index]
        return function >= 0 and self._seconds.get(function, BRISK) < BRISK

    def tell(self, rows: bytes) -> None:
        """Tell the driver of outcomes before the envelope is done."""
        with _outbox_lock:  # a worker may be a thread, beside one of another run
            _outbox.point_to(self._scratch)
            _outbox.write(rows)

    def _function(self, index: int) -> Any:
        if index not in self._functions:
            self._functions[index] = self._loaded(self._plan.nodes.functions[index])
        return self._functions[index]

    def _loaded(self, pickled: Any) -> Any:
        """Unpickle; what imports change in this process by the way is meant for all nodes.

        But for where log records go.
        """
        value = self._client.loads(pickled)
        if self._owned is not None and self._owned.surroundings.accept_imports():
            redirect(self._owned.log, self._plan.settings.log_levels)
        return value


def _end_if_forked(worker: int, error: BaseException | None) -> None:
    """End a child that the node has forked and that has come back here: it is no worker."""
    if os.getpid() == worker:
        return
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(0 if error is None or getattr(error, "code", 1) in {0, None} else 1)


def _set_up(settings: Settings) -> _Process | None:
    """Make this process a worker of the driver's; once, however many runs it works for."""
    if not settings.owned or settings.driver_pid == os.getpid():
        return None
    if settings.driver_pid is not None:
        watch_parent(settings.driver_pid, settings.folders)
    process = _set_up_process(settings.threads)
    redirect(process.log, settings.log_levels)
    return process


class _Process(NamedTuple):
    """What this process writes for its driver, beside outcomes, and what nodes find in it."""

    log: LogWriter
    faults: FaultWriter
    surroundings: Surroundings


@cache
def _set_up_process(threads: int) -> _Process:
    limit_threads(threads)
    # A node's text shows up when it is printed, not when the worker ends.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return _Process(LogWriter(), FaultWriter(), Surroundings())
