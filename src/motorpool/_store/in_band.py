"""A store that keeps nothing anywhere: every value travels as its pickle, by way of the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._store.contract import Payload, Store, StoredValue

if TYPE_CHECKING:
    from collections.abc import Callable


class InBandClient:
    """Pickles and unpickles.

    Args:
        dumps: Pickles.
        loads: Unpickles.
    """

    readonly = False  # what is unpickled is the reader's own

    def __init__(self, dumps: Callable[..., bytes], loads: Callable[..., Any]) -> None:
        self.dumps = dumps
        self.loads = loads

    def put(
        self, value: Any, *, inline: bool = True, owner: str = "", consume: bool = False  # noqa: ARG002, as files need it
    ) -> bytes:  # fmt: skip
        """Return a value's pickle."""
        return self.dumps(value)

    def get(self, payload: Payload) -> Any:
        """Return the value."""
        return self.loads(payload)

    def allocate(self, nbytes: int, owner: str) -> None:
        """Nothing: there is no memory to be part of."""

    def discard(self, payload: Payload) -> None:
        """Nothing has been kept."""

    def end_node(self, *, goes_on: bool = False) -> None:
        """Nothing has been kept."""


class InBandStore(Store):
    """Values are with the driver, and with those that they are sent to.

    Args:
        dumps: Pickles.
        loads: Unpickles.
    """

    def __init__(self, dumps: Callable[..., bytes], loads: Callable[..., Any]) -> None:
        self._client = InBandClient(dumps, loads)

    @property
    def client(self) -> InBandClient:
        """What workers write and read with."""
        return self._client

    def release(self, payload: Payload) -> None:
        """Nothing is kept here; who holds the pickle lets it go."""

    def pin(self, payload: Payload) -> StoredValue:
        """What loads the value from its pickle."""
        return StoredValue(payload, self._client, self)

    def close(self) -> None:
        """Nothing is kept here."""
