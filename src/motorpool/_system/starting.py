"""Lets a process start others where multiprocessing would refuse, or stumble.

A daemonic process, as a worker of a task queue is; one without standard streams, as a service is;
one whose temporary directory has a long path, as on clusters, or whose working directory is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import shutil
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

# A socket's path has at most 107 characters (103 on macOS), of which multiprocessing's own names
# take 32.
_LONGEST = 103 - 32
_SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108, a directory of one's own is made there
_lock = threading.RLock()
# With this, `hash` gives the same for texts in all processes that are started; else each draws
# lots, and two nodes that share data out by it could not agree.
_SEED = "PYTHONHASHSEED"
_lent = False
_FLAGS = {
    "optimize": "PYTHONOPTIMIZE", "dev_mode": "PYTHONDEVMODE", "utf8_mode": "PYTHONUTF8",
    "no_user_site": "PYTHONNOUSERSITE", "safe_path": "PYTHONSAFEPATH",
}  # fmt: skip
_WARNINGS = "PYTHONWARNINGS"
_seed = os.environ.get(_SEED) or str(secrets.randbelow(2**32 - 1) + 1)


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603, a fork happens while it is held, and copies it so
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextlib.contextmanager
def starting_processes(package: str = "multiprocessing") -> Iterator[None]:
    """Remove the obstacles for as long as processes are being started, by one thread at a time.

    Workers end with this process however it ends, so a daemonic one may have them.

    Args:
        package: `multiprocessing`, or a package with the same modules.
    """
    config = importlib.import_module(f"{package}.process").current_process()._config  # noqa: SLF001
    with _lock, contextlib.ExitStack() as stack:
        if config.get("daemon"):
            config["daemon"] = False
            stack.callback(config.update, daemon=True)
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:
                stream = stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123, a device
                setattr(sys, name, stream)
                stack.callback(setattr, sys, name, None)
        if _SEED not in os.environ:  # multiprocessing passes options on by itself
            stack.enter_context(_lending_seed())
        if os.name == "posix":
            stack.enter_context(_in_a_folder())
            if config.get("tempdir") is None:
                _shorten(package, config)
        yield


@contextlib.contextmanager
def _lending_seed() -> Iterator[None]:
    """Have the seed in the environment, from which `environment` leaves it out."""
    global _lent  # noqa: PLW0603, there is one environment
    _lent = True
    os.environ[_SEED] = _seed
    try:
        yield
    finally:
        os.environ.pop(_SEED, None)
        _lent = False


def environment() -> dict[Any, Any]:
    """The environment of this process as the system has it, so in bytes on POSIX.

    Without what only processes that are being started should get, perhaps in another thread.
    """
    found = dict(getattr(os.environ, "_data", os.environ))  # a tenth of the time
    if _lent:
        for name in (_SEED, os.fsencode(_SEED)):
            found.pop(name, None)
    return found


def interpreter_variables() -> dict[str, str]:
    """Variables with which another interpreter is as this one, for pools that start it bare.

    They have the effect of options such as -O, -W and -X dev; and of the seed of `hash`. Workers
    take them out of their environment.
    """
    found = {v: str(int(getattr(sys.flags, flag))) for flag, v in _FLAGS.items()}
    found = {variable: value for variable, value in found.items() if value != "0"}
    if sys.warnoptions:
        found[_WARNINGS] = ",".join(sys.warnoptions)
    return {_SEED: _seed} | found


def hide_variables(wanted: Container[Any]) -> None:
    """Take what has started this process out of its environment, which is the driver's.

    Args:
        wanted: The driver's variables, as the system has them.
    """
    for name in (_SEED, _WARNINGS, *_FLAGS.values()):
        if name not in wanted and os.fsencode(name) not in wanted:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _in_a_folder() -> Iterator[None]:
    """Be in the root folder if the working directory is gone: new processes look for theirs."""
    try:
        os.getcwd()  # noqa: PTH109, a Path costs more
    except OSError:
        gone = os.open(".", os.O_RDONLY)
        try:
            os.chdir("/")
            yield
        finally:
            os.fchdir(gone)
            os.close(gone)
    else:
        yield


def occupy_standard_descriptors() -> None:
    """Open the null device for each of descriptors 0 to 2 that is closed.

    Else the next files and pipes get these numbers, and what prints writes to them.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null == fd:
                os.set_inheritable(fd, True)
            else:
                os.dup2(null, fd)
                os.close(null)


def _shorten(package: str, config: dict[str, Any]) -> None:
    """Let sockets be in a directory with a short path, if they would have too long a one."""
    if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST:
        return
    for parent in _SHORT:
        with contextlib.suppress(OSError):
            folder = tempfile.mkdtemp(prefix="pymp-", dir=parent)
            util = importlib.import_module(f"{package}.util")
            util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-100)
            config["tempdir"] = folder
            return
