"""What a node may change for the nodes after it in the same process, and how to put it back.

Working directory, environment, signal handlers, timer, the standard streams, the mask of new
files, and what `sys` says of paths, arguments and recursion. To look at it all takes 6 to 20 us,
which is more than a short node takes. So short nodes of functions that have left nothing before
are looked at together, when their unit ends. It is mended only where it is not as it was.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

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
# After a node that took longer (s), a look is a small part of it.
SHORT = 0.003


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

    def restore(self) -> bool:
        """Put back what nodes have changed, as far as that is possible.

        Returns:
            Whether there was anything.
        """
        try:
            return self._restore()
        except Exception:  # noqa: BLE001, a node that has succeeded has succeeded
            return True

    def _restore(self) -> bool:
        mended = self._restore_interpreter()
        if self._folder is not None and _folder() != self._folder:
            mended = True
            with contextlib.suppress(OSError):
                os.chdir(self._folder)
        if _variables() != self._variables:
            mended = True
            self._restore_variables()
        mended |= self._restore_signals()
        mended |= os.umask(self._mask) != self._mask
        for i, (fd, name, _) in enumerate(_STREAMS):
            stream = self._objects[i]
            same = getattr(sys, name) is stream and not getattr(stream, "closed", False)
            if not same or _identity(fd) != self._files[i]:
                mended = True
                self._restore_stream(i)
        return mended

    def _restore_signals(self) -> bool:
        mended = False
        if list(map(_getsignal, _SIGNALS)) != self._handlers:
            mended = True
            for number, handler in zip(_SIGNALS, self._handlers, strict=True):
                if _getsignal(number) is not handler and handler is not None:
                    signal.signal(number, handler)
        if not self._timer and hasattr(signal, "setitimer"):
            mended |= any(signal.setitimer(signal.ITIMER_REAL, 0))
        return mended

    def _restore_interpreter(self) -> bool:
        changed = sys.path != self._path or sys.argv != self._arguments
        if changed:
            sys.path, sys.argv = list(self._path), list(self._arguments)
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
            return True
        return changed

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


class StateGuard:
    """Has the state restored as often as the functions of a run make it necessary.

    After the first node of each function, after each that took long, after each of a function
    that has ever left something, and after a unit.

    Args:
        state: The state.
    """

    def __init__(self, state: ProcessState) -> None:
        self._state = state
        self._is_tidy: dict[int, bool] = {}
        self._unseen: set[int] = set()  # functions whose last nodes were not looked at

    def after(self, function: int, seconds: float) -> None:
        """A node has ended.

        Args:
            function: The number of its function; -1 for one that is not known by a number.
            seconds: What it took.
        """
        self._unseen.add(function)
        if seconds >= SHORT or function < 0 or not self.is_tidy(function):
            self.look()

    def passed(self, functions: Iterable[int]) -> None:
        """Nodes of functions that are tidy have ended, and none of them took long."""
        self._unseen.update(functions)

    def is_tidy(self, function: int) -> bool:
        """Whether a function has been looked at after, and has never left anything."""
        return self._is_tidy.get(function, False)

    def look(self) -> list[int]:
        """Restore the state, if a node has run since that was done.

        Returns:
            The functions that may have left something.
        """
        if not self._unseen:
            return []
        tidy = not self._state.restore()
        seen = list(self._unseen)
        for function in seen:
            self._is_tidy[function] = tidy and self._is_tidy.get(function, True)
        self._unseen.clear()
        return [] if tidy else seen


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
