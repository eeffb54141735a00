"""Frames on the pipe between the direct pool and a worker.

    kind, task id, length of the payload    17 bytes
    payload

A call of an importable function with one `bytes` argument, which is what the engine sends, is not
pickled again: its payload is the length of the pickled function, that pickle, and the bytes.
"""

from __future__ import annotations

import struct
import sys
from enum import IntEnum
from functools import lru_cache
from types import FunctionType
from typing import TYPE_CHECKING, Any

from motorpool._store import script_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = struct.Struct("<BQQ")
_LENGTH = struct.Struct("<I")


class Kind(IntEnum):
    """What a frame says."""

    READY = 0  # worker: I am up
    CALL = 1  # pool: run this
    RAW_CALL = 2  # pool: run this function on these bytes
    RESULT = 3  # worker: this is what it returned
    RAW_RESULT = 4  # worker: it returned these bytes
    ERROR = 5  # worker: this is what it raised
    STOP = 6  # pool: end; the last, for what is above is no frame


#: What a worker says of a task.
ANSWERS = frozenset({Kind.RESULT, Kind.RAW_RESULT, Kind.ERROR})


def frame(kind: Kind, task: int, payload: bytes = b"") -> bytes:
    """A frame, ready to send."""
    return HEADER.pack(kind, task, len(payload)) + payload


def call_frame(
    task: int,
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]],
    dumps: Callable[[Any], bytes],
) -> bytes:
    """A frame that asks for a call."""
    function, args, kwargs = call
    plain = len(args) == 1 and type(args[0]) is bytes and not kwargs
    if plain and _is_importable(function):
        name = _pickled(function, dumps)
        return frame(Kind.RAW_CALL, task, _LENGTH.pack(len(name)) + name + args[0])
    with script_names(known=False):
        return frame(Kind.CALL, task, dumps(call))


def read_call(kind: int, payload: bytes, loads: Callable[[bytes], Any]) -> Callable[[], Any]:
    """What a frame asks for; nothing is called yet, and nothing unpickled but the function."""
    if kind == Kind.RAW_CALL:
        (length,) = _LENGTH.unpack_from(payload)
        start = _LENGTH.size + length
        function = _unpickled(payload[_LENGTH.size : start], loads)
        return lambda: function(payload[start:])
    function, args, kwargs = loads(payload)
    return lambda: function(*args, **kwargs)


def _is_importable(function: Callable[..., Any]) -> bool:
    """Whether a function pickles by name, and so to the same bytes each time."""
    if type(function) is not FunctionType or function.__module__ == "__main__":
        return False
    module = sys.modules.get(function.__module__)
    return getattr(module, function.__qualname__, None) is function


@lru_cache(maxsize=8)
def _pickled(function: Callable[..., Any], dumps: Callable[[Any], bytes]) -> bytes:
    return dumps(function)


@lru_cache(maxsize=8)
def _unpickled(data: bytes, loads: Callable[[bytes], Any]) -> Any:
    return loads(data)


class FrameReader:
    """Puts frames together from whatever pieces arrive."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Take a piece; yield kind, task and payload of each frame that is complete.

        What is no frame comes at once, with what there is of it, for its length says nothing.
        """
        self._data += piece
        position = 0
        while len(self._data) - position >= HEADER.size:
            kind, task, length = HEADER.unpack_from(self._data, position)
            end = position + HEADER.size + length
            if len(self._data) < end and kind <= Kind.STOP:
                break
            yield kind, task, bytes(memoryview(self._data)[position + HEADER.size : end])
            position = end
        if position:
            del self._data[:position]
