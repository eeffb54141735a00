"""What CPython and the kernel know of memory: where it is, and whether it was written to."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from functools import cache
from typing import Any

_PAGE = mmap.PAGESIZE
# What /proc/PID/pagemap says in the highest byte of a page's entry: not there at all, or there and
# the file's own; a page that was written to is neither.
_KIND = 0xE0
_CLEAN = bytes(b for b in range(256) if b & _KIND in {0x00, 0xA0})


def address_of(buffer: memoryview) -> int:
    """Address of a buffer's first byte, read-only ones included."""
    view = _Buffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(view), 0)
    try:
        return view.buf or 0
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))


class _Buffer(ctypes.Structure):
    """CPython's Py_buffer."""

    _fields_ = (
        ("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p),
    )  # fmt: skip


def make_private(start: int, nbytes: int, fd: int) -> None:
    """Put a private copy on write in the place of a shared map."""
    protection, fixed = mmap.PROT_READ | mmap.PROT_WRITE, 0x10  # MAP_FIXED, which mmap lacks
    if _map(start, nbytes, protection, mmap.MAP_PRIVATE | fixed, fd) != start:
        raise OSError(ctypes.get_errno(), "cannot make an allocated array private")


@cache
def _find_mmap() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    return function


@cache
def _find_munmap() -> Any:
    function = ctypes.CDLL(None).munmap
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return function


def _map(start: int | None, nbytes: int, protection: int, flags: int, fd: int) -> int | None:
    """What the system's own `mmap` returns, for the whole of a file or its beginning."""
    address: int | None = _find_mmap()(start, nbytes, protection, flags, fd, 0)
    return address


def give_up(buffer: memoryview) -> None:
    """Let the system take a buffer's memory back; it may not be read any more.

    What it held is lost where pages are private and without a file, as those of malloc are; where
    the system cannot do that, nothing happens.
    """
    if _madvise is not None:
        start = address_of(buffer)
        first, last = -(-start // _PAGE) * _PAGE, (start + buffer.nbytes) // _PAGE * _PAGE
        if last > first:
            _madvise(first, last - first, _DONTNEED)


def _find_madvise() -> Any:
    if sys.platform != "linux":  # elsewhere it is no more than a hint
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


_DONTNEED = 4
_madvise = _find_madvise()
can_give_up = _madvise is not None


def is_clean(start: int, nbytes: int) -> bool:
    """Whether no page of a private map was written to; false where that is not known."""
    first, last = start // _PAGE, (start + nbytes + _PAGE - 1) // _PAGE
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:  # noqa: PTH123, as short
            entries = os.pread(file.fileno(), 8 * (last - first), 8 * first)
    except OSError:
        return False
    whole = len(entries) == 8 * (last - first)
    return whole and not entries[7::8].translate(None, _CLEAN)


class _PrivateMap:
    """A private map of a file, to read and to write to a copy; it keeps no descriptor.

    Python's own keeps one before 3.13, and limits of descriptors are low.

    Args:
        fd: A descriptor of the file.
        size: How much of it to map.

    Raises:
        OSError: If it cannot be mapped.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._address = 0
        address = _map(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE, fd)
        if address is None or address == ctypes.c_void_p(-1).value:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._address, self._size, self._unmap = address, size, _find_munmap()

    def __len__(self) -> int:
        return self._size

    def cell(self) -> ctypes.Array[ctypes.c_char]:
        """The memory; it keeps the map."""
        cell = (ctypes.c_char * self._size).from_address(self._address)
        cell.map = self  # type: ignore[attr-defined]
        return cell

    def __del__(self) -> None:
        if self._address:
            self._unmap(self._address, self._size)


class _PythonMap:
    """The same, by way of Python's own map."""

    def __init__(self, fd: int, size: int) -> None:
        untracked = {"trackfd": False} if sys.version_info >= (3, 13) else {}
        self._map = mmap.mmap(fd, size, access=mmap.ACCESS_COPY, **untracked)

    def __len__(self) -> int:
        return len(self._map)

    def cell(self) -> ctypes.Array[ctypes.c_char]:
        """The memory; it keeps the map."""
        return (ctypes.c_char * len(self._map)).from_buffer(self._map)


_by_hand = sys.platform.startswith("linux") and sys.version_info < (3, 13)
PrivateMap = _PrivateMap if _by_hand else _PythonMap
