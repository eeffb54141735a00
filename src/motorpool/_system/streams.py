"""Standard streams that outlive their readers, and take any text."""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import Any

_replaced: list[Any] = []  # kept: their descriptors are still in use


class _Forgiving(io.FileIO):
    """Writes to a pipe; once nobody reads it any more, to nowhere."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno(), inheritable=True)
            os.close(nowhere)
            return len(data)


def forgive_closed_pipes(*, line_buffering: bool = False) -> None:
    """Let what is printed be lost when its reader has ended, as `head` does.

    To print is then no error, and a node that does so does not fail.

    Args:
        line_buffering: Whether each line is written at once.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is not io.TextIOWrapper or stream in _replaced or not _is_pipe(stream):
            continue
        stream.flush()
        _replaced.append(stream)
        raw = _Forgiving(stream.fileno(), "w", closefd=False)
        forgiving = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors,
            line_buffering=line_buffering or stream.line_buffering,
            write_through=stream.write_through,
        )  # fmt: skip
        setattr(sys, name, forgiving)
        setattr(sys, f"__{name}__", forgiving)


def take_any_text() -> None:
    """Let characters that a stream cannot write be written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_pipe(stream: io.TextIOWrapper) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # it is closed
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
