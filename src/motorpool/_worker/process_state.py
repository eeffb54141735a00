"""What a node may change for the nodes after it in the same process, and how to put it back.

Working directory, environment, signal handlers, timer, the standard streams, the mask of new
files, and what `sys` says of paths, arguments and recursion. All of it is looked at after each
node, which takes 6 us, and mended only where it is not as it was.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import signal
import sys
from typing import Any

_SIGNALS = [
    getattr(signal, name)
    for name in (
        "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGCHLD", "SIGPIPE", "SIGUSR1",
        "SIGUSR2",
    )
    if hasattr(signal, name)
]  # fmt: skip
# The public one makes an enum of the answer, which takes ten times as long.
_getsignal = _signal.getsignal
_STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


class ProcessState:
    """The state of this process that each node finds when it begins."""

    def __init__(self) -> None:
        self._spares: list[int] = []
        self._modules = 0
        self.capture()

    def capture(self) -> None:
        """Take the present state as the one to restore."""
        for fd in self._spares:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._spares = [_spare(fd) for fd, _, _ in _STREAMS]
        self._files = [_identity(fd) for fd, _, _ in _STREAMS]
        self._objects = [getattr(sys, name) for _, name, _ in _STREAMS]
        self._folder = _folder()
        self._variables = dict(_variables())
        self._handlers = [_getsignal(number) for number in _SIGNALS]
        self._timer = hasattr(signal, "getitimer") and any(signal.getitimer(signal.ITIMER_REAL))
        self._mask = _mask()
        self._path, self._arguments = list(sys.path), list(sys.argv)
        self._recursion = sys.getrecursionlimit()
        self._modules = len(sys.modules)

    def capture_imports(self) -> bool:
        """Capture the state if modules have been imported, whose changes are meant for all nodes.

        Returns:
            Whether it was captured.
        """
        if len(sys.modules) == self._modules:
            return False
        self.capture()
        return True

    def restore(self) -> None:
        """Put back what a node has changed, as far as that is possible."""
        try:  # noqa: SIM105, at each node
            self._restore()
        except Exception:  # noqa: BLE001, S110, a node that has succeeded has succeeded
            pass

    def _restore(self) -> None:
        if _folder() != self._folder and self._folder is not None:
            with contextlib.suppress(OSError):
                os.chdir(self._folder)
        if _variables() != self._variables:
            self._restore_variables()
        if list(map(_getsignal, _SIGNALS)) != self._handlers:
            for number, handler in zip(_SIGNALS, self._handlers, strict=True):
                if _getsignal(number) is not handler and handler is not None:
                    signal.signal(number, handler)
        if not self._timer and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        os.umask(self._mask)
        for i, (fd, name, _) in enumerate(_STREAMS):
            stream = self._objects[i]
            same = getattr(sys, name) is stream and not getattr(stream, "closed", False)
            if not same or _identity(fd) != self._files[i]:
                self._restore_stream(i)
        self._restore_interpreter()

    def _restore_interpreter(self) -> None:
        if sys.path != self._path:
            sys.path = list(self._path)
        if sys.argv != self._arguments:
            sys.argv = list(self._arguments)
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)

    def _restore_variables(self) -> None:
        wanted = {_text(name): _text(value) for name, value in self._variables.items()}
        for name in [n for n in os.environ if n not in wanted]:
            del os.environ[name]
        for name, value in wanted.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    def _restore_stream(self, index: int) -> None:
        fd, name, mode = _STREAMS[index]
        if _identity(fd) != self._files[index]:
            try:
                os.dup2(self._spares[index], fd, inheritable=True)
            except OSError:  # the spare is closed as well
                null = os.open(os.devnull, os.O_RDWR)
                if null != fd:
                    os.dup2(null, fd, inheritable=True)
                    os.close(null)
            self._files[index] = _identity(fd)
        stream = self._objects[index]
        if getattr(stream, "closed", False):
            stream = open(fd, mode, buffering=1, closefd=False)  # noqa: SIM115, it stays
            self._objects[index] = stream
        if getattr(sys, name) is not stream:
            setattr(sys, name, stream)


def _mask() -> int:
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return mask


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109, a Path costs more
    except OSError:  # it was removed
        return None


def _variables() -> Any:
    """The environment as it is kept; decoding it for each node would take 20 us."""
    return getattr(os.environ, "_data", os.environ)


def _text(value: Any) -> str:
    return os.fsdecode(value)


def _spare(fd: int) -> int:
    try:
        return os.dup(fd)
    except OSError:
        return os.open(os.devnull, os.O_RDWR)


def _identity(fd: int) -> tuple[int, int] | None:
    """Which file a descriptor leads to."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
