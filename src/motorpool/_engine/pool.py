"""A backend's executor: got when it is first needed, and got again when it has broken."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from motorpool._engine.sent import SentPlans
from motorpool._system import process
from motorpool._system.activity import exit_code
from motorpool._system.reloads import note_modules, reloaded_since
from motorpool.errors import BackendError

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor, Future

    from motorpool.backend import ExecutorBackend


_logger = logging.getLogger("motorpool")
# How long (s) the workers of a broken pool may take to end.
_GRACE = 2.0
# How long (s) a pool that has broken may take to know how a worker ended.
_WITNESS_TIME = 0.25


class Pool:
    """An executor that several runs, from several threads, may share.

    Args:
        backend: Where it comes from.
        max_workers: Number of workers.
    """

    def __init__(self, backend: ExecutorBackend, max_workers: int) -> None:
        self.backend = backend
        self.max_workers = max_workers
        self._executor: Executor | None = None
        self._codes: dict[int, int] = {}
        self._has_broken = False
        #: When (s, of `time.monotonic`) the executor was made, and last showed a sign of life.
        self.started = self.heard = 0.0
        #: How long tasks of a function have taken here, by its fingerprint.
        self.durations: dict[str, tuple[float, int]] = {}
        #: What its workers have of the plan of the last run.
        self.sent = SentPlans()
        #: Whether it has ever brought a result.
        self.has_worked = False
        self._lock = threading.Lock()

    @property
    def executor(self) -> Executor:
        """The executor, made at the first call."""
        with self._lock:
            if self._executor is None:
                self._executor = self.backend.get_executor(self.max_workers)
                self.started, self.has_worked = time.monotonic(), False
                self._codes, self._has_broken = {}, False
                if not self.backend.capabilities.isolation.in_process:
                    note_modules(self._executor)
            return self._executor

    @cached_property
    def threads(self) -> int:
        """Threads that a native library may use in a worker; what a quota allows takes 0.3 ms."""
        return max(1, process.usable_cores() // self.max_workers)

    @property
    def is_up(self) -> bool:
        """Whether there is an executor already."""
        return self._executor is not None

    def refresh(self) -> None:
        """End workers that may run old code of modules that were reloaded here; between two runs.

        Raises:
            BackendError: If the executor is the caller's own.
        """
        restarts = self.backend.capabilities.restarts
        executor = self._executor if restarts else self.executor
        if executor is None or not (names := reloaded_since(executor)):
            return
        listed = ", ".join(map(repr, names))
        if not restarts:
            raise BackendError(
                f"Modules were reloaded since the workers of the executor that was passed to the "
                f"runner have started, and they may run the old code of {listed}. Restart them, "
                f"or pass another executor; then run again.",
                backend=self.backend.name,
            )
        _logger.info(
            "The workers of %s are replaced: modules were reloaded since they have started: %s",
            self.backend.name, listed,
        )  # fmt: skip
        self.close()

    def replace(self, broken: Executor) -> set[int]:
        """Drop an executor that has broken, unless another run has done so already.

        Returns:
            Process ids of workers that did not end when their pool asked them to.

        Raises:
            BackendError: If the executor is the caller's own and cannot be got again.
        """
        with self._lock:
            if self._executor is not broken:
                return set()
            if not self.backend.capabilities.restarts:
                raise BackendError(
                    "The executor that was passed to the runner has broken, and only its owner "
                    "can make another. Pass the name of a backend to have that done.",
                    backend=self.backend.name,
                )
            self._executor = None
        self._shut_down(broken, wait=False)
        deadline = time.monotonic() + _GRACE
        while (left := self.backend.worker_pids(broken)) and time.monotonic() < deadline:
            time.sleep(0.005)
        for pid in left:  # a node may have had SIGTERM ignored
            self._kill(broken, pid)
        self._shut_down(broken, wait=True)
        return set(left)

    def _shut_down(self, executor: Executor, *, wait: bool, **options: bool) -> None:
        """Shut an executor down; one that cannot has no say in what becomes of the run."""
        try:
            executor.shutdown(wait=wait, **options)
        except Exception:
            _logger.warning(
                "The executor of the backend %r breaks its contract: `shutdown` raised, where it "
                "ends the workers, or waits until they have ended. Some may be left.",
                self.backend.name, exc_info=True,
            )  # fmt: skip

    def distrust(self) -> None:
        """Drop an executor that loses what it is given; the next node gets another, if it can."""
        if self.backend.capabilities.restarts and (executor := self._detach()) is not None:
            # It may wait for ever for what it has lost.
            threading.Thread(
                target=self._kill_all, args=(executor,), name="motorpool-end-pool", daemon=True
            ).start()

    def worker_pids(self) -> list[int]:
        """Process ids of the live workers; none before the first node."""
        executor = self._executor
        return [] if executor is None else self.backend.worker_pids(executor)

    def witness(self, error: BaseException) -> None:
        """Note how workers have ended; called when a call fails, on the executor's own thread.

        A pool that breaks fails its calls before it ends the other workers, so that those with
        an exit code are those that have ended by themselves.

        Args:
            error: What the call has failed with.
        """
        # Of the standard library, and of loky.
        workers = getattr(self._executor, "_processes", None)
        if self._has_broken or not isinstance(workers, dict):
            return
        self._has_broken = isinstance(error, BrokenExecutor)
        until = time.monotonic() + (_WITNESS_TIME if self._has_broken else 0.0)
        while not (found := _exit_codes(workers)) and time.monotonic() < until:
            time.sleep(0.005)  # the end of a pipe shows a little before the end of the process
        self._codes |= found

    def exitcode(self, pid: int, broken: Executor | None = None) -> int | None:
        """Exit code of a worker, negative for a signal; None if unknown.

        Where a pool has broken, None as well for those that it has ended itself, as far as it
        keeps its processes where they can be found.

        Args:
            pid: The worker.
            broken: Whose it was; by default that of the executor that is up.
        """
        executor = broken or self._executor
        known = None if executor is None else self.backend.exitcode(executor, pid)
        return self._codes.get(pid) if known is None else known

    def exitcode_of_dead(self, pid: int, error: BaseException | None = None) -> int | None:
        """Exit code of a worker that has ended by itself, and alone; None if unknown.

        Args:
            pid: The worker.
            error: What its call has failed with, which may say.
        """
        said = getattr(error, "exitcode", None)
        if isinstance(said, int):
            return said
        known = self.exitcode(pid)
        return exit_code(pid) if known is None else known

    def kill_worker(self, pid: int) -> None:
        """End a worker, if it is still there."""
        executor = self._executor
        if executor is not None:
            self._kill(executor, pid)

    def kill(self) -> None:
        """End all workers at once, whatever they do; the next run gets new ones."""
        with process.interrupts_deferred(forking=False):  # a second Ctrl-C finds it done
            executor = self._detach()
            pids = set() if executor is None else self._kill_all(executor)
        if executor is not None:
            # Without workers to kill, waiting could take as long as the nodes that still run.
            self._shut_down(executor, wait=bool(pids))

    def _detach(self) -> Executor | None:
        """Let go of the executor; return it, if it is there and ours to end."""
        with self._lock:
            executor, self._executor = self._executor, None
        return executor if self.backend.capabilities.restarts else None

    def _kill_all(self, executor: Executor) -> set[int]:
        pids = set(self.backend.worker_pids(executor))
        self._shut_down(executor, wait=False, cancel_futures=True)  # nothing that waits starts
        pids.update(self.backend.worker_pids(executor))  # one may have come up meanwhile
        for pid in pids:
            self._kill(executor, pid)
        return pids

    def _kill(self, executor: Executor, pid: int) -> None:
        """End a worker, and whatever its node has started: a tool that hangs, for one."""
        started = process.descendants(pid)
        with contextlib.suppress(ProcessLookupError):
            self.backend.kill_worker(executor, pid)
        for child in started:
            with contextlib.suppress(OSError):
                os.kill(child, getattr(signal, "SIGKILL", signal.SIGTERM))

    def close(self) -> None:
        """Shut the executor down and wait for its workers to end."""
        executor = self._detach()
        if executor is not None:
            self._shut_down(executor, wait=True)
        self.sent.close()  # with what workers have logged to the last


def announce(
    pool: weakref.ref[Pool], on_done: Callable[[Future[Any]], None], future: Future[Any]
) -> None:
    """Tell of a future that is done; if it has failed, note how workers have ended before.

    Args:
        pool: Whose future it is. An executor may keep its futures, and they their callbacks: none
            of these may keep a run.
        on_done: Called with the future.
        future: Which one.
    """
    error = None if future.cancelled() else future.exception()
    if error is not None and (there := pool()) is not None:
        there.witness(error)
    on_done(future)


def _exit_codes(workers: Mapping[int, Any]) -> dict[int, int]:
    """Exit codes of those processes that have ended, by process id."""
    with contextlib.suppress(Exception):  # they are not public, and may be closed meanwhile
        codes = {pid: worker.exitcode for pid, worker in list(workers.items())}
        return {pid: code for pid, code in codes.items() if code is not None}
    return {}
