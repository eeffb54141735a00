"""Where data lives: datasets, and catalogs of them by name.

A dataset is anything with `load()` and `save(data)`; `exists()`, `release()` and `confirm()` are
used where they are there. So every dataset of kedro-datasets is one, without an adapter. Two
attributes of Kedro's are respected: `_EPHEMERAL` (the data is gone with the process) and
`_SINGLE_PROCESS` (the dataset cannot be used from another process).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import (
    Dataset,
    confirm_dataset,
    dataset_exists,
    is_dataset,
    is_ephemeral,
    pickled_dataset,
    release_dataset,
)
from motorpool._datasets.memory import MemoryDataset
from motorpool.errors import DatasetError, ValidationError, unknown_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from motorpool._store import OwnedValue

__all__ = ["DataCatalog", "Dataset", "MemoryDataset", "SharedMemoryDataCatalog"]


class DataCatalog(MutableMapping[str, Any]):
    """Datasets by name.

    Args:
        datasets: Name to dataset or plain value; a plain value becomes a `MemoryDataset`.

    Raises:
        DatasetError: If a name is no string, or empty.
    """

    def __init__(self, datasets: Mapping[str, Any] | None = None) -> None:
        self._datasets: dict[str, Dataset] = {}
        for name, dataset in (datasets or {}).items():
            self[name] = dataset

    def __getitem__(self, name: str) -> Dataset:
        try:
            return self._datasets[name]
        except KeyError:
            raise _MissingDatasetError(
                unknown_names("dataset", [name], self._datasets), dataset=name
            ) from None

    def __setitem__(self, name: str, dataset: Any) -> None:
        if not isinstance(name, str) or not name.strip():
            raise DatasetError(f"A dataset's name is a non-empty string, not {name!r}.")
        self._datasets[name] = dataset if is_dataset(dataset) else MemoryDataset(dataset)

    def __delitem__(self, name: str) -> None:
        del self._datasets[name]

    def __contains__(self, name: object) -> bool:
        return name in self._datasets

    def __iter__(self) -> Iterator[str]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)

    def load(self, name: str) -> Any:
        """Load a dataset's data.

        Raises:
            DatasetError: If there is no such dataset; whatever its `load` raises otherwise.
        """
        return self[name].load()

    def save(self, name: str, data: Any) -> None:
        """Save data; a name that is not there yet becomes an in-memory dataset.

        Raises:
            DatasetError: If the data is None; whatever the dataset's `save` raises otherwise.
        """
        if data is None:
            raise DatasetError(f"None cannot be saved to {name!r}; save a value.", dataset=name)
        if name not in self:
            self[name] = MemoryDataset()
        self[name].save(data)

    def exists(self, name: str) -> bool:
        """Whether there is something to load; true for datasets without `exists`."""
        return name in self and dataset_exists(self[name])

    def release(self, name: str) -> None:
        """Let a dataset free what it holds."""
        release_dataset(self[name])

    def confirm(self, name: str) -> None:
        """Tell a dataset that what was loaded from it has been dealt with.

        Raises:
            DatasetError: If the dataset has no `confirm`.
        """
        confirm_dataset(name, self[name])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._datasets)})"


class SharedMemoryDataCatalog(DataCatalog):
    """A catalog whose in-memory values move to shared memory once, and stay for all runs."""

    def set_manager_datasets(self, manager: Any) -> None:
        """Move every in-memory value to shared memory.

        Args:
            manager: Has `share(name, value)`, which returns a callable that loads the value again.

        Raises:
            ValidationError: If a value cannot be pickled.
        """
        for name, dataset in self._datasets.items():
            if isinstance(dataset, MemoryDataset) and dataset.exists() and not dataset.source:
                dataset.bind(manager.share(name, dataset.peek()))

    def validate_catalog(self) -> None:
        """Check that every dataset can be used from other processes.

        Raises:
            ValidationError: Naming every dataset that cannot, and why.
        """
        import cloudpickle  # noqa: PLC0415, takes 10 ms that `import motorpool` must not

        problems = [
            problem
            for name, dataset in self._datasets.items()
            if not is_ephemeral(dataset)
            and (problem := pickled_dataset(name, dataset, cloudpickle.dumps)[1])
        ]
        if problems:
            raise ValidationError("\n".join(problems))


class _MissingDatasetError(DatasetError, KeyError):
    """No dataset of this name; a KeyError as well, as mappings promise."""

    __str__ = Exception.__str__


class RunCatalog(Mapping[str, Any]):
    """The datasets that one run uses: the user's, and in-memory ones for names it does not have.

    Those in memory are made when they are asked for: most values only pass through.

    Args:
        catalog: The user's; anything with `get(name)` and `in`.
        names: The datasets that the run uses.

    Attributes:
        registered: The names that the user's catalog has.
    """

    takes_none = False

    def __init__(self, catalog: Any, names: Collection[str]) -> None:
        self._names = names
        # To ask a catalog for each of 100,000 names takes a while.
        candidates = catalog if type(catalog) is DataCatalog else names
        asked = names if type(catalog) is DataCatalog else catalog
        self.registered = {name for name in candidates if name in asked}
        self._datasets = {name: catalog.get(name) for name in sorted(self.registered)}

    def __getitem__(self, name: str) -> Any:
        if name not in self._datasets and name in self._names:
            return self._datasets.setdefault(name, MemoryDataset())  # of threads, one makes it
        return self._datasets[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def given(self) -> dict[str, Any]:
        """The user's datasets; all others are in memory, and made for the run."""
        return {name: self[name] for name in sorted(self.registered)}

    def part(self, names: Iterable[str]) -> RunCatalog:
        """Some of the datasets."""
        part = RunCatalog({}, dict.fromkeys(sorted(names)))
        part._datasets = self._datasets  # the same ones, those to come as well
        part.registered = self.registered.intersection(part)
        return part

    @property
    def shown(self) -> RunCatalog:
        """The catalog that hooks are shown; not kept, as a cycle would keep the values."""
        return self

    def load(self, name: str) -> Any:
        """Load a dataset."""
        return self[name].load()

    def save(self, name: str, data: Any) -> None:
        """Save a dataset."""
        self[name].save(data)

    def save_owned(self, name: str, owned: OwnedValue) -> None:
        """Save a dataset."""
        self[name].save(owned.value)

    def is_empty(self, name: str) -> bool:
        """Whether an output lives in memory, and nothing was saved to it."""
        return is_ephemeral(self[name]) and not dataset_exists(self[name])

    def confirm(self, name: str) -> None:
        """Confirm a dataset."""
        confirm_dataset(name, self[name])
