"""What a runner holds: pools and stores, for one run or, kept warm, for many."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool import registry
from motorpool._system.exceptions import add_note
from motorpool.errors import BackendError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from motorpool._engine.pool import Pool
    from motorpool._run.options import RunSettings
    from motorpool._store import Store
    from motorpool.backend import ExecutorBackend


class Place(NamedTuple):
    """Workers of one backend.

    Attributes:
        pool: The workers.
        store: What carries values to them; None where nodes run in this process. Two places may
            have one in common.
    """

    pool: Pool
    store: Store | None


class Resources:
    """Opens pools and stores, and closes them.

    Args:
        settings: The runner's.
        backend_of: Returns the backend of a name, or makes it.
        all_workers: Returns the number of workers for runs of any size.

    Attributes:
        keep: Whether runs share pools and stores, until `close`.
        places: What is kept, by the name that the runner knows the backend by.
    """

    def __init__(
        self, settings: RunSettings, backend_of: Callable[[str], ExecutorBackend],
        all_workers: Callable[[], int],
    ) -> None:  # fmt: skip
        self._settings, self._backend_of, self._all_workers = settings, backend_of, all_workers
        self.keep = False
        self.places: dict[str, Place] = {}
        self._lock = threading.Lock()
        self._busy = False
        self._process = os.getpid()

    def acquire(self, workers: Mapping[str, int]) -> dict[str, Place]:
        """The places for a run, with workers that have the code that this process has.

        A second run at the same time gets its own: one run's crash, or its end, must not touch the
        other's nodes. So does a forked child: the workers are its parent's.

        Args:
            workers: Number of workers that the run can use, by backend.

        Raises:
            BackendError: If the code is another, and workers cannot be replaced.
        """
        places = self._acquire(workers)
        try:
            for place in places.values():
                place.pool.refresh()
        except BaseException:
            self.release(places)
            raise
        return places

    def _acquire(self, workers: Mapping[str, int]) -> dict[str, Place]:
        if not self.keep or os.getpid() != self._process:
            return self._open(workers, {})
        with self._lock:
            if not self._busy:
                most = self._all_workers()
                more = {name: most for name in workers if name not in self.places}
                self.places |= self._open(more, self.places)
                self._busy = True
                return {name: self.places[name] for name in workers}
        return self._open(workers, {})

    def release(self, places: Mapping[str, Place]) -> None:
        """Close what was opened for one run only."""
        if all(self.places.get(name) is place for name, place in places.items()):
            self._busy = False
        else:
            _close(places.values())

    def close(self) -> None:
        """Close what was kept."""
        self.keep = False
        with self._lock:
            self._busy = False
            places, self.places = self.places, {}
        _close(places.values())

    def _open(self, workers: Mapping[str, int], known: Mapping[str, Place]) -> dict[str, Place]:
        """Open places, beside some that are there."""
        opened: dict[str, Place] = {}
        try:
            for name, count in workers.items():
                opened[name] = self._place(name, count, [*known.values(), *opened.values()])
        except BaseException:
            _close(opened.values(), but=[place.store for place in known.values()])
            raise
        return opened

    def _place(self, name: str, workers: int, others: Iterable[Place]) -> Place:
        from motorpool._engine.pool import Pool  # noqa: PLC0415, takes 15 ms

        backend = self._backend_of(name)
        known = getattr(backend, "workers", None)  # an executor that is there has its own number
        pool = Pool(backend, known or workers)
        if backend.capabilities.isolation.in_process:
            return Place(pool, None)
        for other in others:
            if other.store is not None and _kind(other.pool.backend) == _kind(backend):
                return Place(pool, other.store)
        return Place(pool, backend.open_store(
            memory_limit=self._settings.memory_bytes,
            readonly_inputs=self._settings.readonly_inputs,
        ))  # fmt: skip


def _kind(backend: ExecutorBackend) -> tuple[Any, ...]:
    """What a backend's store depends on."""
    kind = type(backend)
    return kind.open_store, kind.dumps, kind.loads, backend.capabilities.shares_memory


def _close(places: Iterable[Place], *, but: Sequence[Store | None] = ()) -> None:
    """Close pools, and each store once, but for some."""
    stores: list[Store] = []
    for pool, store in places:
        pool.close()
        if store is not None and store not in [*but, *stores]:
            stores.append(store)
    for store in stores:
        store.close()


def backends_by_name(backends: Any) -> dict[str, ExecutorBackend]:
    """The backends that a runner was given by name, checked.

    Raises:
        ValidationError: If it is no mapping.
        BackendError: If something in it is no backend; a note says which.
    """
    if not hasattr(backends, "items"):
        raise ValidationError(
            f"backends must be a dict of names to backends or executors, not {backends!r}."
        )
    found = {}
    for name, backend in backends.items():
        try:
            found[name] = registry.resolve(backend)
        except BackendError as error:
            add_note(error, f"in backends[{name!r}]")
            raise
    return found
