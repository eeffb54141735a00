"""What our runners of Kedro have in common: they hand a run to the engine."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import warnings
from typing import TYPE_CHECKING, Any, Self

from kedro.framework.hooks.manager import _NullPluginManager
from kedro.io import DatasetError

import motorpool
from motorpool import errors
from motorpool._run.prepare import Preparation, new_run_id
from motorpool._system.imports import need, need_modules
from motorpool._system.kedro_project import WORKER_MODULES
from motorpool.backend import worker_count
from motorpool.kedro import _parameters, _project
from motorpool.kedro._datasets import Datasets
from motorpool.kedro._host import KedroHost
from motorpool.kedro._narrator import Narrator
from motorpool.kedro._relay import Switchboard
from motorpool.kedro._starting import StartMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from motorpool.events import Observer

_SYNCHRONOUS = (
    "Using synchronous mode for loading and saving data. Use the --async flag for potential "
    "performance gains. https://docs.kedro.org/en/stable/build/run_a_pipeline/"
    "#load-and-save-asynchronously"
)
# In the words that people look for.
_NOT_IN_THREADS = (
    "'ThreadRunner' doesn't support loading and saving the node inputs and outputs asynchronously "
    "with threads. Setting 'is_async' to False."
)
_UNABLE = "Unable to schedule new tasks although some nodes have not been run"
_NOT_SAVED = "Data for MemoryDataset has not been saved yet."
_NOT_POSITIVE = "max_workers should be positive"
# A runner may be used by several threads at a time.
_renewing = threading.Lock()


class _Engine(motorpool.ParallelRunner):
    """Our runner, on the executor of a subclass that has its own."""

    factory: Any = None

    def _get_executor(self, max_workers: int) -> Executor:
        executor: Executor = self.factory(max_workers)
        return executor


class EngineRunner:
    """What our runners of Kedro have in common: they hand `_run` to the engine.

    Used as a context manager, a runner keeps its workers for all runs within.
    """

    _is_async: bool
    _max_workers: int
    #: Whether loading and saving with threads is of use; Kedro's runner in threads does without.
    _knows_async = True
    # Whether workers are kept for several runs, and whether the first of these has begun.
    _keeps = _has_run = False
    _start_method: StartMethod
    _make: Callable[[], motorpool.ParallelRunner]
    # Whether nodes run in the order of the pipeline, as people see them in one process.
    _keeps_order = False
    #: The run to go on from, as `motorpool.ParallelRunner.run` takes it.
    _resume: str | bool = False
    # Whether the engine leaves out what exists; Kedro's own way does not go with resuming.
    _only_missing = False
    #: The runner whose log lines people know; ours come from the same logger.
    _kedro_class: type[Any]

    def _set_up(
        self, backend: Any, observers: tuple[Observer, ...], values: dict[str, Any]
    ) -> None:
        backend, settings, options = _parameters.read(backend, values)
        if settings.is_async and not self._knows_async:
            warnings.warn(_NOT_IN_THREADS, stacklevel=3)
            settings = dataclasses.replace(settings, is_async=False)
        workers = settings.max_workers
        if workers is not None:
            workers = self._validate_max_workers(workers)
        is_ours = type(self)._get_executor is EngineRunner._get_executor  # noqa: SLF001
        kind = motorpool.ParallelRunner if is_ours else _Engine
        factory = None if is_ours else self._get_executor
        start = self._start_method = StartMethod(backend, options)

        def make() -> motorpool.ParallelRunner:
            engine = kind(
                backend, workers, settings.is_async, on_failure=settings.on_failure,
                retries=settings.retries, timeout=settings.timeout,
                observers=observers, runs_folder=settings.runs_folder,
                checkpoint=settings.checkpoint, memory_limit=settings.memory_limit,
                readonly_inputs=settings.readonly_inputs, fuse=settings.fuse,
                **options, **start.options,
            )  # fmt: skip
            if factory is not None:
                engine.factory = factory  # type: ignore[attr-defined]
            return engine

        self._make = make
        hooks_in_driver = settings.hooks == "driver"
        self._adopt(make(), is_async=settings.is_async, hooks_in_driver=hooks_in_driver)
        self._engine.warm_up()  # the session has yet to load catalog and pipelines

    def _renew(self) -> None:
        """Take another engine, if this one would start workers in a way that is not safe any more.

        Workers that are kept for several runs have started in the first one.
        """
        with _renewing:
            if not (self._keeps and self._has_run) and self._start_method.has_changed():
                self._engine = self._make()
                if self._keeps:
                    self._engine.__enter__()
            self._has_run = True

    def _adopt(
        self, engine: motorpool.ParallelRunner, *, is_async: bool, hooks_in_driver: bool = False
    ) -> None:
        self._engine = engine
        self._is_async = is_async
        self._max_workers = engine._all_workers()  # noqa: SLF001, ours as well
        is_ours = not isinstance(engine, _Engine)
        in_process = is_ours and engine._backend.capabilities.isolation.in_process  # noqa: SLF001
        self._hooks_in_driver = hooks_in_driver and not in_process
        self._raises_one = engine._settings.on_failure != "continue"  # noqa: SLF001, as above
        need_modules(WORKER_MODULES)
        need_modules(_project.libraries())

    def __del__(self) -> None:
        """Nothing to do: Kedro's own shuts a manager down here, which ours does not have."""

    def __repr__(self) -> str:
        """With the class of Kedro's, whose name is looked for in here by kedro-viz."""
        kinds = (type(self), self._kedro_class)
        ours, kedros = (f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
        return f"<{ours} object, a {kedros} object>"

    def __enter__(self) -> Self:
        self._engine.__enter__()
        self._keeps, self._has_run = True, False
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._keeps = False
        self._engine.close()

    def close(self) -> None:
        """End the workers; results that are still held go on loading."""
        self._engine.close()

    @classmethod
    def _validate_max_workers(cls, max_workers: int | None) -> int:
        try:
            return worker_count(max_workers)
        except errors.WorkerCountError as error:
            raise errors.WorkerCountError(f"{_NOT_POSITIVE}: {error}") from None

    @property
    def _logger(self) -> logging.Logger:
        return logging.getLogger(self._kedro_class.__module__)

    def _get_executor(self, max_workers: int) -> Executor:
        return self._engine._get_executor(max_workers)  # noqa: SLF001, ours as well

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: Any = None,
        run_id: str | None = None,
    ) -> None:
        if not self._is_async and self._knows_async:
            self._logger.info(_SYNCHRONOUS)
        self._renew()
        manager = None if isinstance(hook_manager, _NullPluginManager) else hook_manager
        datasets = _datasets_of(pipeline, catalog)
        need(datasets.types())
        narrator = self._narrator = Narrator(self._logger)
        prepared = self._prepared(
            pipeline,
            datasets,
            run_id,
            KedroHost(catalog, datasets, narrator, keeps_order=self._keeps_order),
        )
        try:
            with self._hooks_of(manager, prepared.nodes, catalog) as hooks:
                outcome = self._engine._run(prepared, hooks)  # noqa: SLF001, ours as well
            if isinstance(outcome, BaseException):
                try:
                    raise self._raised(outcome, narrator.failed)
                finally:
                    del outcome  # as in `AbstractRunner.run`
            self._keep(outcome)
        except BaseException as error:
            refused = _refused(error)
            if narrator.started:
                done = [n for n in narrator.done_of(prepared.nodes) if refused not in n.outputs]
                self._suggest_resume_scenario(pipeline, done, catalog)  # type: ignore[attr-defined]
            if refused is not None:
                raise DatasetError(f"{refused}: {error.__cause__}") from error.__cause__
            raise

    def _prepared(
        self, pipeline: Pipeline, datasets: Datasets, run_id: str | None, host: KedroHost
    ) -> Preparation:
        engine: Any = self._engine  # ours as well
        try:
            return Preparation(
                pipeline, datasets, only_missing_outputs=self._only_missing,
                run_id=run_id or new_run_id(),
                resume=self._resume, runs=engine._settings.runs_folder,  # noqa: SLF001, as above
                wants_results=engine._wants_results, host=host,  # noqa: SLF001
            )  # fmt: skip
        except errors.MissingInputError as error:  # that all are registered, Kedro has seen to
            raise DatasetError(f"{_NOT_SAVED} {error}") from error
        except errors.PipelineError as error:
            raise RuntimeError(f"{_UNABLE}:\n{error}") from error

    def _raised(self, outcome: BaseException, failed: list[str]) -> BaseException:
        """What a failed run raises: as with Kedro, what the first node has raised."""
        several = len(failed) > 1 and isinstance(outcome, BaseExceptionGroup)
        if not several or not self._raises_one:
            return outcome
        first: BaseException = outcome.exceptions[0]  # type: ignore[attr-defined]
        first.add_note(f"These nodes have failed: {', '.join(failed)}")
        return first

    def _keep(self, outcome: Any) -> None:
        """For those who want more of a run than Kedro's own results; here, nothing."""

    @contextlib.contextmanager
    def _hooks_of(self, manager: Any, nodes: list[Any], catalog: Any) -> Iterator[Any]:
        """The hook manager for the engine: the caller's, or one that asks here."""
        if manager is None or not self._hooks_in_driver:
            yield manager
            return
        with Switchboard(manager, nodes, catalog) as switchboard:
            yield switchboard.manager()


def _datasets_of(pipeline: Pipeline, catalog: Any) -> Datasets:
    confirmed = {name for node in pipeline.nodes for name in node.confirms}
    written = {name for node in pipeline.nodes for name in node.outputs}
    return Datasets(catalog, sorted(pipeline.datasets() | confirmed), written)


def _refused(error: BaseException) -> str | None:
    """Name of an output that its dataset has refused when all was done, if that is the error."""
    ours = isinstance(error, errors.DatasetError) and isinstance(error.__cause__, DatasetError)
    return error.dataset if ours else None  # type: ignore[attr-defined]
