"""Kedro's runners, with our engine underneath."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import kedro.runner
from kedro.runner.parallel_runner import ParallelRunnerManager

from motorpool.kedro._engine_runner import EngineRunner

if TYPE_CHECKING:
    from motorpool.events import Observer


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

    @functools.cached_property
    def _manager(self) -> ParallelRunnerManager:  # type: ignore[override]
        """Kedro's server of shared objects, for subclasses of its runner that ask for it."""
        manager = ParallelRunnerManager()
        manager.start()
        return manager

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
        is_async: Taken for false, with a warning, as Kedro's does.
        **settings: As for `ParallelRunner`.
    """

    _kedro_class = kedro.runner.ThreadRunner
    _knows_async = False

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
    _keeps_order = True

    def __init__(self, is_async: bool = False, **settings: Any) -> None:
        observers = settings.pop("observers", ())
        self._set_up("sequential", observers, {"max_workers": 1, "is_async": is_async, **settings})
