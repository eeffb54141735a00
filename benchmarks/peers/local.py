"""Systems of one process and its workers: ours, pools with a loop by hand, joblib, pipefunc."""

from __future__ import annotations

import tempfile
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, wait
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, Self

from base import NBYTES, WORKERS, Contender, leaves

from motorpool.bench._graphs import pipeline_of
from motorpool.bench._kernel import work

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.bench._graphs import Task


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
        pipeline = pipeline_of(graph, iterations, NBYTES)
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
                    running[self._executor.submit(work, iterations, NBYTES, *inputs)] = name
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
                    delayed(work)(iterations, NBYTES, *(results[p] for p in task.parents))
                    for task in layer
                )
                results.update(zip((t.name for t in layer), self._parallel(calls), strict=True))
            return results

        return run


class _Named:
    """A node's function for pipefunc, which hands inputs over by name: its parents' names."""

    __name__ = "work"

    def __init__(self, iterations: int, parents: list[str]) -> None:
        self._iterations = iterations
        kind = Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = Signature([Parameter(parent, kind) for parent in parents])

    def __call__(self, **inputs: bytes) -> bytes:
        return work(self._iterations, NBYTES, *inputs.values())


class PipeFunc(Contender):
    """pipefunc on a pool of processes; a task is sent as soon as its parents are done."""

    most = 300
    why = "the time to make a pipeline grows with the square of its nodes"

    def __enter__(self) -> Self:
        self._executor = ProcessPoolExecutor(WORKERS)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.shutdown()

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """A pipeline is made once and run often."""
        from pipefunc import PipeFunc as Function
        from pipefunc import Pipeline

        pipeline = Pipeline(
            [
                Function(_Named(iterations, [f"n{parent}" for parent in parents]), f"n{name}")
                for name, parents in graph
            ]
        )

        def run() -> list[bytes]:
            found = pipeline.map({}, executor=self._executor, scheduling_strategy="eager")
            return [found[f"n{name}"].output for name in leaves(graph)]

        return run
