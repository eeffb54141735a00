"""Runners: what people call to run a pipeline."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

from motorpool import registry
from motorpool._run.abstract import AbstractRunner
from motorpool.backend import worker_count
from motorpool.errors import BackendOptionError, unknown_names

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Executor

    from motorpool._pipeline.retry import Retry
    from motorpool._run.abstract import OnFailure
    from motorpool.backend import ExecutorBackend
    from motorpool.events import Observer

__all__ = ["AbstractRunner", "ParallelRunner", "SequentialRunner", "ThreadRunner"]


class _BackendRunner(AbstractRunner):
    """A runner on a backend."""

    def __init__(
        self, backend: str | ExecutorBackend | Executor, max_workers: int | None,
        is_async: bool, options: dict[str, Any], backend_options: dict[str, Any],
    ) -> None:  # fmt: skip
        own = inspect.signature(type(self)).parameters.keys() - {"options", "backend_options"}
        own |= inspect.signature(AbstractRunner).parameters.keys()
        if unknown := sorted(options.keys() - own):
            raise TypeError(unknown_names(f"argument of {type(self).__name__}", unknown, own))
        super().__init__(is_async, **options)
        worker_count(max_workers)  # a bad number is an error now, not at the first run
        self._max_workers = max_workers
        try:
            self._backend = registry.resolve(backend, backend_options)
        except BackendOptionError as error:
            meant = _nearest(backend_options, own)
            raise BackendOptionError(f"{error}{meant}", backend=error.backend) from error

    def _shown(self) -> list[str]:
        workers = [] if self._max_workers is None else [f"max_workers={self._max_workers}"]
        return [repr(self._backend.name), *workers]

    def _get_backend(self) -> ExecutorBackend:
        own = type(self)._get_executor  # noqa: SLF001, is it this class's, or a subclass's?
        if own is not _BackendRunner._get_executor:
            return super()._get_backend()  # a subclass has its own executor
        return self._backend

    def _own_backend(self) -> str | None:
        return self._backend.name

    def _get_executor(self, max_workers: int) -> Executor:
        return self._backend.get_executor(max_workers)


def _nearest(names: Iterable[str], known: Iterable[str]) -> str:
    """What arguments of a runner may have been meant by options of a backend."""
    import difflib  # noqa: PLC0415, only a mistake needs it

    pairs = [(n, difflib.get_close_matches(n, known, n=1, cutoff=0.8)) for n in names]
    return "".join(f" Do you mean {found[0]}, not {name}?" for name, found in pairs if found)


class SequentialRunner(_BackendRunner):
    """Runs one node after the other, in this process.

    Args:
        is_async: Load a node's inputs and save its outputs side by side, with threads.
        **options: `on_failure`, `retries` and the others of `AbstractRunner`.
    """

    def __init__(self, is_async: bool = False, **options: Any) -> None:
        super().__init__("sequential", 1, is_async, options, {})

    def _shown(self) -> list[str]:
        return []


class ThreadRunner(_BackendRunner):
    """Runs nodes in threads of this process.

    Args:
        max_workers: Number of threads; by default as many as there are cores to use.
        is_async: Load a node's inputs and save its outputs side by side, with threads.
        **options: `on_failure`, `retries` and the others of `AbstractRunner`.

    Raises:
        WorkerCountError: If the number of workers is not a positive whole number.
    """

    def __init__(
        self, max_workers: int | None = None, is_async: bool = False, **options: Any
    ) -> None:
        super().__init__("threads", max_workers, is_async, options, {})

    def _shown(self) -> list[str]:
        return super()._shown()[1:]


class ParallelRunner(_BackendRunner):
    """Runs nodes in parallel, on any executor.

    Args:
        backend: Name of an installed backend, a backend, or any `concurrent.futures.Executor`,
            which stays yours: it is neither replaced nor shut down.
        max_workers: Number of workers; by default as many as there are cores to use. At most 61
            on Windows.
        is_async: Load a node's inputs and save its outputs side by side, with threads.
        on_failure: "stop", "continue" or "kill"; see `AbstractRunner`.
        retries: How often to try a failed node again, or a `Retry`.
        timeout: Seconds until a running node is ended.
        observers: Get every event of the run.
        runs_folder: Where each run keeps its journal, see `AbstractRunner`; False for none.
        checkpoint: A folder to keep in-memory values in, so that a resumed run finds them.
        memory_limit: Bytes of shared memory that values may take, such as "4GiB".
        readonly_inputs: Whether large inputs cannot be written to, instead of copies on write.
        fuse: Whether values of a linear stretch of nodes stay in one worker, uncopied.
        progress: Whether to show how far a run is, on the terminal or in the notebook; "auto" for
            only where there is one.
        resources: What there is of what nodes take, such as {"gpu": 1}; see `AbstractRunner`.
        backends: What nodes mean by the backend that they name: a backend with options, or an
            executor of yours; by default the installed backend of this name.
        **backend_options: Options of the backend, if it is given by name.

    Raises:
        WorkerCountError: If the number of workers is not a positive whole number.
        BackendError: If there is no such backend, or it is broken.
        BackendOptionError: If an option is unknown or of the wrong type.
    """

    def __init__(  # noqa: PLR0913, each is a setting of its own
        self,
        backend: str | ExecutorBackend | Executor = "direct",
        max_workers: int | None = None,
        is_async: bool = False,
        *,
        on_failure: OnFailure = "stop",
        retries: int | Retry = 0,
        timeout: float | None = None,
        observers: Iterable[Observer] = (),
        runs_folder: str | os.PathLike[str] | bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        memory_limit: int | str | None = None,
        readonly_inputs: bool = False,
        fuse: bool = True,
        progress: bool | Literal["auto"] = False,
        resources: Mapping[str, float | str] | None = None,
        backends: Mapping[str, str | ExecutorBackend | Executor] | None = None,
        **backend_options: Any,
    ) -> None:
        options = {
            "on_failure": on_failure, "retries": retries, "timeout": timeout,
            "observers": observers, "runs_folder": runs_folder, "checkpoint": checkpoint,
            "memory_limit": memory_limit, "readonly_inputs": readonly_inputs, "fuse": fuse,
            "progress": progress, "resources": resources, "backends": backends,
        }  # fmt: skip
        super().__init__(backend, max_workers, is_async, options, backend_options)

    def warm_up(self) -> None:
        """Begin to start what takes long, and return at once: there will be a run soon.

        Where workers are forked from a server, it starts, and imports what they need.
        """
        self._backend.warm_up()
