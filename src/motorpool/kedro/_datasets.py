"""The datasets of a Kedro catalog, as the engine takes them."""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any

from kedro.io import CachedDataset, MemoryDataset, SharedMemoryDataset

from motorpool._datasets.contract import Dataset, looks_like_dataset
from motorpool.catalog import MemoryDataset as StoredDataset
from motorpool.kedro._host import PROXY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Shipped(Dataset):
    """A dataset that workers load and save themselves; sent to each worker once a run.

    Args:
        dataset: The dataset, of Kedro's.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def load(self) -> Any:
        """Load the data."""
        return self.dataset.load()

    def save(self, data: Any) -> None:
        """Save the data."""
        self.dataset.save(data)

    def exists(self) -> bool:
        """Whether there is something to load."""
        return bool(self.dataset.exists())

    def release(self) -> None:
        """Forget what is cached."""
        self.dataset.release()

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self.dataset, CachedDataset):  # of a subclass, perhaps
            make, arguments = _reduce_cached(self.dataset)
            return _shipped, (make, *arguments)
        return Shipped, (self.dataset,)


def _shipped(make: Callable[..., Any], *arguments: Any) -> Shipped:
    return Shipped(make(*arguments))


def _reduce_cached(dataset: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """How to pickle a dataset with a cache.

    Its own way empties the cache of this process, warns of it, and arrives as a cache that seems
    to be full.
    """
    state = dict(dataset.__dict__)
    copy_mode = getattr(state.pop("_cache"), "_copy_mode", None)
    return _with_empty_cache, (type(dataset), state, copy_mode)


def _with_empty_cache(kind: type[Any], state: dict[str, Any], copy_mode: Any) -> Any:
    dataset: Any = object.__new__(kind)
    dataset.__dict__.update(state, _cache=MemoryDataset(copy_mode=copy_mode))
    return dataset


# Hooks may hold a catalog, and are pickled with it.
copyreg.pickle(CachedDataset, _reduce_cached)


class Datasets:
    """The datasets of one run.

    Args:
        catalog: The user's.
        names: Those that the run uses.
        written: Those that its nodes write.

    Attributes:
        kinds: Name to name of its class, for those whose values the engine carries; None or PROXY
            for those that workers load and save themselves.
    """

    def __init__(self, catalog: Any, names: Iterable[str], written: set[str]) -> None:
        self._found: dict[str, Any] = {}
        self.kinds: dict[str, str | None] = {}
        for name in names:
            dataset = catalog.get(name, fallback_to_runtime_pattern=True)
            self._found[name] = _taken(name, dataset, is_written=name in written)
            kind = PROXY if looks_like_dataset(dataset) else None
            shipped = isinstance(self._found[name], Shipped)
            self.kinds[name] = kind if shipped else type(dataset).__name__

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def get(self, name: str) -> Any:
        """One of them."""
        return self._found[name]

    keys = __iter__

    def types(self) -> set[type[Any]]:
        """Their classes."""
        return {
            type(found.dataset if isinstance(found, Shipped) else found)
            for found in self._found.values()
        }


def _taken(name: str, dataset: Any, *, is_written: bool) -> Any:
    """A dataset, as the engine takes it."""
    if isinstance(dataset, SharedMemoryDataset):
        return _in_store(dataset, is_written=is_written)
    if isinstance(dataset, CachedDataset):
        if is_written:
            dataset.release()  # what is cached here will be out of date
        return Shipped(dataset)
    if getattr(dataset, "_SINGLE_PROCESS", False) is True:  # what people test with has it all
        return dataset
    is_parameter = name == "parameters" or name.startswith("params:")
    in_memory = getattr(dataset, "_EPHEMERAL", False) is True
    return dataset if in_memory and not (is_parameter and not is_written) else Shipped(dataset)


def _in_store(dataset: Any, *, is_written: bool) -> Any:
    """Let a shared dataset live in our store; what is written begins anew."""
    inner = dataset.__dict__.get("shared_memory_dataset")
    if inner is None or is_written:
        inner = StoredDataset()
        dataset.set_manager(_Manager(inner))
    elif not isinstance(inner, StoredDataset):  # of a run of Kedro's own runner
        value, inner = inner.load(), StoredDataset()
        inner.save(value)
        dataset.set_manager(_Manager(inner))
    dataset._release = inner.release  # noqa: SLF001, Kedro's own does nothing
    return inner


class _Manager:
    """What a shared dataset asks for its place, as Kedro's runner gives it a SyncManager."""

    def __init__(self, inner: StoredDataset) -> None:
        self._inner = inner

    def MemoryDataset(self) -> StoredDataset:  # noqa: N802, the name that Kedro asks for
        return self._inner
