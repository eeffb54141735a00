"""A store of files: large values in shared memory, then on disk; small ones travel as they are."""

from __future__ import annotations

import pickle
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from motorpool._store.contract import BufferSlice, CompositeRef, Payload, Ref, keys_of
from motorpool._store.format import dump, layout, parts
from motorpool._store.maps import find_source, maps
from motorpool._store.pages import address_of
from motorpool._store.recycling import PART
from motorpool.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool._store.maps import Source
    from motorpool._store.segments import Segments

# Up to here a value travels with the envelope: two hops of 128 KiB inline take 170 us and of
# 256 KiB 816 us, against 229 and 271 us through a file; the margin is for several inputs at once.
INLINE_LIMIT = 64 * 1024
# The values that plain pickle copies as well as cloudpickle does, ten times as fast.
_PLAIN = frozenset({bool, bytes, complex, float, int, str})
# Above this, what cloudpickle costs does not show any more, and bytes may go out of band.
_PLAIN_LIMIT = 4096
# A small part of a large segment is copied, so that it does not keep the rest.
_LEAST_SHARE = 8


class FileClient:
    """Writes values to files and maps them back.

    Args:
        segments: The files.
        dumps: Pickles, with a `buffer_callback`.
        loads: Unpickles, with `buffers`.
        readonly: Whether readers may not write to what they read.
    """

    def __init__(
        self, segments: Segments, dumps: Callable[..., bytes], loads: Callable[..., Any], *,
        readonly: bool = False,
    ) -> None:  # fmt: skip
        self.segments = segments
        self.dumps = dumps
        self.loads = loads
        self.readonly = readonly
        self.keeps = False  # maps, for another time: a worker does
        # Of the node that runs: what it has read and allocated, and what it has made, with the
        # number of values that use it.
        self._sources: list[Source] = []
        self._made: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _client, (self.segments, self.dumps, self.loads, self.readonly)

    @property
    def folders(self) -> tuple[str, ...]:
        """Directories of the run, fastest first."""
        return self.segments.folders

    def put(
        self, value: Any, *, inline: bool = True, owner: str = "", consume: bool = False
    ) -> Payload:
        """Pickle a value; a small one is returned, a large one written to a file."""
        if inline and type(value) in _PLAIN and sys.getsizeof(value) < _PLAIN_LIMIT:
            return pickle.dumps(value, 5)
        stream, buffers = dump(value, self.dumps)
        size = len(stream) + sum(b.nbytes for b in buffers)
        if inline and size <= INLINE_LIMIT:
            return self.dumps(value) if buffers else stream
        shared = self._share(stream, buffers, owner)
        payload = shared or self._write(stream, buffers, owner, consume=consume)
        with self._lock:
            self._made.update(key for key in keys_of(payload) if key in self._made)
        return payload

    def get(self, payload: Payload) -> Any:
        """Load a value; the reader's own, to change as it likes."""
        if isinstance(payload, bytes):
            return self.loads(payload)
        try:
            views = {key: self._map(key) for key in keys_of(payload)}
        except FileNotFoundError as error:
            raise StoreError(
                f"The value in {error.args[0]} is not there any more: it was released after its "
                "last reader, or its run's directory was removed."
            ) from None
        if isinstance(payload, Ref):
            stream, buffers = parts(views[payload.key])
            return self.loads(stream, buffers=buffers)
        stream, *buffers = (
            views[part.key][part.start : part.start + part.nbytes]
            if isinstance(part, BufferSlice)
            else memoryview(bytearray(part))
            for part in payload.parts
        )
        return self.loads(stream, buffers=buffers)

    def allocate(self, nbytes: int, owner: str) -> memoryview | None:
        """Memory that is part of the store already; None where there is none."""
        found = self.segments.allocate(nbytes, owner)
        if found is None:
            return None
        view, source = maps.allocated(found[0].removesuffix(PART), found[1])
        self._sources.append(source)
        return view[:nbytes]

    def discard(self, payload: Payload) -> None:
        """Remove a value that the driver does not know of."""
        for key in keys_of(payload) & self._made.keys():
            self._made[key] -= 1
            if self._made[key] <= 0:
                del self._made[key]
                self._sources = [s for s in self._sources if s.key != key]
                self.segments.recycle(key)

    def end_node(self, *, goes_on: bool = False) -> None:
        """Forget what was read, and give back what was allocated and not returned."""
        if not self._sources and not self._made:
            return
        kept = []
        for source in self._sources:
            if goes_on and source.owner_ref() is not None:
                kept.append(source)
            elif source.shared:
                self.segments.recycle(source.key + PART)
        self._sources = kept
        if goes_on:
            return
        for key in [key for key, users in self._made.items() if not users]:
            self.segments.remove(key)  # what came after it has failed
        self._made.clear()

    def _map(self, key: str) -> memoryview:
        view, source = maps.read(
            key, self.segments.open, keep_in=self.segments.memory if self.keeps else None
        )
        if source is not None:
            self._sources.append(source)
        return view.toreadonly() if self.readonly else view

    def _write(
        self, stream: bytes, buffers: list[memoryview], owner: str, *, consume: bool
    ) -> Ref:
        laid_out = layout(stream, buffers, consume=consume)
        ref = Ref(self.segments.write(laid_out, owner, keep=self.keeps), laid_out.size)
        self._made[ref.key] = 0
        return ref

    def _share(self, stream: bytes, buffers: list[memoryview], owner: str) -> CompositeRef | None:
        """A value with data that are in segments already, or None if it has none worth it."""
        found = [self._find(buffer) for buffer in buffers]
        shown: Counter[str] = Counter()
        for part, _ in filter(None, found):
            shown[part.key] += part.nbytes
        kept = [
            f[0] if f is not None and shown[f[0].key] * _LEAST_SHARE >= f[1] else None
            for f in found
        ]
        if not any(kept):
            return None
        for key in {part.key for part in kept if part is not None} - self._made.keys():
            self._publish(key)
        return self._with_rest(stream, buffers, kept, owner)

    def _find(self, buffer: memoryview) -> tuple[BufferSlice, int] | None:
        """Where a buffer is, and the size of that segment."""
        start = address_of(buffer)
        source = find_source(self._sources, start, buffer.nbytes)
        if source is None or not self.segments.owns(source.key):
            return None
        part = BufferSlice(source.key, start - source.start, buffer.nbytes)
        return part, source.end - source.start

    def _publish(self, key: str) -> None:
        """Give an array that a node has allocated the name of a value; it changes no more."""
        with self._lock:  # outputs may be saved side by side
            own = [s for s in self._sources if s.shared and s.key == key]
            if own:
                self._sources = [maps.seal(s) if s in own else s for s in self._sources]
                self.segments.publish(key + PART)
                self._made[key] = 0

    def _with_rest(
        self, stream: bytes, buffers: list[memoryview], kept: list[BufferSlice | None], owner: str
    ) -> CompositeRef:
        """Write what is not in a segment yet to one of its own, if it is large."""
        rest = [b for b, part in zip(buffers, kept, strict=True) if part is None]
        if len(stream) + sum(b.nbytes for b in rest) <= INLINE_LIMIT:
            own: list[bytes | BufferSlice] = [b.tobytes() for b in rest]
            pickled: bytes | BufferSlice = stream
        else:
            laid_out = layout(stream, rest)
            key = self.segments.write(laid_out, owner, keep=self.keeps)
            self._made[key] = 0
            own = [BufferSlice(key, start, b.nbytes) for start, b in laid_out.buffers]
            pickled = BufferSlice(key, *laid_out.stream)
        left = iter(own)
        return CompositeRef(pickled, tuple(next(left) if part is None else part for part in kept))


def _client(
    segments: Segments, dumps: Callable[..., bytes], loads: Callable[..., Any], readonly: bool
) -> FileClient:
    """A worker's client; maps that it has kept for another store are of no use any more."""
    maps.settle_in(segments.folders)
    client = FileClient(segments, dumps, loads, readonly=readonly)
    client.keeps = True
    return client
