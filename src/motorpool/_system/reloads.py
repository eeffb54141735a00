"""Which of the user's modules this process has loaded again since a pool of workers was made.

Workers that have imported such a module go on running its old code. The modules of Python and of
what is installed are not looked at.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import sysconfig
import time
import weakref
from pathlib import Path
from typing import Any

from motorpool._system.imports import is_installed

_logger = logging.getLogger("motorpool")
_NOT_USERS = (
    sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"),
    str(Path(__file__).parent.parent),
)  # fmt: skip
_MAIN = ("__main__", "__mp_main__")  # what they define goes with each run
# How far (ns) the time that is given to a file may be behind the clock.
_COARSE = 20_000_000

# Specs and files of modules as they were when a pool was last made.
_last_seen: dict[str, tuple[Any, Any]] = {}
# By executor: one that the user has made may outlive the runner that it is passed to.
_by_executor: weakref.WeakKeyDictionary[Any, LoadedModules] = weakref.WeakKeyDictionary()


class LoadedModules:
    """The user's modules that this process had loaded when a pool was made."""

    def __init__(self) -> None:
        self._since = time.time_ns() - _COARSE
        self._specs = users_specs()
        self._count = len(sys.modules)

    def reloaded(self) -> list[str]:
        """Names of those that have been loaded again, by `importlib.reload` or anew.

        A module that was not there yet counts if its file has been written since the pool was
        made: a worker may have imported it before.
        """
        # A reload makes another spec, which is equal to the one before.
        found = [
            name for name, spec in self._specs.items()
            if (now := _spec(name)) is not spec and now is not None
        ]  # fmt: skip
        if len(sys.modules) != self._count:
            self._count = len(sys.modules)
            for name, spec in users_specs().items():
                if name not in self._specs:
                    self._specs[name] = spec
                    if _written(spec.origin)[0] > self._since:
                        found.append(name)
        return found


def note_modules(executor: Any) -> None:
    """Remember what is loaded, for an executor that is new or seen for the first time."""
    with contextlib.suppress(TypeError):  # no weak references to it
        if executor not in _by_executor:
            _by_executor[executor] = LoadedModules()
    _warn_of_edits()


def reloaded_since(executor: Any) -> list[str]:
    """Names of the user's modules that were loaded again since an executor was noted.

    They are told once.
    """
    loaded = None
    with contextlib.suppress(TypeError):
        loaded = _by_executor.get(executor)
    if loaded is None:
        return []
    names = loaded.reloaded()
    if names:
        _by_executor[executor] = LoadedModules()
    return names


def _warn_of_edits() -> None:
    """Warn of files that were edited, but not reloaded: new workers import them so."""
    for name, spec in users_specs().items():
        file = _written(spec.origin)
        known, before = _last_seen.get(name, (None, None))
        _last_seen[name] = spec, file
        if known is spec and before != file:
            _logger.warning(
                "The file of module %r has been edited since this process imported it: workers "
                "that import it now get the new code. Call importlib.reload on it, or start anew.",
                name,
            )


def users_specs() -> dict[str, Any]:
    """The specs of the user's modules that this process has, by name."""
    specs = {name: _spec(name) for name in list(sys.modules) if name not in _MAIN}
    return {name: spec for name, spec in specs.items() if spec is not None and _is_users(spec)}


def _spec(name: str) -> Any:
    return getattr(sys.modules.get(name), "__spec__", None)


def _is_users(spec: Any) -> bool:
    if not getattr(spec, "has_location", False) or not isinstance(spec.origin, str):
        return False
    return not is_installed(spec) and not spec.origin.startswith(_NOT_USERS)


def _written(path: str) -> tuple[int, int]:
    """When a file was written (ns) and its size; zeros if it is not there."""
    try:
        status = os.stat(path)  # noqa: PTH116, for each module
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
