"""What all runners have in common."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, Self

from motorpool import registry
from motorpool._run.asynchronous import AsyncRuns
from motorpool._run.options import RunSettings
from motorpool._run.resources import Resources, backends_by_name
from motorpool.backend import worker_count
from motorpool.errors import BackendError
from motorpool.pipeline import graph_of

if TYPE_CHECKING:
    import logging
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from motorpool._journal.history import History
    from motorpool._pipeline.retry import Retry
    from motorpool._run.prepare import Preparation
    from motorpool._run.result import RunResult
    from motorpool._system.signals import Cancellation
    from motorpool.backend import ExecutorBackend
    from motorpool.catalog import RunCatalog
    from motorpool.events import Observer

_KEDRO_COMMANDS = "kedro.framework.cli.project"
OnFailure = Literal["stop", "continue", "kill"]


class AbstractRunner(AsyncRuns, ABC):
    """Runs pipelines; a subclass says on which executor.

    Used as a context manager it keeps its workers for all runs within; otherwise each run starts
    and ends its own.

    Args:
        is_async: Load a node's inputs and save its outputs side by side, with threads.
        on_failure: After a node has failed: "stop" starts nothing new and lets running nodes
            finish, "continue" finishes every branch that does not need the node, "kill" ends
            running nodes too.
        retries: How often to try a failed node again, or a `Retry`, for nodes that do not say so
            themselves.
        timeout: Seconds until a running node is ended, for nodes that do not say so themselves.
        observers: Get every event of the run.
        runs_folder: Where each run keeps its journal; `.motorpool/runs` in the working directory
            by default, or what the environment variable MOTORPOOL_RUNS names; False for none.
        checkpoint: A folder to keep in-memory values in as they are made, so that a resumed run
            finds them; None for none.
        memory_limit: Bytes of shared memory that values may take before they go to disk, as a
            number or a text such as "4GiB"; by default half of what is free.
        readonly_inputs: Whether nodes in other processes get large inputs that cannot be written
            to; by default they get copies on write.
        fuse: Whether nodes of which each needs only the one before run in one worker, which hands
            the values on as they are; false to let every value go through the store.
        progress: Whether to show how far a run is, on the terminal or below the cell of a
            notebook; "auto" for only where there is one.
        resources: What there is of what nodes take, such as {"gpu": 1}, beside cpu and memory.
        backends: What nodes mean by the backend that they name, where that is not the installed
            one of this name: a backend with options, or an executor of your own.

    Raises:
        ValidationError: If one of the arguments is not of this kind.
        BackendError: If one of `backends` is none.
    """

    def __init__(  # noqa: PLR0913, each is a setting of its own
        self,
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
    ) -> None:
        if _KEDRO_COMMANDS in sys.modules:
            from motorpool._run.checks import refuse_command  # noqa: PLC0415, as below

            refuse_command(type(self).__name__, _KEDRO_COMMANDS)
        self._settings = RunSettings(
            is_async=is_async, on_failure=on_failure, retries=retries, timeout=timeout,
            observers=observers, runs_folder=runs_folder, checkpoint=checkpoint,
            memory_limit=memory_limit, readonly_inputs=readonly_inputs, fuse=fuse,
            progress=progress, resources=resources,
        )  # fmt: skip
        self._max_workers: int | None = None
        self._wants_results = True  # the command line throws them away
        self._backends = backends_by_name({} if backends is None else backends)
        self._resources = Resources(self._settings, self._backend_of, self._all_workers)
        self._history: History | None = None

    @property
    def _logger(self) -> logging.Logger:
        import logging  # noqa: PLC0415, takes 4 ms

        return logging.getLogger("motorpool")

    def run(
        self,
        pipeline: Any,
        catalog: Any,
        hook_manager: Any = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
        resume: str | bool = False,
    ) -> RunResult:
        """Run a pipeline.

        Args:
            pipeline: A `Pipeline`, or anything with `nodes`, `node_dependencies`, `inputs()` and
                `outputs()`, such as Kedro's.
            catalog: A `DataCatalog`, anything with `get(name)` and `in`, such as Kedro's, or a
                plain dict of names to values.
            hook_manager: A pluggy manager with the hooks to call; see `create_hook_manager`.
            run_id: Name of the run, for hooks and events; made up if left out.
            only_missing_outputs: Run only what is needed for persistent outputs that do not exist.
            resume: Run only what has not succeeded in an earlier run of the same pipeline, and
                what has to be made again for it. Its id, or true for the latest one.

        Returns:
            Output name to dataset, for every output of the pipeline; they load for as long as
            they are kept, even after the runner is gone. The attribute `summary` has the figures.

        Raises:
            MissingInputError: If the catalog lacks an input; nothing has started.
            ResumeError: If there is no run to resume, or it is not of this pipeline.
            ValidationError: If nodes or datasets cannot run on this backend; nothing has started.
            Exception: What a node raised, with a note that names the node.
            WorkerCrashedError: If a worker died in a node.
            NodeTimeoutError: If a node ran past its deadline.
            ExceptionGroup: If several nodes failed.
        """
        outcome = self._outcome(
            pipeline, catalog, hook_manager, run_id, only_missing_outputs, resume
        )
        if not isinstance(outcome, BaseException):
            return outcome
        try:
            raise outcome
        finally:  # it leads to this frame: with its name here, what nodes have read would stay
            del outcome

    def _outcome(
        self, pipeline: Any, catalog: Any, hook_manager: Any, run_id: str | None,
        only_missing_outputs: bool, resume: str | bool,
        cancellation: Cancellation | None = None,
    ) -> RunResult | BaseException:  # fmt: skip
        from motorpool._run.checks import check_hook_manager  # noqa: PLC0415, as below
        from motorpool._run.prepare import Preparation  # noqa: PLC0415, the engine takes 30 ms to import

        check_hook_manager(hook_manager)
        prepared = Preparation(
            pipeline, catalog, only_missing_outputs=only_missing_outputs, run_id=run_id,
            resume=resume, runs=self._settings.runs_folder, wants_results=self._wants_results,
        )  # fmt: skip
        return self._run(prepared, hook_manager, cancellation)

    def _run(
        self, prepared: Preparation, hook_manager: Any, cancellation: Cancellation | None = None
    ) -> RunResult | BaseException:
        """Run what has been prepared; the catalog has everything that is needed.

        Returns:
            The result, or what nodes have raised. That is raised by the caller, so that no more
            than one frame of ours is between the user's own and the node's.
        """
        from motorpool._journal.history import History  # noqa: PLC0415, as above
        from motorpool._run.run import Run  # noqa: PLC0415, as above
        from motorpool._run.sites import OWN, Sites  # noqa: PLC0415, as above
        from motorpool._run.store_manager import StoreManager  # noqa: PLC0415, as above
        from motorpool._system.starting import occupy_standard_descriptors  # noqa: PLC0415, as above

        occupy_standard_descriptors()
        backends = self._backends_of(prepared.nodes)
        workers = self._workers_for(len(prepared.nodes), prepared.compiled.layers)
        counts = Counter(backends) or {OWN: 1}
        places = self._resources.acquire({n: min(c, workers) for n, c in counts.items()})
        try:
            self._history = self._history or History()
            sites = Sites(prepared, backends, places, self._settings, hook_manager)
            run = Run(prepared, sites, self._settings, hook_manager, self._history)
            run.check(self._validate_nodes, self._validate_catalog)
            store = next((place.store for place in places.values() if place.store), None)
            if store is not None:
                self._set_manager_datasets(prepared.user_catalog, StoreManager(store))
            return run.start(cancellation)
        finally:
            self._resources.release(places)

    def _backends_of(self, nodes: Sequence[Any]) -> list[str]:
        """For each node the backend that it names; OWN for the runner's own.

        Raises:
            ValidationError: If there is no such backend; names the nodes.
        """
        from motorpool._run.checks import raise_problems  # noqa: PLC0415, as above
        from motorpool._run.sites import OWN, backends_of  # noqa: PLC0415, as above

        own = self._own_backend()
        found = backends_of(nodes, None if own in self._backends else own)
        wrong: dict[str, BackendError] = {}
        for name in set(found) - {OWN}:
            try:
                self._backend_of(name)
            except BackendError as error:
                wrong[name] = error
        problems = [
            f"node {node.name!r} names the backend {name!r}: {wrong[name]}"
            for node, name in zip(nodes, found, strict=True) if name in wrong
        ]  # fmt: skip
        raise_problems(problems, [own or type(self).__name__])
        return found

    def _backend_of(self, name: str) -> ExecutorBackend:
        """The backend that nodes name so; the runner's own for OWN."""
        if not name:
            return self._get_backend()
        return self._backends[name] if name in self._backends else registry.resolve(name)

    def _own_backend(self) -> str | None:
        """The name of the runner's own backend, if that is known without making it."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([*self._shown(), *self._settings.changed()])})"

    def _shown(self) -> list[str]:
        """The arguments that a runner's repr begins with."""
        return []

    def __enter__(self) -> Self:
        self._resources.keep = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; results that are still held go on loading."""
        self._resources.close()

    @abstractmethod
    def _get_executor(self, max_workers: int) -> Executor:
        """Return the executor to run on.

        Args:
            max_workers: Number of workers, at least 1.
        """

    def _validate_catalog(self, catalog: RunCatalog) -> None:
        """Check the datasets of a run; for subclasses, beside what every run checks.

        Raises:
            ValidationError: Naming every dataset that will not do.
        """

    def _validate_nodes(self, nodes: Iterable[Any]) -> None:
        """Check the nodes of a run; for subclasses, beside what every run checks.

        Raises:
            ValidationError: Naming every node that will not do.
        """

    def _set_manager_datasets(self, catalog: Any, manager: Any) -> None:
        """Let a catalog that has datasets in shared memory bring them there."""
        if callable(getattr(catalog, "set_manager_datasets", None)):
            catalog.set_manager_datasets(manager)

    def _get_required_workers_count(self, pipeline: Any) -> int:
        """Number of workers that the pipeline can use; nodes of different layers wait."""
        nodes = list(pipeline.nodes)
        graph = graph_of(pipeline, nodes)
        return self._workers_for(len(nodes), len(graph.layers([node.name for node in nodes])))

    def _workers_for(self, nodes: int, layers: int) -> int:
        return max(1, min(nodes - layers + 1, self._all_workers()))

    def _get_backend(self) -> ExecutorBackend:
        """The backend to run on; here, whatever `_get_executor` returns, looked at by trial."""
        from motorpool._backends.adapter import AdoptedBackend  # noqa: PLC0415, as above

        return AdoptedBackend(self._get_executor(self._all_workers()), self._get_executor)

    def _all_workers(self) -> int:
        """Number of workers for runs of any size."""
        return worker_count(self._max_workers)
