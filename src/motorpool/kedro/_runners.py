"""Kedro's runners, with our engine underneath."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Self

import kedro.runner
from kedro.framework.hooks.manager import _NullPluginManager
from kedro.io import DatasetError

import motorpool
from motorpool import errors, registry
from motorpool._options import option_types
from motorpool._run.prepare import Preparation, new_run_id
from motorpool._system.imports import need, need_modules
from motorpool._system.kedro_project import WORKER_MODULES
from motorpool.backend import worker_count
from motorpool.kedro import _parameters, _project
from motorpool.kedro._datasets import Datasets
from motorpool.kedro._host import KedroHost
from motorpool.kedro._narrator import Narrator
from motorpool.kedro._relay import Switchboard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from motorpool.events import Observer

_SYNCHRONOUS = (
    "Using synchronous mode for loading and saving data. Use the --async flag for potential "
    "performance gains. https://docs.kedro.org/en/stable/build/run_a_pipeline/"
    "#load-and-save-asynchronously"
)
# What Kedro's own runner takes its start method from.
_START_METHOD = "KEDRO_MP_CONTEXT"


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
    #: The run to go on from, as `motorpool.ParallelRunner.run` takes it.
    _resume: str | bool = False
    #: The runner whose log lines people know; ours come from the same logger.
    _kedro_class: type[Any]

    def _set_up(
        self, backend: Any, observers: tuple[Observer, ...], values: dict[str, Any]
    ) -> None:
        backend, settings, options = _parameters.read(backend, values)
        _add_start_method(backend, options)
        own = type(self)._get_executor  # noqa: SLF001
        kind = motorpool.ParallelRunner if own is EngineRunner._get_executor else _Engine
        engine = kind(
            backend, settings.max_workers, settings.is_async, on_failure=settings.on_failure,
            retries=settings.retries, timeout=settings.timeout,
            observers=observers, runs_folder=settings.runs_folder,
            checkpoint=settings.checkpoint, memory_limit=settings.memory_limit,
            readonly_inputs=settings.readonly_inputs, fuse=settings.fuse, **options,
        )  # fmt: skip
        if kind is _Engine:
            engine.factory = self._get_executor  # type: ignore[attr-defined]
        self._adopt(engine, is_async=settings.is_async, hooks_in_driver=settings.hooks == "driver")
        engine.warm_up()  # the session has yet to load catalog and pipelines

    def _adopt(
        self, engine: motorpool.ParallelRunner, *, is_async: bool, hooks_in_driver: bool = False
    ) -> None:
        self._engine = engine
        self._is_async = is_async
        self._max_workers = engine._all_workers()  # noqa: SLF001, ours as well
        is_ours = not isinstance(engine, _Engine)
        in_process = is_ours and engine._backend.capabilities.isolation.in_process  # noqa: SLF001
        self._hooks_in_driver = hooks_in_driver and not in_process
        need_modules(WORKER_MODULES)
        need_modules(_project.libraries())

    def __del__(self) -> None:
        """Nothing to do: Kedro's own shuts a manager down here, which ours does not have."""

    def __enter__(self) -> Self:
        self._engine.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._engine.close()

    def close(self) -> None:
        """End the workers; results that are still held go on loading."""
        self._engine.close()

    @classmethod
    def _validate_max_workers(cls, max_workers: int | None) -> int:
        return worker_count(max_workers)

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
        if not self._is_async and self._kedro_class is not kedro.runner.ThreadRunner:
            self._logger.info(_SYNCHRONOUS)
        manager = None if isinstance(hook_manager, _NullPluginManager) else hook_manager
        datasets = _datasets_of(pipeline, catalog)
        need(datasets.types())
        narrator = self._narrator = Narrator(self._logger)
        prepared = self._prepared(
            pipeline, datasets, run_id, KedroHost(catalog, datasets, narrator)
        )
        try:
            with self._hooks_of(manager, prepared.nodes, catalog) as hooks:
                outcome = self._engine._run(prepared, hooks)  # noqa: SLF001, ours as well
            if isinstance(outcome, BaseException):
                try:
                    raise outcome
                finally:
                    del outcome  # as in `AbstractRunner.run`
            self._keep(outcome)
        except BaseException as error:
            refused = _refused(error)
            if narrator.started:
                found = [n for n in prepared.nodes if n.name in narrator.done]
                done = [n for n in found if refused not in n.outputs]
                self._suggest_resume_scenario(pipeline, done, catalog)  # type: ignore[attr-defined]
            if refused is not None:
                raise DatasetError(f"{refused}: {error.__cause__}") from error.__cause__
            raise

    def _prepared(
        self, pipeline: Pipeline, datasets: Datasets, run_id: str | None, host: KedroHost
    ) -> Preparation:
        engine: Any = self._engine  # ours as well
        return Preparation(
            pipeline, datasets, only_missing_outputs=False, run_id=run_id or new_run_id(),
            resume=self._resume, runs=engine._settings.runs_folder,  # noqa: SLF001, as above
            wants_results=engine._wants_results, host=host,  # noqa: SLF001
        )  # fmt: skip

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


def _add_start_method(backend: Any, options: dict[str, Any]) -> None:
    """Take the start method from where Kedro's runner does, if the backend has that option."""
    wanted = os.environ.get(_START_METHOD)
    if not wanted or not isinstance(backend, str) or "start_method" in options:
        return
    if "start_method" in option_types(registry.get(backend).options_type):
        options["start_method"] = wanted


class ParallelRunner(EngineRunner, kedro.runner.ParallelRunner):
    """Runs a Kedro pipeline in parallel, on any backend.

    Args:
        max_workers: Number of workers; by default as many as there are cores to use. At most 61
            on Windows.
        is_async: Load a node's inputs and save its outputs side by side, with threads.
        backend: Name of an installed backend, a backend, or any `concurrent.futures.Executor`.
        observers: Get every event of the run.
        **settings: `on_failure`, `retries`, `timeout`, `memory_limit`, `readonly_inputs`, `fuse`,
            `runs_folder` and `checkpoint`, as `motorpool.ParallelRunner` has them, but without
            journals by default; `hooks`: "workers" calls hooks where the node runs, on a copy of
            their object, "driver" calls them in this process; and the backend's own options. All
            may be texts, as on a command line.

    Raises:
        WorkerCountError: If the number of workers is not a positive whole number.
        BackendError: If there is no such backend, or an option is unknown or of the wrong type.
        ValidationError: If a setting is of the wrong type.
    """

    _kedro_class = kedro.runner.ParallelRunner
    #: The backend, if none is named.
    default_backend = "direct"

    def __init__(
        self,
        max_workers: int | None = None,
        is_async: bool = False,
        *,
        backend: Any = None,
        observers: tuple[Observer, ...] = (),
        **settings: Any,
    ) -> None:
        values = {"max_workers": max_workers, "is_async": is_async, **settings}
        self._set_up(backend or self.default_backend, observers, values)


class ThreadRunner(EngineRunner, kedro.runner.ThreadRunner):
    """Runs a Kedro pipeline in threads of this process.

    Args:
        max_workers: Number of threads; by default as many as there are cores to use.
        is_async: Load a node's inputs and save its outputs side by side, with more threads.
        **settings: As for `ParallelRunner`.
    """

    _kedro_class = kedro.runner.ThreadRunner

    def __init__(
        self, max_workers: int | None = None, is_async: bool = False, **settings: Any
    ) -> None:
        observers = settings.pop("observers", ())
        values = {"max_workers": max_workers, "is_async": is_async, **settings}
        self._set_up("threads", observers, values)


class SequentialRunner(EngineRunner, kedro.runner.SequentialRunner):  # type: ignore[misc]
    """Runs the nodes of a Kedro pipeline one after the other, in this process.

    Args:
        is_async: Load a node's inputs and save its outputs side by side, with threads.
        **settings: As for `ParallelRunner`.
    """

    _kedro_class = kedro.runner.SequentialRunner

    def __init__(self, is_async: bool = False, **settings: Any) -> None:
        observers = settings.pop("observers", ())
        self._set_up("sequential", observers, {"max_workers": 1, "is_async": is_async, **settings})
