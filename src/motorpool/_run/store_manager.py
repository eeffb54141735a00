"""Brings the values of a catalog of shared datasets to where workers can read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._protocol.problem import unpicklable_value
from motorpool._run.alternatives import in_words
from motorpool.catalog import MemoryDataset
from motorpool.errors import ValidationError

if TYPE_CHECKING:
    from motorpool._store import Store, StoredValue


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
            self._store.retain(payload)
            return self._store.pin(payload)
        except Exception as error:
            text = in_words(unpicklable_value(name, value, error))
            raise ValidationError(text, dataset=name) from error

    def MemoryDataset(self, *args: Any) -> MemoryDataset:  # noqa: N802, the name Kedro asks for
        """Make an in-memory dataset; its values go to the store when a run needs them."""
        return MemoryDataset(*args)
