"""The form of a large value in a file: a pickle, and its buffers, ready to be mapped.

magic, length of the pickle, number of buffers      3 x 8 bytes
offset and length of each buffer                    n x 16 bytes
the pickle
each buffer, aligned to 64 bytes, and to a page if it is large
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._store.out_of_band import leave_out, with_blobs
from motorpool._store.pages import give_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_MAGIC = 0x31_4C_4F_4F_50_52_4F_4D  # "MORPOOL1", read as a little-endian number
_HEAD = struct.Struct("<QQQ")
_ENTRY = struct.Struct("<QQ")
# A cache line, and what SIMD loads of 512 bits want; numpy itself promises 16.
_ALIGNMENT = 64
# Large buffers share no page with others, so that it shows which of them was written to.
_PAGE, _LARGE = 4096, 64 * 1024
# How much is held twice while a buffer moves.
_PIECE = 16 * 2**20


class Layout(NamedTuple):
    """Where everything goes in a file.

    Attributes:
        head: The beginning of the file, the pickle included.
        stream: Where the pickle is, and its length.
        buffers: Each buffer, and where it goes.
        size: Size of the file, in bytes.
        consume: Whether the buffers are not needed when they are written.
    """

    head: bytes
    stream: tuple[int, int]
    buffers: list[tuple[int, memoryview]]
    size: int
    consume: bool = False


def dump(value: Any, dumps: Callable[..., bytes]) -> tuple[bytes, list[memoryview]]:
    """Pickle a value, with its large buffers left where they are.

    Returns:
        The pickle, and the buffers as flat bytes.
    """
    views: list[memoryview] = []
    return dumps(with_blobs(value), buffer_callback=leave_out(views)), views


def layout(stream: bytes, buffers: Sequence[memoryview], *, consume: bool = False) -> Layout:
    """Lay out a dumped value.

    Args:
        stream: The pickle.
        buffers: Its buffers.
        consume: Whether they are not needed when they are written.
    """
    start = _HEAD.size + _ENTRY.size * len(buffers)
    position = start + len(stream)
    table, placed = [_HEAD.pack(_MAGIC, len(stream), len(buffers))], []
    for buffer in buffers:
        position += -position % (_PAGE if buffer.nbytes >= _LARGE else _ALIGNMENT)
        table.append(_ENTRY.pack(position, buffer.nbytes))
        placed.append((position, buffer))
        position += buffer.nbytes
    return Layout(b"".join(table) + stream, (start, len(stream)), placed, position, consume)


def write(fd: int, value: Layout) -> None:
    """Write a value to a file, from its beginning.

    Plain `write` instead of a map: a full tmpfs is then ENOSPC, and not SIGBUS.

    Raises:
        OSError: If there is no room for it.
    """
    position = 0
    for start, part in ((0, memoryview(value.head)), *value.buffers):
        if start > position:
            os.write(fd, bytes(start - position))
        for piece in _pieces(part, consume=value.consume and start > 0):
            rest = piece
            while rest.nbytes:
                rest = rest[os.write(fd, rest) :]
        position = start + part.nbytes


def fill(view: memoryview, value: Layout) -> None:
    """Copy a value to a map of a file that is large enough."""
    view[: len(value.head)] = value.head
    for start, part in value.buffers:
        for piece in _pieces(part, consume=value.consume):
            view[start : start + piece.nbytes] = piece
            start += piece.nbytes  # noqa: PLW2901, it goes on from here


def _pieces(part: memoryview, *, consume: bool) -> Iterator[memoryview]:
    """A buffer in one piece; or in several, each given back to the system when it is written."""
    if not consume:
        yield part
        return
    for at in range(0, part.nbytes, _PIECE):
        piece = part[at : at + _PIECE]
        yield piece
        give_up(piece)


def write_file(path: str, value: Layout) -> None:
    """Write a value to a new file; leave none if that fails."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, 0o600)
    try:
        write(fd, value._replace(consume=False))  # a disk that is full must leave the value whole
    except BaseException:
        os.unlink(path)  # noqa: PTH108, a Path costs more
        raise
    finally:
        os.close(fd)


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
            return bool(os.fstat(file.fileno()).st_size >= end)
    except (OSError, struct.error):
        return False


def parts(view: memoryview) -> tuple[memoryview, list[memoryview]]:
    """The pickle and the buffers in a map of a file.

    Raises:
        ValueError: If it is not a value of Motorpool's.
    """
    magic, length, count = _HEAD.unpack_from(view)
    if magic != _MAGIC:
        raise ValueError("not a value that Motorpool has written")
    start = _HEAD.size + _ENTRY.size * count
    entries = [_ENTRY.unpack_from(view, _HEAD.size + _ENTRY.size * i) for i in range(count)]
    return view[start : start + length], [view[at : at + n] for at, n in entries]
