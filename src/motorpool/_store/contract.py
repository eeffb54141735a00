"""What a store promises; backends whose workers do not share this host bring their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ref:
    """Says where a large value is.

    Attributes:
        key: What the store finds it by; for files, the path.
        nbytes: Its size, in bytes.
    """

    key: str
    nbytes: int

    def __reduce__(self) -> tuple[type[Ref], tuple[str, int]]:
        return Ref, (self.key, self.nbytes)


class BufferSlice(NamedTuple):
    """Where some bytes of a value are.

    Attributes:
        key: What the store finds them by.
        start: Where they begin in it.
        nbytes: How many they are.
    """

    key: str
    start: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class CompositeRef:
    """Says where a value is that shares its data with other values.

    Attributes:
        stream: The pickle, or where it is.
        buffers: Its buffers, or where they are.
    """

    stream: bytes | BufferSlice
    buffers: tuple[bytes | BufferSlice, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return _composite, (self.stream, *self.buffers)

    @property
    def nbytes(self) -> int:
        """Size of the value, in bytes."""
        return sum(p.nbytes if isinstance(p, BufferSlice) else len(p) for p in self.parts)

    @property
    def parts(self) -> tuple[bytes | BufferSlice, ...]:
        """The pickle and the buffers."""
        return (self.stream, *self.buffers)


def _composite(stream: bytes | BufferSlice, *buffers: bytes | BufferSlice) -> CompositeRef:
    return CompositeRef(stream, buffers)


# A value as the driver sees it: pickled and carried along, or kept by the store.
Payload = bytes | Ref | CompositeRef


def payload_size(payload: Payload) -> int:
    """Size of a value in bytes, as it is kept."""
    return len(payload) if isinstance(payload, bytes) else payload.nbytes


def keys_of(payload: Payload) -> set[str]:
    """What the store keeps for a value."""
    if isinstance(payload, Ref):
        return {payload.key}
    if isinstance(payload, CompositeRef):
        return {part.key for part in payload.parts if isinstance(part, BufferSlice)}
    return set()


class StoreClient(Protocol):
    """Writes and reads values, in any process; pickled into each worker once."""

    @property
    def dumps(self) -> Callable[..., bytes]:
        """Pickles a value."""

    @property
    def loads(self) -> Callable[..., Any]:
        """Unpickles it."""

    @property
    def readonly(self) -> bool:
        """Whether large values cannot be written to by those who read them."""

    def put(
        self, value: Any, *, inline: bool = True, owner: str = "", consume: bool = False
    ) -> Payload:
        """Keep a value.

        Args:
            value: The value.
            inline: Whether a small one may be returned as its own pickle.
            owner: What to find it by if its maker dies before the driver knows of it.
            consume: Whether the value itself will not be read any more, so that its memory may
                be given back piece by piece.

        Raises:
            StoreFullError: If there is no room for it; names every place that was tried.
            Exception: Whatever pickling the value raises.
        """

    def get(self, payload: Payload) -> Any:
        """Return the value; the reader's own, to change as it likes.

        Raises:
            StoreError: If the value is not there any more.
        """

    def allocate(self, nbytes: int, owner: str) -> memoryview | None:
        """Memory that is part of the store already, to be put in it; None if there is none."""

    def discard(self, payload: Payload) -> None:
        """Remove a value that the driver does not know of."""

    def end_node(self, *, goes_on: bool = False) -> None:
        """A node has ended, and its outputs are kept: forget what it has read and allocated.

        Args:
            goes_on: Whether the next node is handed objects of it, which may lie in there.
        """


class Store(ABC):
    """The driver's side of the data plane."""

    @property
    @abstractmethod
    def client(self) -> StoreClient:
        """What workers write and read with."""

    def retain(self, payload: Payload) -> None:  # noqa: B027, not every store counts
        """Keep a value that has come from a client, until it is released as often as retained.

        Not called for pickles, which the driver carries along; nor is `release`.
        """

    @abstractmethod
    def release(self, payload: Payload) -> None:
        """Drop a value; those who still read it may go on doing so."""

    @abstractmethod
    def pin(self, payload: Payload) -> StoredValue:
        """Keep a retained value for as long as the returned loader lives, even past `close`.

        It is the loader that releases it then.
        """

    @abstractmethod
    def close(self) -> None:
        """Drop every value that is not pinned; may be called twice."""

    def holds(self, value: StoredValue) -> bool:  # noqa: ARG002, for stores that know
        """Whether clients of this store find a stored value for as long as it lives."""
        return True

    def find(self, loader: object) -> Payload | None:
        """The payload that a loader reads, if clients of this store can read it."""
        if not isinstance(loader, StoredValue) or loader.client_type is not type(self.client):
            return None
        return loader.payload if self.holds(loader) else None

    def abandon(self, owner: str, *, unfinished: bool = False) -> None:  # noqa: B027, as above
        """Remove the values of an owner that died before the driver knew of them.

        Args:
            owner: Which one.
            unfinished: Forget only what it had allocated.
        """

    def scratch(self) -> Path | None:
        """A folder that driver and workers share, or None if they do not share files."""
        return None


class StoredValue:
    """Loads a value that is kept in a store, anew at each call.

    Args:
        payload: The value.
        client: What to read it with.
        owner: Whatever must live for as long as the value is wanted.
    """

    __slots__ = ("__weakref__", "_client", "_owner", "payload")

    def __init__(self, payload: Payload, client: StoreClient, owner: object) -> None:
        self.payload = payload
        self._client = client
        self._owner = owner

    @property
    def client_type(self) -> type[StoreClient]:
        """What can read the payload."""
        return type(self._client)

    @property
    def is_fixed(self) -> bool:
        """Whether it stays where it is: in a file of a checkpoint, for one."""
        return self._owner is None

    def __deepcopy__(self, memo: dict[int, Any]) -> StoredValue:
        """The same: it is never changed, and the value lives for as long as this does."""
        return self

    def __call__(self) -> Any:
        """Return the value; a copy of the caller's own."""
        try:
            return self._client.get(self.payload)
        finally:
            self._client.end_node()
