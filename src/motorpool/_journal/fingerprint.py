"""What a function does, as a short text that changes when its code does."""

from __future__ import annotations

import functools
import hashlib
import inspect
from types import CodeType
from typing import Any


def code_hash(func: Any) -> str:
    """A hash of a function's own code; of what it calls, nothing is known.

    Returns:
        16 hexadecimal digits, or an empty text for what has no code of its own.
    """
    while isinstance(func, functools.partial):
        func = func.func
    code = getattr(inspect.unwrap(func), "__code__", None)
    if code is None:
        code = getattr(inspect.getattr_static(type(func), "__call__", None), "__code__", None)
    if code is None:
        return ""
    digest = hashlib.sha256()
    _feed(digest, code)
    return digest.hexdigest()[:16]


def _feed(digest: Any, code: CodeType) -> None:
    digest.update(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _feed(digest, constant)
        elif isinstance(constant, frozenset):  # whose order changes from process to process
            digest.update(repr(sorted(map(repr, constant))).encode())
        else:
            digest.update(repr(constant).encode())
