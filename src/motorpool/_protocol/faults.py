"""The last words of a worker that dies of a signal, as faulthandler writes them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1])
_SUFFIX = ".fault"
# A stack overflow has a thousand frames, all alike.
_MOST_LINES = 20


class FaultWriter:
    """Lets faulthandler write to a file of the run that this worker is working for."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._file: int | None = None

    def point_to(self, folder: Path | None) -> None:
        """Choose the folder for what follows; None leaves things as they are."""
        if folder is None or folder == self._folder:
            return
        # The second where the worker is an interpreter beside others in one process.
        with contextlib.suppress(OSError, ImportError):
            import faulthandler  # noqa: PLC0415, see above

            path = folder / f"{os.getpid()}{_SUFFIX}"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            faulthandler.enable(file)
            if self._file is not None:
                os.close(self._file)
            self._folder, self._file = folder, file


def last_words(folder: Path, pid: int) -> str:
    """What a dead worker has written: the fault, and where in the node's own code it was."""
    try:
        lines = (folder / f"{pid}{_SUFFIX}").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    head = lines[:1]
    start = next((i for i, line in enumerate(lines) if line.startswith("Current thread")), None)
    if start is None:
        return "\n".join(head)
    stack = []
    for line in lines[start + 1 :]:
        if not line.startswith("  ") or _PACKAGE in line:
            break
        stack.append(line)
    return "\n".join([*head, *stack[:_MOST_LINES]])
