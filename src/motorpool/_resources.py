"""What a runner holds: a pool and a store, for one run or, kept warm, for many."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol

from motorpool._pool import Pool

if TYPE_CHECKING:
    from motorpool._settings import RunSettings
    from motorpool._store import Store
    from motorpool.backend import ExecutorBackend


class Owner(Protocol):
    """Says what to open."""

    _settings: RunSettings

    def _get_backend(self) -> ExecutorBackend: ...

    def _all_workers(self) -> int: ...


class Resources:
    """Opens pools and stores, and closes them.

    Args:
        owner: The runner.

    Attributes:
        keep: Whether runs share one pool and one store, until `close`.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.keep = False
        self._pool: Pool | None = None
        self._store: Store | None = None
        self._lock = threading.Lock()
        self._busy = False
        self._process = os.getpid()

    def acquire(self, workers: int) -> tuple[Pool, Store | None]:
        """The pool and the store for a run; no store where nodes run in this process.

        A second run at the same time gets its own: one run's crash, or its end, must not touch the
        other's nodes. So does a forked child: the workers are its parent's.

        Args:
            workers: Number of workers that the run can use.
        """
        if not self.keep or os.getpid() != self._process:
            return self._open(workers)
        with self._lock:
            if not self._busy:
                if self._pool is None:
                    self._pool, self._store = self._open(self._owner._all_workers())  # noqa: SLF001
                self._busy = True
                return self._pool, self._store
        return self._open(workers)

    def release(self, pool: Pool, store: Store | None) -> None:
        """Close what was opened for one run only."""
        if pool is self._pool:
            self._busy = False
        else:
            _close(pool, store)

    def close(self) -> None:
        """Close what was kept."""
        self.keep = False
        with self._lock:
            self._busy = False
            pool, self._pool = self._pool, None
            store, self._store = self._store, None
        if pool is not None:
            _close(pool, store)

    def _open(self, workers: int) -> tuple[Pool, Store | None]:
        backend = self._owner._get_backend()  # noqa: SLF001, a runner's own hook
        in_process = backend.capabilities.isolation.in_process
        known = getattr(backend, "workers", None)  # an executor that is there has its own number
        pool = Pool(backend, known or workers)
        if in_process:
            return pool, None
        settings = self._owner._settings  # noqa: SLF001, as above
        return pool, backend.open_store(
            memory_limit=settings.memory_bytes, readonly_inputs=settings.readonly_inputs
        )


def _close(pool: Pool, store: Store | None) -> None:
    pool.close()
    if store is not None:
        store.close()
