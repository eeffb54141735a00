"""The same graphs on other systems, each as its own users would write it.

A contender is a context manager; `prepare` takes a graph and returns what runs it.
"""

from __future__ import annotations

import logging
import os
import tempfile
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Self

from motorpool.bench._graphs import pipeline_of
from motorpool.bench._kernel import work

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.bench._graphs import Task

WORKERS = 2
_NBYTES = 16


class Contender:
    """One system."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """Make a graph ready, as far as that is done beforehand."""
        raise NotImplementedError


def leaves(graph: list[Task]) -> list[str]:
    """Names of the tasks without readers."""
    read = {parent for task in graph for parent in task.parents}
    return [task.name for task in graph if task.name not in read]


class Motorpool(Contender):
    """Motorpool, on its default backend or another one."""

    backend = "direct"

    def __enter__(self) -> Self:
        from motorpool import ParallelRunner

        self._folder = tempfile.TemporaryDirectory()
        self._runner = ParallelRunner(
            self.backend, max_workers=WORKERS, runs_folder=self._folder.name
        )
        self._runner.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._runner.close()
        self._folder.cleanup()

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """A pipeline is made once and run often."""
        pipeline = pipeline_of(graph, iterations, _NBYTES)
        return lambda: self._runner.run(pipeline, {})


class _ByHand(Contender):
    """A ready queue over an executor, as people write it who have an executor and a graph."""

    _executor: Executor

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """Count what each task waits for, and submit it when that is done."""

        def run() -> dict[str, bytes]:
            missing = {name: len(parents) for name, parents in graph}
            parents_of = dict(graph)
            children: dict[str, list[str]] = {}
            for name, parents in graph:
                for parent in parents:
                    children.setdefault(parent, []).append(name)
            results: dict[str, bytes] = {}
            ready = [name for name, count in missing.items() if not count]
            running: dict[Any, str] = {}
            while ready or running:
                for name in ready:
                    inputs = [results[parent] for parent in parents_of[name]]
                    running[self._executor.submit(work, iterations, _NBYTES, *inputs)] = name
                ready = []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    results[name] = future.result()
                    for child in children.get(name, ()):
                        missing[child] -= 1
                        if not missing[child]:
                            ready.append(child)
            return results

        return run


class Pool(_ByHand):
    """concurrent.futures.ProcessPoolExecutor."""

    def __enter__(self) -> Self:
        self._executor = ProcessPoolExecutor(WORKERS)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.shutdown()


class Loky(Pool):
    """loky's reusable executor."""

    def __enter__(self) -> Self:
        import loky

        self._executor = loky.get_reusable_executor(WORKERS)
        return self


class Joblib(Contender):
    """joblib knows no graph: layer by layer, with its automatic batches."""

    def __enter__(self) -> Self:
        import joblib

        self._parallel = joblib.Parallel(WORKERS)
        self._parallel.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._parallel.__exit__(None, None, None)

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """Layers are found beforehand."""
        from joblib import delayed

        depth: dict[str, int] = {}
        layers: list[list[Task]] = []
        for task in graph:
            depth[task.name] = 1 + max((depth[parent] for parent in task.parents), default=-1)
            layers += [[]] * (depth[task.name] >= len(layers))
            layers[depth[task.name]] = [*layers[depth[task.name]], task]

        def run() -> dict[str, bytes]:
            results: dict[str, bytes] = {}
            for layer in layers:
                calls = (
                    delayed(work)(iterations, _NBYTES, *(results[p] for p in task.parents))
                    for task in layer
                )
                results.update(zip((t.name for t in layer), self._parallel(calls), strict=True))
            return results

        return run


class Dask(Contender):
    """dask.distributed with a local cluster of processes, and dask.delayed."""

    def __enter__(self) -> Self:
        from distributed import Client

        self._client = Client(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
            silence_logs=logging.ERROR,
        )  # fmt: skip
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.shutdown()

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """A delayed graph is made anew for each run: of one that has run, results are kept."""
        import dask

        call = dask.delayed(work, pure=False)

        def run() -> object:
            made: dict[str, Any] = {}
            for name, parents in graph:
                inputs = [made[parent] for parent in parents]
                made[name] = call(iterations, _NBYTES, *inputs)
            return dask.compute(*(made[name] for name in leaves(graph)))

        return run


class Ray(Contender):
    """Ray, started for this process."""

    def __enter__(self) -> Self:
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
        os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # else workers wait for uv
        import ray

        ray.init(
            num_cpus=WORKERS, include_dashboard=False, log_to_driver=False,
            logging_level=logging.ERROR, _node_ip_address="127.0.0.1",
        )  # fmt: skip
        self._ray = ray
        self._call = ray.remote(work)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ray.shutdown()

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """To submit a task is to make it."""

        def run() -> list[bytes]:
            made: dict[str, Any] = {}
            for name, parents in graph:
                inputs = [made[parent] for parent in parents]
                made[name] = self._call.remote(iterations, _NBYTES, *inputs)
            found: list[bytes] = self._ray.get([made[name] for name in leaves(graph)])
            return found

        return run


class _ByFutures(Contender):
    """Futures as arguments: the system waits for them."""

    _submit: Callable[..., Any]

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """To submit a task is to make it."""

        def run() -> list[bytes]:
            made: dict[str, Any] = {}
            for name, parents in graph:
                inputs = [made[parent] for parent in parents]
                made[name] = self._submit(iterations, _NBYTES, *inputs)
            return [made[name].result() for name in leaves(graph)]

        return run


class Parsl(_ByFutures):
    """Parsl with its high-throughput executor."""

    def __enter__(self) -> Self:
        import parsl
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        from parsl.providers import LocalProvider

        self._folder = tempfile.TemporaryDirectory()
        executor = HighThroughputExecutor(
            address="127.0.0.1", loopback_address="127.0.0.1", max_workers_per_node=WORKERS,
            cores_per_worker=1, encrypted=False,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )  # fmt: skip
        self._parsl = parsl
        parsl.load(Config(executors=[executor], run_dir=self._folder.name, usage_tracking=0))
        self._submit = parsl.python_app(work)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._parsl.dfk().cleanup()
        self._folder.cleanup()


class Executorlib(_ByFutures):
    """executorlib on one machine."""

    def __enter__(self) -> Self:
        from executorlib import SingleNodeExecutor

        self._executor = SingleNodeExecutor(max_workers=WORKERS, block_allocation=True)
        self._submit = lambda *inputs: self._executor.submit(work, *inputs)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.shutdown()


class Kedro(Contender):
    """Kedro's runners."""

    runner = "ParallelRunner"

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """A pipeline is made once and run often."""
        import kedro.runner
        from kedro.io import DataCatalog
        from kedro.io.data_catalog import SharedMemoryDataCatalog
        from kedro.pipeline import Pipeline, node

        logging.getLogger("kedro").setLevel(logging.ERROR)
        start = [f"s{task.name}" for task in graph if not task.parents]
        calls = [
            node(_Work(iterations), list(task.parents) or f"s{task.name}", task.name,
                 name=f"n{task.name}")
            for task in graph
        ]  # fmt: skip
        pipeline = Pipeline(calls)
        kind = getattr(kedro.runner, self.runner)
        parallel = self.runner == "ParallelRunner"
        catalog_class = SharedMemoryDataCatalog if parallel else DataCatalog

        def run() -> object:
            catalog = catalog_class()
            for name in start:
                catalog[name] = b""
            runner = kind() if self.runner == "SequentialRunner" else kind(max_workers=WORKERS)
            return runner.run(pipeline, catalog)

        return run


class _Work:
    """A node's function; it has a name of its own, as functions have."""

    __name__ = "work"

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations

    def __call__(self, *inputs: bytes) -> bytes:
        return work(self._iterations, _NBYTES, *inputs)


class KedroThread(Kedro):
    """Threads."""

    runner = "ThreadRunner"


class KedroSequential(Kedro):
    """One node after the other."""

    runner = "SequentialRunner"


ALL: dict[str, type[Contender]] = {
    "motorpool": Motorpool,
    "ProcessPoolExecutor": Pool,
    "loky": Loky,
    "joblib": Joblib,
    "dask.distributed": Dask,
    "ray": Ray,
    "parsl": Parsl,
    "executorlib": Executorlib,
    "kedro ParallelRunner": Kedro,
    "kedro ThreadRunner": KedroThread,
    "kedro SequentialRunner": KedroSequential,
}
