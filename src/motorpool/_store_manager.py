"""Brings the values of a catalog of shared datasets to where workers can read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._alternatives import who_carries
from motorpool._store import StoredValue
from motorpool.catalog import MemoryDataset
from motorpool.errors import ValidationError

if TYPE_CHECKING:
    from motorpool._store import Payload, Store


class StoreManager:
    """What a catalog of shared datasets is given, as Kedro gives its own a SyncManager.

    Args:
        store: Where values go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def share(self, name: str, value: Any) -> StoredValue:
        """Bring a value to where workers can read it.

        Raises:
            ValidationError: If it cannot be pickled.
        """
        try:
            payload = self._store.client.put(value)
            self._store.client.end_node()
            self._store.adopt(payload)
            return self._store.claim(payload)
        except Exception as error:
            raise ValidationError(unpicklable_value(name, value, error), dataset=name) from error

    def MemoryDataset(self, *args: Any) -> MemoryDataset:  # noqa: N802, the name Kedro asks for
        """Make an in-memory dataset; its values go to the store when a run needs them."""
        return MemoryDataset(*args)


def unpicklable_value(name: str, value: Any, error: Exception) -> str:
    """Say that an input cannot go to workers, and why."""
    return (
        f"the input {name!r}, a {type(value).__name__}, cannot be pickled: "
        f"{type(error).__name__}: {error}. Load it in a node, or from a dataset. "
        + who_carries(value)
    )


def payload_in(store: Store, dataset: Any) -> Payload | None:
    """What the value of an in-memory dataset is in a store, if it is there already."""
    source = getattr(dataset, "source", None)
    if (
        isinstance(source, StoredValue)
        and source.client_type is type(store.client)
        and store.holds(source)
    ):
        return source.payload
    return None
