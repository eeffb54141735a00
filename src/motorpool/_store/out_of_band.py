"""Pickles whose large buffers lie beside them, each once however many pickles refer to it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._store.pages import address_of
from motorpool._store.tables import LEAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# From here on bytes are worth an object of their own; and in how large a container they are
# looked for.
_LARGE_BYTES = 64 * 1024
_MOST_ITEMS = 256


class Buffer:
    """A buffer; within one pickle, it is there once.

    Args:
        data: Anything that exports a buffer.
    """

    __slots__ = ("data",)

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Buffer, (pickle.PickleBuffer(self.data),)


class Pickled(NamedTuple):
    """A pickle and its buffers."""

    stream: bytes
    buffers: tuple[Buffer, ...]

    @property
    def nbytes(self) -> int:
        """How large it is, with its buffers."""
        return len(self.stream) + sum(memoryview(b.data).nbytes for b in self.buffers)

    def load(self, loads: Callable[..., Any]) -> Any:
        """Unpickle; what comes of it uses the buffers as they are."""
        if not self.buffers:
            return loads(self.stream)
        return loads(self.stream, buffers=[buffer.data for buffer in self.buffers])


class OutOfBand:
    """Pickles, with each large buffer left where it is.

    Args:
        dumps: Pickles, with a `buffer_callback`.
    """

    def __init__(self, dumps: Callable[..., bytes]) -> None:
        self._dumps = dumps
        self._known: dict[tuple[int, int], Buffer] = {}  # by address and size

    def __call__(self, value: Any) -> Pickled:
        """Pickle."""
        views: list[memoryview] = []
        stream = self._dumps(value, buffer_callback=leave_out(views))
        return Pickled(stream, tuple(map(self._shared, views)))

    def _shared(self, view: memoryview) -> Buffer:
        return self._known.setdefault((address_of(view), view.nbytes), Buffer(view))


def leave_out(views: list[memoryview]) -> Callable[[pickle.PickleBuffer], bool]:
    """A `buffer_callback` that leaves large buffers out of a pickle.

    Args:
        views: They are added here, as flat bytes.
    """

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:  # not contiguous, so it goes into the pickle
            return True
        if view.nbytes < LEAST:
            return True
        views.append(view)
        return False

    return keep


class _Blob:
    """Large bytes, which a pickle would copy."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self.data), (pickle.PickleBuffer(self.data),)


def with_blobs(value: Any) -> Any:
    """The value, with the large bytes in it marked: itself, or in the outermost container."""
    kind = type(value)
    if kind in {bytes, bytearray}:
        return _Blob(value) if len(value) > _LARGE_BYTES else value
    if kind not in {dict, list, tuple} or len(value) > _MOST_ITEMS:
        return value
    items: Iterable[Any] = value.values() if kind is dict else value
    if not any(type(i) in {bytes, bytearray} and len(i) > _LARGE_BYTES for i in items):
        return value
    if kind is dict:
        return {k: with_blobs(v) if type(v) in {bytes, bytearray} else v for k, v in value.items()}
    return kind(with_blobs(i) if type(i) in {bytes, bytearray} else i for i in value)
