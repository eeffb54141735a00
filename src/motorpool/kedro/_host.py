"""How nodes of Kedro see their data: by a Kedro catalog, of the user's class, in every process.

node --> Kedro's catalog --> a dataset of the user's        loads and saves where the node runs
         logs, validates,    one that stands for a value  --> the engine's catalog --> the store
         words errors
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import cloudpickle
from kedro.io import AbstractDataset, DataCatalog, DatasetError

from motorpool._store import OwnedValue
from motorpool.errors import MotorpoolError

if TYPE_CHECKING:
    from motorpool._protocol.host import NodeCatalog
    from motorpool.events import Observer
    from motorpool.kedro._datasets import Datasets


#: Instead of the name of a class: a dataset that Kedro's catalogs would take for a value.
PROXY = ""


class KedroHost:
    """Kedro, as a run's host in the driver.

    Args:
        catalog: The user's.
        datasets: Those that the run uses.
        observer: Speaks of the run.
        keeps_order: Whether nodes that are ready run in the order of the pipeline.

    Attributes:
        observer, keeps_order: The same.
    """

    def __init__(
        self, catalog: Any, datasets: Datasets, observer: Observer, *, keeps_order: bool
    ) -> None:
        self.observer, self.keeps_order = observer, keeps_order
        self._catalog = catalog
        self._kinds = datasets.kinds

    def view(self, catalog: NodeCatalog) -> NodeCatalog:
        """The catalog, for nodes that run in this process."""
        return LocalCatalog(self._catalog, catalog)

    def stand_in(self, plugin: Any) -> Any | None:
        """What leads workers to hooks of their own."""
        return _project().stand_in(plugin)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled apart, so that the project is configured before any of its classes is needed.
        shell = cloudpickle.dumps(_shell(self._catalog, set(self._kinds)))
        return _host_in_worker, (_project().package_name(), shell, self._kinds)


class LocalCatalog:
    """A Kedro catalog, for nodes that run in its process.

    Args:
        shown: The catalog.
        inner: The engine's.
    """

    takes_none = True

    def __init__(self, shown: Any, inner: NodeCatalog) -> None:
        self.shown = shown
        self.inner = inner

    def load(self, name: str) -> Any:
        """Load a dataset."""
        return self.shown.load(name)

    def save_owned(self, name: str, owned: OwnedValue) -> None:
        """Save a dataset."""
        self.shown.save(name, owned.value)

    def is_empty(self, name: str) -> bool:
        """Whether an output lives in memory, and nothing was saved to it."""
        return self.inner.is_empty(name)

    def confirm(self, name: str) -> None:
        """Confirm a dataset."""
        self.shown.confirm(name)


class RemoteCatalog(LocalCatalog):
    """A Kedro catalog, for nodes that run elsewhere.

    Args:
        shown: A copy of the user's without datasets.
        kinds: As `Datasets` has them.
    """

    def __init__(self, shown: Any, kinds: dict[str, str | None]) -> None:
        self.shown = shown
        self.saved: dict[str, Any] = {}
        self.inner: Any = None
        for name, kind in kinds.items():
            if kind == PROXY:
                shown._datasets[name] = _Proxy(self, name)  # noqa: SLF001, as below
            elif kind is None:
                shown._lazy_datasets[name] = _Elsewhere(self, name)  # noqa: SLF001, not made yet
            else:
                shown._datasets[name] = _in_memory(kind)(self, name)  # noqa: SLF001, says nothing

    def view(self, catalog: NodeCatalog) -> RemoteCatalog:
        """The catalog, for the node that begins."""
        self.inner = catalog
        self.saved.clear()
        return self

    def save_owned(self, name: str, owned: OwnedValue) -> None:
        """Save a dataset; what goes to the store does so when Kedro has let go of it."""
        self.shown.save(name, owned.value)
        if name not in self.saved:
            return
        if self.saved[name] is not owned.value:  # a validator has changed it
            owned = OwnedValue(self.saved[name])
        del self.saved[name]
        try:
            self.inner.save_owned(name, owned)
        except (MotorpoolError, MemoryError, OSError):
            raise
        except Exception as error:
            raise DatasetError(
                f"{name}: {type(owned.value)} cannot be serialised. ParallelRunner implicit "
                "memory datasets can only be used with serialisable data"
            ) from error


class _InMemory(AbstractDataset[Any, Any]):
    """Stands for a value that the engine carries."""

    _EPHEMERAL = True

    def __init__(self, catalog: RemoteCatalog, name: str) -> None:
        self._catalog = catalog
        self._name = name

    def load(self) -> Any:
        return self._catalog.inner.load(self._name)

    def save(self, data: Any) -> None:
        self._catalog.saved[self._name] = data

    def _describe(self) -> dict[str, Any]:
        return {}


class _Proxy(AbstractDataset[Any, Any]):
    """Stands for what passes for a dataset and is none of Kedro's, such as one of a manager's."""

    def __init__(self, catalog: RemoteCatalog, name: str) -> None:
        self._catalog = catalog
        self._name = name

    def load(self) -> Any:
        return self._catalog.inner.dataset(self._name).dataset.load()

    def save(self, data: Any) -> None:
        self._catalog.inner.dataset(self._name).dataset.save(data)

    def _describe(self) -> dict[str, Any]:
        return {}


@functools.cache
def _in_memory(kind: str) -> type[_InMemory]:
    """A class with the name that Kedro's log lines give."""
    return type(kind, (_InMemory,), {})


class _Elsewhere:
    """A dataset that this worker has not needed yet."""

    def __init__(self, catalog: RemoteCatalog, name: str) -> None:
        self._catalog = catalog
        self._name = name

    def materialize(self) -> Any:
        """The dataset, as Kedro's catalogs ask for it."""
        return self._catalog.inner.dataset(self._name).dataset


def _project() -> Any:
    """Our module on projects; what it needs of Kedro takes 0.7 s to import."""
    from motorpool.kedro import _project  # noqa: PLC0415, as above

    return _project


def _host_in_worker(package: str | None, shell: bytes, kinds: dict[str, str | None]) -> Any:
    if package is not None:
        _project().configure(package)
    return RemoteCatalog(cloudpickle.loads(shell), kinds)


def _shell(catalog: Any, names: set[str]) -> Any:
    """A copy of a catalog without its datasets, and without the configuration of others.

    One that is not Kedro's is stood for by Kedro's own.
    """
    if not isinstance(catalog, DataCatalog):
        return DataCatalog()
    state = dict(catalog.__dict__)
    fresh = DataCatalog.__new__(type(catalog))
    blank = {
        key: value for key, value in DataCatalog().__dict__.items() if key != "validation_enabled"
    }
    save_version = state.get("_save_version")
    for key in ("_load_versions", "_validator_specs"):
        if key in state:
            blank[key] = {name: value for name, value in state[key].items() if name in names}
    fresh.__dict__.update({**state, **blank, "_save_version": save_version})
    return fresh
