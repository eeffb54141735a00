"""For pools of processes: contexts whose workers do not import the user's script again.

With `spawn` and `forkserver`, multiprocessing runs the main module once more in every worker: slow
for a script that loads data, and a RuntimeError for one without an `if __name__ == "__main__"`.
Workers get what nodes need of it, so no worker runs it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import multiprocessing
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

from motorpool._system import imports, preload
from motorpool._system.loggers import handlers_held
from motorpool._system.process import interrupts_deferred
from motorpool._system.shutdown import is_running, watch_shutdown
from motorpool._system.starting import environment, interpreter_variables, starting_processes
from motorpool.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

__all__ = [
    "StartMethod", "default_start_method", "interpreter_variables", "interrupts_deferred",
    "is_running", "refuse_frozen", "start_server", "starting_processes", "watch_shutdown",
    "worker_context",
]  # fmt: skip

#: How a process starts.
StartMethod = Literal["fork", "forkserver", "spawn"]

# What every worker imports; a forkserver that has them starts a worker in 14 ms, not in 350. The
# last imports what the pipeline needs.
_PRELOAD = ["motorpool._worker.main", "motorpool._system.preload"]
_KNOWN_METHODS = frozenset({"fork", "forkserver", "spawn"})


def default_start_method() -> StartMethod:
    """`forkserver` on Linux, `spawn` elsewhere: no fork of a process that has threads."""
    return "forkserver" if sys.platform.startswith("linux") else "spawn"


def worker_context(start_method: StartMethod | None, package: ModuleType = multiprocessing) -> Any:
    """A context for worker processes, for a pool that takes one of multiprocessing's.

    Beside leaving the main module alone, it gives workers the environment that this process has
    when they start, defers Ctrl-C while a process starts, and lets the
    server that processes are forked from import what the pipeline needs.

    Args:
        start_method: How to start them; None for the default of the platform.
        package: `multiprocessing`, or a package with the same modules.

    Returns:
        A context of its own, with which nothing else is started.

    Raises:
        BackendError: For another package than multiprocessing in a frozen app.
    """
    if package is not multiprocessing:
        refuse_frozen(package.__name__)
    method = start_method or default_start_method()
    context = package.get_context(method)
    if method == "forkserver":
        _add_preload(package)
    process = _worker_process(context.Process, package, method)
    worker_context_class = type(
        "WorkerContext", (type(context),), {"Process": process, "__module__": __name__}
    )
    return worker_context_class()


def refuse_frozen(library: str) -> None:
    """Raise in a frozen app, such as PyInstaller's, whose executable would run the app again.

    Only multiprocessing has an understanding with the tools that make such apps.

    Args:
        library: What would start the processes.

    Raises:
        BackendError: If this is one.
    """
    if getattr(sys, "frozen", False):
        raise BackendError(
            f"{library} cannot start workers in a frozen app, for its executable is no Python. "
            f"Use a backend on multiprocessing or in this process: direct, process, threads.",
            backend=library,
        )


def _worker_process(process_class: Any, package: ModuleType, method: StartMethod) -> Any:
    """A class of processes like a context's own, which start as workers should."""
    spawn = importlib.import_module(f"{package.__name__}.spawn")

    class WorkerProcess(process_class):  # type: ignore[misc]
        """Starts without the main module; pickles as the class that the package knows."""

        _target: Any

        def start(self) -> None:
            if method != "fork" and os.name != "nt":
                # It would unblock Ctrl-C when it starts, in the midst of what follows.
                importlib.import_module(f"{package.__name__}.resource_tracker").ensure_running()
            if method == "forkserver" and self._target is not None:
                # The server has the environment of the time when it started.
                self._target = functools.partial(_in_environment, environment(), self._target)
            # Until it returns, the process is not known, and could not be ended.
            with _prepared(method, package):
                super().start()

        @staticmethod
        def _Popen(process_obj: Any) -> Any:  # noqa: N802, multiprocessing's name
            with _without_main(spawn):
                return process_class._Popen(process_obj)  # noqa: SLF001, the way it starts

        def __reduce__(self) -> tuple[Any, ...]:
            return object.__new__, (process_class,), self.__dict__

    return WorkerProcess


def _in_environment(
    variables: dict[bytes, bytes], target: Callable[..., None], *args: Any, **kwargs: Any
) -> None:
    """What a worker calls first: have the environment that its driver has."""
    for name in os.environb.keys() - variables.keys():
        del os.environb[name]
    os.environb.update(variables)
    target(*args, **kwargs)


@contextlib.contextmanager
def _without_main(spawn: Any) -> Iterator[None]:
    """Leave the main module out of what this thread sends to new processes.

    One thread at a time, as `starting_processes` sees to.
    """
    original, this_thread = spawn.get_preparation_data, threading.get_ident()

    def get_preparation_data(name: str) -> dict[str, Any]:
        data: dict[str, Any] = original(name)
        if threading.get_ident() == this_thread:
            data.pop("init_main_from_name", None)
            data.pop("init_main_from_path", None)
            if data.get("start_method") not in _KNOWN_METHODS:
                # Inside a worker of loky, whose method means nothing to a bare interpreter.
                data["start_method"] = default_start_method()
        return data

    main = vars(sys.modules["__main__"])
    lacks_spec = "__spec__" not in main
    main.setdefault("__spec__", None)  # it is asked for, and not there under pdb
    spawn.get_preparation_data = get_preparation_data
    try:
        yield
    finally:
        spawn.get_preparation_data = original
        if lacks_spec:
            main.pop("__spec__", None)


def start_server(start_method: StartMethod | None, package: ModuleType = multiprocessing) -> None:
    """Start the process that workers are forked from, if there is to be one; without waiting.

    Args:
        start_method: As for `worker_context`.
        package: Likewise.
    """
    if (start_method or default_start_method()) != "forkserver":
        return
    _add_preload(package)
    forkserver, spawn, tracker = (
        importlib.import_module(f"{package.__name__}.{name}")
        for name in ("forkserver", "spawn", "resource_tracker")
    )
    tracker.ensure_running()
    with _prepared("forkserver", package), _without_main(spawn):
        forkserver.ensure_running()


@contextlib.contextmanager
def _prepared(method: StartMethod, package: ModuleType) -> Iterator[None]:
    """What holds while a process starts."""
    if method == "forkserver":
        _forget_server_of_parent(package)
    with (
        starting_processes(package.__name__),
        interrupts_deferred(forking=method == "fork"),
        handlers_held(forking=method == "fork"),
        _telling(method),
    ):
        yield


def _forget_server_of_parent(package: ModuleType) -> None:
    """Let a process that was forked have a server of its own: the other is not its to wait for."""
    server = importlib.import_module(f"{package.__name__}.forkserver")._forkserver  # noqa: SLF001
    pid = getattr(server, "_forkserver_pid", None)
    if pid is None or not hasattr(os, "waitid"):
        return
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        os.close(server._forkserver_alive_fd)  # noqa: SLF001
        server._forkserver_pid = server._forkserver_alive_fd = None  # noqa: SLF001
        server._forkserver_address = None  # noqa: SLF001


@contextlib.contextmanager
def _telling(method: str) -> Iterator[None]:
    """Let a forkserver that is started now know what the pipeline needs."""
    if method != "forkserver":
        yield
        return
    wanted = [] if preload.is_off() else imports.needed()
    os.environ[preload.VARIABLE] = json.dumps([wanted, sys.path])
    try:
        yield
    finally:
        os.environ.pop(preload.VARIABLE, None)


def _add_preload(package: ModuleType) -> None:
    """Let a forkserver that is not running yet import what every worker needs."""
    forkserver = importlib.import_module(f"{package.__name__}.forkserver")
    server = forkserver._forkserver  # noqa: SLF001, there is no public way to read the list
    modules = list(getattr(server, "_preload_modules", []))
    forkserver.set_forkserver_preload(modules + [m for m in _PRELOAD if m not in modules])
