"""What CPython and the kernel know of memory: where it is, and whether it was written to."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
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
    call = ctypes.CDLL(None, use_errno=True).mmap
    call.restype = ctypes.c_void_p
    call.argtypes = (
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    )  # fmt: skip
    if call(start, nbytes, protection, mmap.MAP_PRIVATE | fixed, fd, 0) != start:
        raise OSError(ctypes.get_errno(), "cannot make an allocated array private")


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
