"""Process contexts whose workers do not import the user's script again.

With `spawn` and `forkserver`, multiprocessing runs the main module once more in every worker: slow
for a script that loads data, and a RuntimeError for one without an `if __name__ == "__main__"`.
Nodes reach workers by value (cloudpickle, dill), so no worker needs it.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

from motorpool import _process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

StartMethod = Literal["fork", "forkserver", "spawn"]

# What every worker imports; a forkserver that has them starts a worker in 14 ms, not in 350.
_PRELOAD = ["motorpool._worker"]
_KNOWN_METHODS = frozenset({"fork", "forkserver", "spawn"})
_launching = threading.Lock()


def _renew_lock() -> None:
    global _launching  # noqa: PLW0603, a fork happens while it is held, and copies it so
    _launching = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def default_start_method() -> StartMethod:
    """`forkserver` on Linux, `spawn` elsewhere: no fork of a process that has threads."""
    return "forkserver" if sys.platform.startswith("linux") else "spawn"


def worker_context(start_method: StartMethod | None, package: ModuleType = multiprocessing) -> Any:
    """A context for worker processes.

    Args:
        start_method: How to start them; None for the default of the platform.
        package: `multiprocessing`, or a package with the same modules.
    """
    method = start_method or default_start_method()
    context = package.get_context(method)
    process_class = context.Process
    spawn = importlib.import_module(f"{package.__name__}.spawn")
    if method == "forkserver":
        _add_preload(package)

    class WorkerProcess(process_class):  # type: ignore[misc, valid-type]
        """Starts without the main module; pickles as the class that the package knows."""

        def start(self) -> None:
            if method != "fork" and os.name != "nt":
                # It would unblock Ctrl-C when it starts, in the midst of what follows.
                importlib.import_module(f"{package.__name__}.resource_tracker").ensure_running()
            # Until it returns, nobody knows the process and could end it.
            with _process.interrupts_deferred(forking=method == "fork"):
                super().start()

        @staticmethod
        def _Popen(process_obj: Any) -> Any:  # noqa: N802, multiprocessing's name
            with _without_main(spawn):
                return process_class._Popen(process_obj)  # noqa: SLF001, the way it starts

        def __reduce__(self) -> tuple[Any, ...]:
            return object.__new__, (process_class,), self.__dict__

    worker_context_class = type(
        "WorkerContext", (type(context),), {"Process": WorkerProcess, "__module__": __name__}
    )
    return worker_context_class()


@contextlib.contextmanager
def _without_main(spawn: Any) -> Iterator[None]:
    """Leave the main module out of what this thread tells new processes."""
    with _launching:
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

        spawn.get_preparation_data = get_preparation_data
        try:
            yield
        finally:
            spawn.get_preparation_data = original


def _add_preload(package: ModuleType) -> None:
    """Let a forkserver that is not running yet import what every worker needs."""
    forkserver = importlib.import_module(f"{package.__name__}.forkserver")
    server = forkserver._forkserver  # noqa: SLF001, there is no public way to read the list
    modules = list(getattr(server, "_preload_modules", []))
    forkserver.set_forkserver_preload(modules + [m for m in _PRELOAD if m not in modules])
