"""One run, from the checks to the results."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool import registry
from motorpool._checkpoint import sweep_checkpoint
from motorpool._datasets import is_ephemeral
from motorpool._engine import Engine
from motorpool._ledger import Ledger
from motorpool._log_observer import LogObserver
from motorpool._plan import pickle_datasets, pickle_nodes
from motorpool._policy import Policy
from motorpool._report import Reporter
from motorpool._result import RunResult, raise_failures, suggest_resume
from motorpool._runs import RunJournal, new_folder
from motorpool._scheduler import State
from motorpool._shipped import Shipped, run_settings
from motorpool._stretches import Stretches
from motorpool._subset import resume_nodes
from motorpool._task import is_generator
from motorpool._transport import InProcess
from motorpool._validation import node_problems, raise_problems
from motorpool.errors import ValidationError
from motorpool.events import Dispatcher, RunFinished, RunStarted, RunSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from motorpool._plan import PickledNodes
    from motorpool._pool import Pool
    from motorpool._preparation import Preparation
    from motorpool._settings import RunSettings
    from motorpool._store import Store
    from motorpool._transport import Transport
    from motorpool.events import Observer

_logger = logging.getLogger("motorpool")


class Run:
    """Brings a prepared run onto a pool.

    Args:
        prepared: What to run.
        pool: Where.
        store: What carries values to other processes; None within one process.
        settings: What the runner was told.
        hook_manager: A pluggy manager, or None.
    """

    def __init__(
        self,
        prepared: Preparation,
        pool: Pool,
        store: Store | None,
        settings: RunSettings,
        hook_manager: Any,
    ) -> None:
        self._prepared = prepared
        self._pool = pool
        self._store = store
        self._settings = settings
        self._hook_manager = hook_manager
        self._policy = Policy(
            on_failure=settings.on_failure, retries=settings.retries, timeout=settings.timeout
        )
        self._stretches = Stretches(0)
        self._pickled: tuple[Any, Any] = (None, None)
        self._journal: RunJournal | None = None
        self._checkpoint: str | None = None

    def check(
        self, validate_nodes: Callable[..., Any], validate_catalog: Callable[..., Any]
    ) -> None:
        """Check nodes and datasets against the backend.

        Args:
            validate_nodes: The runner's own check.
            validate_catalog: Likewise.

        Raises:
            ValidationError: With all problems together.
        """
        backend, nodes = self._pool.backend, self._prepared.nodes
        problems = node_problems(
            nodes, backend.capabilities, is_async=self._settings.is_async,
            timeout=self._settings.timeout, alternatives=registry.can_end_nodes,
        )  # fmt: skip
        pickled = []
        for validate, subject in (
            (validate_nodes, nodes),
            (validate_catalog, self._prepared.catalog),
        ):
            try:
                pickled.append(validate(subject))
            except ValidationError as error:
                pickled.append(None)
                problems += str(error).splitlines()
        raise_problems(problems, backend.name)
        self._pickled = (pickled[0], pickled[1])

    def start(self) -> RunResult:
        """Run, and collect the results.

        Raises:
            ValidationError: If an input cannot be brought to the workers.
            Exception: What a node raised; several as an ExceptionGroup.
        """
        self._open_journal()
        try:
            self._stretches = self._find_stretches()
            transport = self._transport()
        except BaseException:
            if self._journal is not None:
                self._journal.remove()
            raise
        try:
            return self._go(transport)
        finally:
            transport.close()
            if self._journal is not None:
                self._journal.close()
            if self._checkpoint is not None:
                sweep_checkpoint(self._checkpoint)

    def _go(self, transport: Transport) -> RunResult:
        prepared = self._prepared
        emit = Dispatcher(self._observers())
        emit(
            RunStarted(
                run_id=prepared.run_id, nodes=len(prepared.nodes),
                backend=self._pool.backend.name, max_workers=self._pool.max_workers,
            )
        )  # fmt: skip
        engine = self._engine(transport, emit)
        try:
            engine.run()
        finally:
            summary = self._finish(engine, transport, emit)
        raise_failures(engine.ledger.failures)
        return RunResult(transport.results(prepared.outputs), summary)

    def _open_journal(self) -> None:
        """Begin to write down what is done; a folder that cannot be written costs a warning."""
        prepared, kept_in = self._prepared, self._settings.checkpoint
        if prepared.runs is None:
            return
        try:
            if kept_in is not None:
                Path(kept_in).mkdir(parents=True, exist_ok=True)
                folder = new_folder(Path(kept_in).resolve(), prepared.run_id)
                self._checkpoint = str(folder)
            head = {
                "backend": self._pool.backend.name, "checkpoint": self._checkpoint,
                "inputs": prepared.inputs,
            }  # fmt: skip
            journal = RunJournal(prepared.runs, prepared.run_id, prepared.shape, head)
        except OSError as error:
            if kept_in is not None:
                raise ValidationError(f"The run cannot be written down: {error}") from error
            _logger.warning("The run cannot be resumed, for it keeps no journal: %s", error)
            return
        if prepared.spared is not None:
            for name, files in prepared.spared.spared.items():
                journal.inherited(name, prepared.spared.run_id, files)
            journal.flush()
        self._journal = journal

    def _engine(self, transport: Transport, emit: Dispatcher) -> Engine:
        prepared = self._prepared
        names = [node.name for node in prepared.nodes]
        report = Reporter(emit, prepared.run_id, names, self._journal)
        ledger = Ledger(
            nodes=prepared.nodes, graph=prepared.graph, stretches=self._stretches,
            lifetimes=prepared.lifetimes(), policy=self._policy, report=report,
            transport=transport,
        )  # fmt: skip
        return Engine(
            pool=self._pool, transport=transport, ledger=ledger, nodes=prepared.nodes,
            policy=self._policy, report=report,
        )  # fmt: skip

    def _find_stretches(self) -> Stretches:
        """What may run in one worker; where nodes run in this process, nothing is saved by it."""
        prepared, nodes = self._prepared, self._prepared.nodes
        # Which node of several broke a worker is read from files that both sides share.
        shares = self._store is not None and self._store.scratch() is not None
        if not (self._settings.fuse and shares):
            return Stretches(len(nodes))
        stored = set(prepared.outputs)
        stored |= {
            name for name, dataset in prepared.catalog.items()
            if self._checkpoint is not None or not is_ephemeral(dataset)
        }  # fmt: skip
        streams: dict[int, bool] = {}  # by function, which may change what it has yielded
        for node in nodes:
            function = id(getattr(node, "func", node))
            if function not in streams:
                streams[function] = is_generator(node)
            if streams[function]:
                stored.update(node.outputs)
        once = [self._policy.retry_of(node).count == 0 for node in nodes]
        return Stretches.of(nodes, prepared.graph, stored=stored, once=once)

    def _transport(self) -> Transport:
        prepared, settings = self._prepared, self._settings
        if self._store is None:
            return InProcess(
                prepared.nodes, prepared.catalog, self._hook_manager,
                is_async=settings.is_async, run_id=prepared.run_id,
                checkpoint=self._checkpoint,
            )  # fmt: skip
        backend = self._pool.backend
        nodes, datasets = self._travelling()
        transport = Shipped(
            catalog=prepared.catalog, nodes=nodes, datasets=datasets,
            hook_manager=self._hook_manager, store=self._store, stretches=self._stretches,
            settings=run_settings(
                backend=backend, run_id=prepared.run_id, is_async=settings.is_async,
                max_workers=self._pool.max_workers, store=self._store,
                checkpoint=self._checkpoint,
            ),
        )  # fmt: skip
        try:
            raise_problems(transport.open(prepared.nodes), backend.name)
        except BaseException:
            transport.close()
            raise
        return transport

    def _travelling(self) -> tuple[PickledNodes, dict[str, bytes]]:
        """Nodes and datasets, pickled here unless the runner's own checks have done it."""
        dumps = type(self._pool.backend).dumps
        nodes, datasets = self._pickled
        problems: list[str] = []
        if nodes is None:
            nodes = pickle_nodes(self._prepared.nodes, dumps)
            problems += nodes.problems
        if datasets is None:
            datasets, unfit = pickle_datasets(self._prepared.catalog, dumps)
            problems += unfit
        raise_problems(problems, self._pool.backend.name)
        return nodes, datasets

    def _observers(self) -> Iterable[Observer]:
        if LogObserver.is_wanted():
            yield LogObserver()
        yield from self._settings.observers
        register = getattr(
            getattr(self._hook_manager, "hook", None), "motorpool_register_observers", None
        )
        for observers in register() if register is not None else ():
            yield from observers

    def _finish(self, engine: Engine, transport: Transport, emit: Dispatcher) -> RunSummary:
        """Sum the run up, and tell observers; done after a failure and Ctrl-C as well."""
        prepared, scheduler = self._prepared, engine.ledger.scheduler
        done, failed = scheduler.nodes_in(State.DONE), scheduler.nodes_in(State.FAILED)
        unfinished = sorted(set(range(len(prepared.nodes))) - set(done))
        summary = RunSummary(
            run_id=prepared.run_id, backend=self._pool.backend.name,
            max_workers=self._pool.max_workers, completed=len(done),
            failed=tuple(prepared.nodes[i].name for i in failed),
            skipped=len(unfinished) - len(failed),
            wall_time=time.perf_counter() - prepared.started,
            node_time=engine.ledger.meter.node_time, peak_memory=engine.ledger.meter.peak_memory,
            journal=str(self._journal.folder) if self._journal is not None else None,
        )  # fmt: skip
        if self._journal is not None:
            self._journal.finished(
                completed=len(done), failed=len(failed), skipped=summary.skipped,
                wall_time=summary.wall_time,
            )  # fmt: skip
        start = resume_nodes(prepared.nodes, prepared.graph, unfinished, prepared.catalog)
        transport.poll(now=True)  # so that the last word is the run's
        emit(RunFinished(run_id=prepared.run_id, summary=summary, resume_from=tuple(start)))
        if unfinished:
            suggest_resume(len(done), len(unfinished), start, summary.journal)
        return summary
