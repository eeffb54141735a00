"""The types of the public API, as mypy sees them under --strict; never run."""

from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, assert_type

from motorpool import (
    AbstractRunner,
    Capabilities,
    DataCatalog,
    Dataset,
    ExecutorBackend,
    Isolation,
    MemoryDataset,
    Node,
    Observer,
    ParallelRunner,
    Pipeline,
    SequentialRunner,
    SharedMemoryDataCatalog,
    ThreadRunner,
    node,
    pipeline,
)
from motorpool.events import Event, RunSummary


def double(x: int) -> int:
    """A node's function."""
    return 2 * x


one = node(double, "a", "b", tags=["t"], retries=1, timeout=0.5)
assert_type(one, Node)
assert_type(one.run({"a": 1}), dict[str, Any])
pipe = pipeline([one, Pipeline([])])
assert_type(pipe, Pipeline)
assert_type(pipe.nodes, list[Node])
assert_type(pipe.node_dependencies, dict[Node, set[Node]])
assert_type(pipe.filter(tags=["t"]) + pipe - pipe, Pipeline)

catalog = DataCatalog({"a": 1})
assert_type(catalog["a"], Dataset)
shared: DataCatalog = SharedMemoryDataCatalog({"a": MemoryDataset(1, copy_mode="assign")})


class Watcher:
    """An observer."""

    def on_event(self, event: Event) -> None:
        """Do nothing."""


observer: Observer = Watcher()
result = ParallelRunner("process", 2, observers=[observer], start_method="spawn").run(
    pipe, catalog
)
mapping: Mapping[str, Any] = result
assert_type(result.summary, RunSummary)
assert_type(result.summary.speedup, float)


class Threads(ExecutorBackend):
    """A backend."""

    capabilities = Capabilities(isolation=Isolation.THREAD)

    def _get_executor(self, max_workers: int) -> Executor:
        return ThreadPoolExecutor(max_workers)


class Runner(AbstractRunner):
    """A runner."""

    def _get_executor(self, max_workers: int) -> Executor:
        return ThreadPoolExecutor(max_workers)


runners: list[AbstractRunner] = [
    ParallelRunner(Threads()),
    ParallelRunner(ThreadPoolExecutor(1)),
    SequentialRunner(retries=1),
    ThreadRunner(2, on_failure="continue"),
    Runner(is_async=True),
]
