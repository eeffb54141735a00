"""The form of a large value in a file: a pickle, and its buffers, ready to be mapped.

magic, length of the pickle, number of buffers      3 x 8 bytes
offset and length of each buffer                    n x 16 bytes
the pickle
each buffer, aligned to 64 bytes
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Sequence

_MAGIC = 0x31_4C_4F_4F_50_52_4F_4D  # "MORPOOL1", read as a little-endian number
_HEAD = struct.Struct("<QQQ")
_ENTRY = struct.Struct("<QQ")
# Up to 3.12 a map keeps a descriptor open, and there are few of those.
_UNTRACKED: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
# A cache line, and what SIMD loads of 512 bits want; numpy itself promises 16.
_ALIGNMENT = 64


def dump(value: Any, dumps: Callable[..., bytes]) -> tuple[bytes, list[memoryview]]:
    """Pickle a value, with its large buffers left where they are.

    Returns:
        The pickle, and the buffers as flat bytes.
    """
    views: list[memoryview] = []

    def out_of_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            views.append(buffer.raw())
        except BufferError:  # not contiguous, so it goes into the pickle
            return True
        return False

    return dumps(value, buffer_callback=out_of_band), views


def write(fd: int, stream: bytes, buffers: Sequence[memoryview]) -> int:
    """Write a dumped value to an empty file.

    Plain `write` instead of a map: a full tmpfs is then ENOSPC, and not SIGBUS.

    Returns:
        The size of the file, in bytes.

    Raises:
        OSError: If there is no room for it.
    """
    position = _HEAD.size + _ENTRY.size * len(buffers) + len(stream)
    table = [_HEAD.pack(_MAGIC, len(stream), len(buffers))]
    parts: list[bytes | memoryview] = []
    for buffer in buffers:
        gap = -position % _ALIGNMENT
        parts += [bytes(gap), buffer]
        table.append(_ENTRY.pack(position + gap, buffer.nbytes))
        position += gap + buffer.nbytes
    for part in (b"".join(table) + stream, *parts):
        rest = memoryview(part)
        while rest.nbytes:
            rest = rest[os.write(fd, rest) :]
    return position


def is_whole(path: str) -> bool:
    """Whether a file holds a value as it was written, and not only a part of it."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123, a Path costs more
            magic, length, count = _HEAD.unpack(file.read(_HEAD.size))
            if magic != _MAGIC:
                return False
            table = file.read(_ENTRY.size * count)
            end = _HEAD.size + len(table) + length
            if count:
                end = sum(_ENTRY.unpack_from(table, _ENTRY.size * (count - 1)))
            return bool(os.fstat(file.fileno()).st_size == end)
    except (OSError, struct.error):
        return False


def _mapped(fd: int) -> memoryview:
    """Map a file; a process that has run out of descriptors or maps gets a copy instead."""
    try:
        return memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_COPY, **_UNTRACKED))
    except OSError as error:
        if error.errno not in {errno.EMFILE, errno.ENOMEM}:
            raise
    with os.fdopen(fd, "rb", closefd=False) as file:
        return memoryview(bytearray(file.read()))


def read(fd: int, loads: Callable[..., Any]) -> Any:
    """Load a value from a file; its buffers are private copy-on-write maps.

    The map is never closed here: it lives for as long as something in the value looks into it.
    """
    view = _mapped(fd)
    magic, length, count = _HEAD.unpack_from(view)
    if magic != _MAGIC:
        raise ValueError("not a value that Motorpool has written")
    start = _HEAD.size + _ENTRY.size * count
    entries = [_ENTRY.unpack_from(view, _HEAD.size + _ENTRY.size * i) for i in range(count)]
    return loads(view[start : start + length], buffers=[view[at : at + n] for at, n in entries])
