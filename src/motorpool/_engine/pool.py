"""A backend's executor: got when it is first needed, and got again when it has broken."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from motorpool._system import process
from motorpool._system.reloads import note_modules, reloaded_since
from motorpool.errors import BackendError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from motorpool.backend import ExecutorBackend


_logger = logging.getLogger("motorpool")
# How long (s) the workers of a broken pool may take to end.
_GRACE = 2.0


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
        self._lock = threading.Lock()

    @property
    def executor(self) -> Executor:
        """The executor, made at the first call."""
        with self._lock:
            if self._executor is None:
                self._executor = self.backend.get_executor(self.max_workers)
                if not self.backend.capabilities.isolation.in_process:
                    note_modules(self._executor)
            return self._executor

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
        broken.shutdown(wait=False)
        deadline = time.monotonic() + _GRACE
        while (left := self.backend.worker_pids(broken)) and time.monotonic() < deadline:
            time.sleep(0.005)
        for pid in left:  # a node may have had SIGTERM ignored
            self._kill(broken, pid)
        broken.shutdown(wait=True)
        return set(left)

    def worker_pids(self) -> list[int]:
        """Process ids of the live workers; none before the first node."""
        executor = self._executor
        return [] if executor is None else self.backend.worker_pids(executor)

    def kill_worker(self, pid: int) -> None:
        """End a worker, if it is still there."""
        executor = self._executor
        if executor is not None:
            self._kill(executor, pid)

    def kill(self) -> None:
        """End all workers at once, whatever they do; the next run gets new ones."""
        with process.interrupts_deferred(forking=False):  # a second Ctrl-C finds it done
            with self._lock:
                executor, self._executor = self._executor, None
            if executor is None or not self.backend.capabilities.restarts:
                return
            pids = set(self.backend.worker_pids(executor))
            executor.shutdown(wait=False, cancel_futures=True)  # so that nothing that waits starts
            pids.update(self.backend.worker_pids(executor))  # one may have come up meanwhile
            for pid in pids:
                self._kill(executor, pid)
        # Without workers to kill, waiting could take as long as the nodes that still run.
        executor.shutdown(wait=bool(pids))

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
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None and self.backend.capabilities.restarts:
            executor.shutdown(wait=True)
