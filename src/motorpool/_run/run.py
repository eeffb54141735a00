"""One run, from the checks to the results."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool._engine.engine import Engine
from motorpool._engine.policy import Policy
from motorpool._engine.priority import urgency
from motorpool._engine.recorder import Meter, Reporter
from motorpool._engine.scheduler import Scheduler
from motorpool._engine.state import DONE, FAILED
from motorpool._engine.stretches import Stretches
from motorpool._engine.tasks import TaskTable
from motorpool._engine.timeline import Timeline
from motorpool._engine.tokens import Tokens
from motorpool._engine.work import Work
from motorpool._journal.writer import RunJournal, new_folder
from motorpool._run.log_observer import LogObserver
from motorpool._run.result import RunResult, failure_of, suggest_resume
from motorpool._run.subset import resume_nodes
from motorpool._store.checkpoint import sweep_checkpoint
from motorpool.errors import ValidationError
from motorpool.events import Dispatcher, RunFinished, RunStarted, RunSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from motorpool._journal.history import History
    from motorpool._run.options import RunSettings
    from motorpool._run.prepare import Preparation
    from motorpool._run.sites import Sites, Transports
    from motorpool._system.signals import Cancellation
    from motorpool.events import Observer

_logger = logging.getLogger("motorpool")
# Among nodes that are all shorter (s), the number of those to come says as much as their seconds.
_SHORT = 0.01


class Run:
    """Brings a prepared run to its workers.

    Args:
        prepared: What to run.
        sites: Where.
        settings: The runner's settings.
        hook_manager: A pluggy manager, or None.
        history: How long nodes have taken before.
    """

    def __init__(
        self, prepared: Preparation, sites: Sites, settings: RunSettings,
        hook_manager: Any, history: History,
    ) -> None:  # fmt: skip
        self._history = history
        self._prepared = prepared
        self._sites = sites
        self._settings = settings
        self._hook_manager = hook_manager
        self._policy = Policy(
            on_failure=settings.on_failure, retries=settings.retries, timeout=settings.timeout
        )
        self._stretches = Stretches(0)
        self._journal: RunJournal | None = None
        self._checkpoint: str | None = None

    def check(
        self, validate_nodes: Callable[..., Any], validate_catalog: Callable[..., Any]
    ) -> None:
        """Check nodes and datasets against the backends.

        Args:
            validate_nodes: The runner's own check.
            validate_catalog: Likewise.

        Raises:
            ValidationError: With all problems together.
        """
        self._sites.check(validate_nodes, validate_catalog)

    def start(self, cancellation: Cancellation | None = None) -> RunResult | BaseException:
        """Run, and collect the results.

        Args:
            cancellation: Lets other threads end the run.

        Returns:
            The results, or what a node raised; several as an ExceptionGroup.

        Raises:
            ValidationError: If an input cannot be brought to the workers.
        """
        for site in self._sites.all:
            site.need_imports()
        self._open_journal()
        try:
            keeps = self._checkpoint is not None
            self._stretches = self._sites.stretches(self._policy, keeps=keeps)
            transports = self._sites.transports(self._stretches, self._checkpoint)
        except BaseException:
            if self._journal is not None:
                self._journal.remove()
            raise
        try:
            return self._execute(transports, cancellation)
        finally:
            transports.values.close()
            if self._journal is not None:
                self._journal.close()
            if self._checkpoint is not None:
                sweep_checkpoint(self._checkpoint)

    def _execute(
        self, transports: Transports, cancellation: Cancellation | None
    ) -> RunResult | BaseException:
        prepared = self._prepared
        emit = Dispatcher(self._observers())
        emit(
            RunStarted(
                run_id=prepared.run_id, nodes=len(prepared.nodes),
                backend=self._sites.backend, max_workers=self._sites.max_workers,
            )
        )  # fmt: skip
        work = self._work(transports, emit)
        pools = [site.pool for site in self._sites.all]
        engine = Engine(list(zip(pools, transports.all, strict=True)), work, cancellation)
        try:
            engine.run()
        finally:
            summary = self._finish(work, emit)
        failure = failure_of(work.scheduler.failures)
        return failure or RunResult(transports.values.results(prepared.outputs), summary)

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
                "backend": self._sites.backend, "checkpoint": self._checkpoint,
                "inputs": prepared.inputs,
            }  # fmt: skip
        except OSError as error:
            raise ValidationError(f"The run cannot be written down: {error}") from error
        journal = RunJournal(prepared.runs, prepared.run_id, prepared.manifest, head)
        if prepared.resumed is not None:
            for name, files in prepared.resumed.reused.items():
                journal.carried_over(name, prepared.resumed.run_id, files)
            journal.begin()  # it takes the place of the run that it resumes
        if kept_in is not None:
            journal.begin()
            journal.flush()
            if journal.path is None:
                raise ValidationError(f"The run cannot be written down in {prepared.runs}.")
        self._journal = journal

    def _work(self, transports: Transports, emit: Dispatcher) -> Work:
        prepared, pipeline = self._prepared, self._prepared.compiled
        nodes, names, graph = pipeline.nodes, pipeline.names, pipeline.graph
        report = Reporter(
            emit, prepared.run_id, names, self._journal, speaks=prepared.host is None
        )  # fmt: skip
        expected = self._history.expected(prepared.manifest, names, prepared.runs)
        if prepared.host is not None and prepared.host.keeps_order:
            order: Sequence[int] = range(len(nodes))
        elif any(seconds is not None and seconds > _SHORT for seconds in expected):
            order = urgency(graph, nodes, expected)
        else:
            order = pipeline.order
        needs = pipeline.resources
        tokens = Tokens(needs, self._sites.capacities if needs else {})
        table = TaskTable(names, graph, order, self._sites.lanes, kinds=tokens.kinds)
        scheduler = Scheduler(
            nodes, table, self._stretches, prepared.lifetimes(), self._policy, tokens
        )
        return Work(
            nodes=nodes, functions=pipeline.functions,
            fingerprints=pipeline.fingerprints, scheduler=scheduler,
            stretches=self._stretches, expected=expected,
            policy=self._policy, report=report,
            meter=Meter(Timeline(names, graph.parents, pipeline.wiring.writes), len(nodes)),
            values=transports.values, tokens=tokens, writes=pipeline.wiring.writes,
            fetch=transports.fetch,
        )  # fmt: skip

    def _observers(self) -> Iterable[Observer]:
        if self._prepared.host is not None:
            yield self._prepared.host.observer
        elif LogObserver.is_wanted():
            yield LogObserver()
        if self._settings.progress:
            from motorpool._run.progress import progress_for  # noqa: PLC0415, few runs need it

            shown = progress_for(self._settings.progress)
            yield from () if shown is None else (shown,)
        yield from self._settings.observers
        register = getattr(
            getattr(self._hook_manager, "hook", None), "motorpool_register_observers", None
        )
        for observers in register() if register is not None else ():
            yield from observers

    def _finish(self, work: Work, emit: Dispatcher) -> RunSummary:
        """Sum the run up for observers and the caller; done after a failure and Ctrl-C as well."""
        prepared, table, meter = self._prepared, work.scheduler.table, work.meter
        done, failed = table.nodes_in(DONE), table.nodes_in(FAILED)
        unfinished = sorted(set(range(len(prepared.nodes))) - set(done))
        wall_time, skipped = time.perf_counter() - prepared.started, len(unfinished) - len(failed)
        path = None
        if self._journal is not None:
            self._journal.finished(
                completed=len(done), failed=len(failed), skipped=skipped, wall_time=wall_time
            )
            path = self._journal.path
        summary = RunSummary(
            run_id=prepared.run_id, backend=self._sites.backend,
            max_workers=self._sites.max_workers, completed=len(done),
            failed=tuple(prepared.nodes[i].name for i in failed),
            skipped=skipped, wall_time=wall_time,
            node_time=meter.node_time, call_time=meter.call_time, nodes=meter.timeline,
            peak_memory=meter.peak_memory,
            journal=None if path is None else str(path),
        )  # fmt: skip
        pipeline = prepared.compiled
        self._history.remember(prepared.manifest, pipeline.names, meter.seconds)
        start = resume_nodes(prepared.nodes, pipeline.graph, unfinished, prepared.catalog)
        work.values.poll()  # so that the last word is the run's
        emit(RunFinished(run_id=prepared.run_id, summary=summary, resume_from=tuple(start)))
        if unfinished and prepared.host is None:
            suggest_resume(len(done), len(unfinished), start, summary.journal)
        return summary
