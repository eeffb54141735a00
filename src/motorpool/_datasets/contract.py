"""What a dataset is, and how to ask it for what it may not have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from motorpool.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable


class Dataset(ABC):
    """A place that data can be loaded from and saved to.

    Classes derive from it, or are registered: `Dataset.register(TheirClass)`. Those that derive
    from Kedro's `AbstractDataset` are datasets too. Anything else in a catalog is data, even if it
    has methods of these names, as a picture has.

    Optional methods are `exists() -> bool`, `release() -> None` and `confirm() -> None`.
    """

    __slots__ = ()

    @abstractmethod
    def load(self) -> Any:
        """Return the data."""

    @abstractmethod
    def save(self, data: Any) -> None:
        """Keep the data."""

    @classmethod
    def __subclasshook__(cls, kind: type) -> Any:
        """Whether a class is one of Kedro's, of which nothing need be imported to tell."""
        if cls is Dataset and any(_is_kedros(base) for base in kind.__mro__):
            return True
        return NotImplemented


def _is_kedros(kind: type) -> bool:
    return kind.__name__ == "AbstractDataset" and kind.__module__.partition(".")[0] == "kedro"


def is_dataset(value: Any) -> bool:
    """Whether a value is a dataset rather than data."""
    return isinstance(value, Dataset)


def looks_like_dataset(value: Any) -> bool:
    """Whether a value has a dataset's methods, and its class does not say that it is one."""
    methods = (getattr(value, "load", None), getattr(value, "save", None))
    return all(map(callable, methods)) and not isinstance(value, (type, Dataset))


def is_ephemeral(dataset: Any) -> bool:
    """Whether a dataset's data is gone with the process that holds it."""
    return bool(getattr(dataset, "_EPHEMERAL", False))


def dataset_exists(dataset: Any) -> bool:
    """Whether a dataset has something to load; true for those without `exists`."""
    exists = getattr(dataset, "exists", None)
    return bool(exists()) if callable(exists) else True


def release_dataset(dataset: Any) -> None:
    """Call a dataset's `release`, if it has one."""
    release = getattr(dataset, "release", None)
    if callable(release):
        release()


def confirm_dataset(name: str, dataset: Any) -> None:
    """Call a dataset's `confirm`.

    Raises:
        DatasetError: If it has none.
    """
    confirm = getattr(dataset, "confirm", None)
    if not callable(confirm):
        raise DatasetError(
            f"The dataset {name!r} ({type(dataset).__name__}) has no `confirm`; take it out of "
            "the node's `confirms`.",
            dataset=name,
        )
    confirm()


def pickled_dataset(
    name: str, dataset: Any, dumps: Callable[[Any], bytes]
) -> tuple[bytes, str | None]:
    """Pickle a dataset for use in another process.

    Returns:
        The pickle, and what stands against using the dataset elsewhere, in words, or None.
    """
    kind = type(dataset).__name__
    if getattr(dataset, "_SINGLE_PROCESS", False):
        return b"", (
            f"dataset {name!r} ({kind}) can be used in one process only; replace it, or use a "
            "backend that runs nodes in this process."
        )
    try:
        return dumps(dataset), None
    except Exception as error:  # noqa: BLE001, whatever pickling raises is the reason
        return b"", (
            f"dataset {name!r} ({kind}) cannot be pickled: {type(error).__name__}: {error}. "
            "Let it open connections and files in `load`, not in `__init__`."
        )
