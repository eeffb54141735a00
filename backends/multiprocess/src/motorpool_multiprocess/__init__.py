"""The backend `multiprocess`: the direct pool, with multiprocess's processes and dill."""

from __future__ import annotations

import io
import pickle
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import cloudpickle
import dill
import multiprocess

from motorpool import hookimpl
from motorpool.backend import reduce_out_of_band, reduce_script
from motorpool.executors import DirectBackend, DirectExecutor
from motorpool.processes import start_server, worker_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor

    from motorpool import ExecutorBackend

__all__ = ["MultiprocessBackend"]

# A smaller array is copied sooner than it is handed over.
_SMALL = 4096


def _new_lock() -> Any:
    return threading.Lock()


def _new_rlock() -> Any:
    return threading.RLock()


class _Pickler(dill.Pickler):  # type: ignore[misc]
    """Leaves classes to cloudpickle: those of `__main__` come back as they were, not as copies."""

    def reducer_override(self, obj: Any) -> Any:
        reduced = reduce_script(obj)
        if reduced is not NotImplemented:
            return reduced
        if isinstance(obj, type):
            return cloudpickle.Pickler.reducer_override(self, obj)
        if type(obj) in _REDUCERS:
            return _REDUCERS[type(obj)](obj)
        reduced = reduce_out_of_band(obj)
        if reduced is NotImplemented and type(obj).__module__ == "numpy":
            return _reduce_array(obj)
        return reduced


def _reduce_array(obj: Any) -> Any:
    """Dill takes the older way, which copies, and would have the map of a mapped file as well."""
    large = type(obj).__name__ == "ndarray" and obj.nbytes > _SMALL and not obj.dtype.hasobject
    return obj.__reduce_ex__(5) if large or type(obj).__name__ == "memmap" else NotImplemented


def _reduce_buffer(buffer: pickle.PickleBuffer) -> Any:
    """Python's own pickler, which dill's is, takes two buffers of one byte for the same object."""
    raw = buffer.raw()
    if raw.nbytes > 1:
        return NotImplemented
    return bytes if raw.readonly else bytearray, (list(raw),)


_REDUCERS: dict[type, Callable[[Any], Any]] = {
    pickle.PickleBuffer: _reduce_buffer,
    TypeVar: cloudpickle.Pickler.dispatch_table[TypeVar],
    # New ones; dill's come back taken if they are.
    type(threading.Lock()): lambda _lock: (_new_lock, ()),
    type(threading.RLock()): lambda _lock: (_new_rlock, ()),
}


class MultiprocessBackend(DirectBackend):
    """Runs nodes in the direct pool; pickles with dill, which takes more than cloudpickle does."""

    name = "multiprocess"

    def _get_executor(self, max_workers: int) -> Executor:
        return DirectExecutor(
            max_workers,
            context=worker_context(self.options.start_method, multiprocess),
            dumps=type(self).dumps,
            loads=type(self).loads,
            max_tasks_per_child=self.options.max_tasks_per_child,
        )

    def warm_up(self) -> None:
        """Start the server that workers are forked from."""
        start_server(self.options.start_method, multiprocess)

    @staticmethod
    def dumps(obj: Any, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        """Pickle with dill; large buffers go to the callback, if there is one."""
        stream = io.BytesIO()
        _Pickler(stream, protocol=5, buffer_callback=buffer_callback, recurse=True).dump(obj)
        return stream.getvalue()

    @staticmethod
    def loads(data: bytes, buffers: Iterable[Any] | None = None) -> Any:
        """Unpickle with dill."""
        return dill.loads(data, ignore=True, buffers=buffers)


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return MultiprocessBackend
