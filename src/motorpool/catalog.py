"""Where data lives: datasets, and catalogs of them by name.

A dataset is anything with `load()` and `save(data)`; `exists()`, `release()` and `confirm()` are
used where they are there. So every dataset of kedro-datasets is one, without an adapter. Two
attributes of Kedro's are respected: `_EPHEMERAL` (the data is gone with the process) and
`_SINGLE_PROCESS` (the dataset cannot be used from another process).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Literal

from motorpool._datasets import (
    Dataset,
    confirm_dataset,
    dataset_exists,
    is_dataset,
    is_ephemeral,
    pickled_dataset,
    release_dataset,
)
from motorpool._suggest import unknown_names
from motorpool.errors import DatasetError, ValidationError

__all__ = ["DataCatalog", "Dataset", "MemoryDataset", "SharedMemoryDataCatalog"]

CopyMode = Literal["assign", "copy", "deepcopy"]

_EMPTY = object()
# How to copy what people pass around most; everything else is deep-copied. Same as Kedro's rule:
# a table's own copy is deep where it matters, and lazy or immutable tables need none.
_COPY_MODES: dict[str, CopyMode] = {
    "numpy": "copy",
    "pandas": "copy",
    "dask": "assign",
    "duckdb": "assign",
    "ibis": "assign",
    "polars": "assign",
    "pyarrow": "assign",
    "pyspark": "assign",
}


class MemoryDataset:
    """Keeps a value in memory.

    Args:
        data: The value; may be left out and saved later.
        copy_mode: What a reader gets: the same object ("assign"), a shallow copy ("copy") or a
            deep one ("deepcopy"). By default arrays and pandas tables are copied, lazy and
            immutable tables assigned, everything else deep-copied.

    Raises:
        DatasetError: If the copy mode is none of these.
    """

    _EPHEMERAL = True

    def __init__(self, data: Any = _EMPTY, *, copy_mode: CopyMode | None = None) -> None:
        if copy_mode is not None and copy_mode not in {"assign", "copy", "deepcopy"}:
            raise DatasetError(
                f"The copy mode {copy_mode!r} is unknown: use 'assign', 'copy' or 'deepcopy'."
            )
        self._copy_mode = copy_mode
        self._data = data
        self._source: Callable[[], Any] | None = None

    def load(self) -> Any:
        """Return the value, or a copy of it, as the copy mode says.

        Raises:
            DatasetError: If nothing was saved yet, or it was released.
        """
        if self._source is not None:
            return self._source()
        if self._data is _EMPTY:
            raise DatasetError("This in-memory dataset holds no data; save something first.")
        return self._copied(self._data)

    def save(self, data: Any) -> None:
        """Keep the value, or a copy of it, as the copy mode says.

        Raises:
            DatasetError: If the value is None.
        """
        if data is None:
            raise DatasetError("None cannot be saved; let the node return a value.")
        self._data, self._source = self._copied(data), None

    def exists(self) -> bool:
        """Whether there is something to load."""
        return self._source is not None or self._data is not _EMPTY

    def release(self) -> None:
        """Forget the value."""
        self._data, self._source = _EMPTY, None

    def bind(self, source: Callable[[], Any]) -> None:
        """Let the value come from elsewhere, anew for each load, so that no copy is needed."""
        self._data, self._source = _EMPTY, source

    @property
    def source(self) -> Callable[[], Any] | None:
        """Where the value comes from, if it is not here."""
        return self._source

    def peek(self) -> Any:
        """The value itself, for a reader that does not change it."""
        return self.load() if self._data is _EMPTY else self._data

    def _copied(self, data: Any) -> Any:
        package = type(data).__module__.partition(".")[0]
        mode = self._copy_mode or _COPY_MODES.get(package, "deepcopy")
        if mode == "assign":
            return data
        if mode == "copy":
            return data.copy() if hasattr(data, "copy") else copy.copy(data)
        try:
            return copy.deepcopy(data)
        except Exception as error:
            kind = type(data).__name__
            error.add_note(
                f"An in-memory {kind} is deep-copied, so that nobody changes what others read. If "
                "it cannot be, wrap it: MemoryDataset(value, copy_mode='assign')."
            )
            raise

    def __repr__(self) -> str:
        state = "elsewhere" if self._source else type(self._data).__name__
        return f"MemoryDataset({'empty' if not self.exists() else state})"


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
        """Whether there is something to load; true for datasets that cannot tell."""
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
