"""Kedro's three runners."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from base import NBYTES, WORKERS, Contender

from motorpool.bench._kernel import work

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.bench._graphs import Task


class Kedro(Contender):
    """Kedro's runners."""

    runner = "ParallelRunner"
    most = 200
    why = "each node costs it so much that more of them take minutes"

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
        return work(self._iterations, NBYTES, *inputs)


class KedroThread(Kedro):
    """Threads."""

    runner = "ThreadRunner"
    most = 1_000_000


class KedroSequential(Kedro):
    """One node after the other."""

    runner = "SequentialRunner"
    most = 1_000_000
