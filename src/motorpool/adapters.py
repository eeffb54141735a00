"""For backends on a pool that is no `concurrent.futures.Executor`, or that does not mind its dead.

`SinglesExecutor` makes an executor of workers that know nothing of each other: one that dies, in
whatever state, cannot hold up the others, and its task is known. `pack_call`, `run_call` and
`unpack_result` are for pools whose own way with exceptions and pickles is not as a future's.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import traceback
import weakref
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import cloudpickle

from motorpool.errors import WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "RemoteTraceback", "Single", "SinglesExecutor", "pack_call", "pack_result",
    "run_call", "unpack_result",
]  # fmt: skip


_live: weakref.WeakSet[SinglesExecutor] = weakref.WeakSet()


class Single(ABC):
    """A worker, by itself."""

    @abstractmethod
    def schedule(
        self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Future[Any]:
        """Give the worker a task; it has none.

        Returns:
            A future that fails if the worker dies, in a way that `crash` knows.
        """

    @abstractmethod
    def end(self) -> None:
        """End the worker, which has no task, or is dead; return when it is gone."""

    def is_usable(self) -> bool:
        """Whether the worker can take another task, as far as is known without asking it."""
        return True

    def pid(self) -> int | None:
        """Process id of the worker, if it lives and that is known."""
        return None

    def crash(self, error: BaseException | None) -> WorkerCrashedError | None:
        """What became of the worker if it died in a task; it is replaced then.

        Args:
            error: The task's.
        """
        return error if isinstance(error, WorkerCrashedError) else None


class SinglesExecutor(Executor):
    """An executor of single workers, started when there is something to do.

    It hands a worker no task before the last one is done: what waits is here, where it can be
    cancelled. A worker that has died is replaced, and its task fails with `WorkerCrashedError`.

    Args:
        max_workers: Number of workers.
        new: Starts one, and returns before that is done.
    """

    def __init__(self, max_workers: int, new: Callable[[], Single]) -> None:
        self._max_workers = max_workers
        self._new = new
        self._singles: list[Single] = []
        self._idle: list[Single] = []
        self._waiting: deque[tuple[Future[Any], Any, Any, Any]] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._ends: list[threading.Thread] = []
        self._ending: threading.Thread | None = None
        _live.add(self)
        _watch_main()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a worker.

        Raises:
            RuntimeError: After `shutdown`.
        """
        future: Future[Any] = Future()
        with self._changed:
            if self._ending is not None:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._waiting.append((future, fn, args, kwargs))
            self._fill()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks, and end the workers when they have done what there is."""
        with self._changed:
            if cancel_futures:
                for future, *_ in self._waiting:
                    future.cancel()
            if self._ending is None:
                self._ending = threading.Thread(target=self._end, name="motorpool-singles")
                self._ending.start()
            self._changed.notify_all()
        if wait:
            self._ending.join()

    def worker_pids(self) -> list[int]:
        """Process ids of the live workers."""
        with self._changed:
            return [pid for single in self._singles if (pid := single.pid()) is not None]

    def _fill(self) -> None:
        while self._waiting and (self._idle or len(self._singles) < self._max_workers):
            future, fn, args, kwargs = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                single = self._take()
                inner = single.schedule(fn, args, kwargs)
            except Exception as error:  # noqa: BLE001, whatever starting a worker raises
                future.set_exception(error)
                continue
            inner.add_done_callback(functools.partial(self._done, future, single))

    def _take(self) -> Single:
        while self._idle:
            single = self._idle.pop()
            if single.is_usable():
                return single
            self._drop(single)
        single = self._new()
        self._singles.append(single)
        return single

    def _drop(self, single: Single) -> None:
        self._singles.remove(single)
        thread = threading.Thread(target=single.end, name="motorpool-single-ends")
        thread.start()
        self._ends = [*filter(threading.Thread.is_alive, self._ends), thread]

    def _done(self, future: Future[Any], single: Single, inner: Future[Any]) -> None:
        error = inner.exception()
        crash = single.crash(error)
        with self._changed:
            if crash is None:
                self._idle.append(single)
            else:
                self._drop(single)
            self._fill()
            self._changed.notify_all()
        if error is None:
            future.set_result(inner.result())
        else:
            future.set_exception(crash or error)

    def _end(self) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: not self._waiting and len(self._idle) == len(self._singles)
            )
            while self._singles:
                self._drop(self._singles[0])
        for thread in self._ends:
            thread.join()


@functools.cache
def _watch_main() -> None:
    """Let executors end with the interpreter, which waits for threads that wait for tasks."""
    threading.Thread(target=_end_all, name="motorpool-main-watch", daemon=True).start()


def _end_all() -> None:
    threading.main_thread().join()
    for executor in list(_live):
        # From 3.12 on no thread can be started once the interpreter waits for none.
        with contextlib.suppress(RuntimeError):
            executor.shutdown(wait=False)


class RemoteTraceback(Exception):  # noqa: N818, as that of multiprocessing
    """The traceback of a call in another process, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def pack_call(
    fn: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> bytes:
    """Pickle a call, for `run_call`.

    Raises:
        Exception: Whatever pickling it raises.
    """
    packed: bytes = cloudpickle.dumps((fn, tuple(args), dict(kwargs or {})))
    return packed


def run_call(call: bytes) -> bytes:
    """Do what `pack_call` has pickled, in a worker; whatever that raises is part of the result.

    Returns:
        Bytes for `unpack_result`.
    """
    try:
        fn, args, kwargs = cloudpickle.loads(call)
        return pack_result(fn(*args, **kwargs), None)
    except BaseException as error:  # noqa: BLE001, the worker outlives whatever a call raises
        return pack_result(None, error)


def pack_result(value: Any, error: BaseException | None) -> bytes:
    """Pickle what has come of a call; if that cannot be, the reason."""
    text = "" if error is None else "".join(traceback.format_exception(error))
    try:
        packed: bytes = cloudpickle.dumps((value, error, text))
    except Exception as problem:  # noqa: BLE001, whatever pickling raises
        reason: Exception = problem
        if error is not None:
            reason = RuntimeError(f"{type(error).__name__}, which cannot be pickled: {error}")
        packed = cloudpickle.dumps((None, reason, text or traceback.format_exc()))
    return packed


def unpack_result(future: Future[Any], result: bytes) -> None:
    """Give a future what has come of its call: a result, or an exception with its traceback."""
    try:
        value, error, text = cloudpickle.loads(result)
    except Exception as problem:  # noqa: BLE001, whatever unpickling raises
        value, error, text = None, problem, ""
    if error is None:
        future.set_result(value)
        return
    if text:
        error.__cause__ = RemoteTraceback(text)
    future.set_exception(error)
