"""Run a graph of Python functions in parallel, on any executor.

from motorpool import DataCatalog, ParallelRunner, node, pipeline

pipe = pipeline([node(str.upper, "word", "loud"), node(len, "loud", "length")])
result = ParallelRunner().run(pipe, DataCatalog({"word": "motor"}))
result["length"].load()
"""

from typing import TYPE_CHECKING, Any

from motorpool import errors
from motorpool._pipeline.retry import Retry
from motorpool.backend import API_VERSION, Capabilities, ExecutorBackend, Isolation
from motorpool.catalog import (
    DataCatalog,
    Dataset,
    MemoryDataset,
    SharedMemoryDataCatalog,
)
from motorpool.pipeline import Node, Pipeline, node, pipeline
from motorpool.runner import AbstractRunner, ParallelRunner, SequentialRunner, ThreadRunner

if TYPE_CHECKING:
    from motorpool import events
    from motorpool._datasets.pickle_file import PickleDataset
    from motorpool._store.allocate import allocate
    from motorpool.events import Observer
    from motorpool.hookspecs import create_hook_manager, hookimpl, hookspec

__all__ = [
    "API_VERSION",
    "AbstractRunner",
    "Capabilities",
    "DataCatalog",
    "Dataset",
    "ExecutorBackend",
    "Isolation",
    "MemoryDataset",
    "Node",
    "Observer",
    "ParallelRunner",
    "PickleDataset",
    "Pipeline",
    "Retry",
    "SequentialRunner",
    "SharedMemoryDataCatalog",
    "ThreadRunner",
    "__version__",
    "allocate",
    "create_hook_manager",
    "errors",
    "events",
    "hookimpl",
    "hookspec",
    "node",
    "pipeline",
]


# pluggy alone takes 25 ms to import, and the records of events 10; both are loaded when used.
_LAZY = {
    "allocate": "motorpool._store.allocate",
    "Observer": "motorpool.events",
    "PickleDataset": "motorpool._datasets.pickle_file",
    "create_hook_manager": "motorpool.hookspecs",
    "events": "motorpool.events",
    "hookimpl": "motorpool.hookspecs",
    "hookspec": "motorpool.hookspecs",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("motorpool")
    if name in _LAZY:
        from importlib import import_module  # noqa: PLC0415

        module = import_module(_LAZY[name])
        return module if name == "events" else getattr(module, name)
    hint = "; runners of Kedro's are in motorpool.kedro" if name.endswith("Runner") else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
