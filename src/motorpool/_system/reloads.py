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
from types import FunctionType
from typing import Any, NamedTuple

from motorpool._system.imports import is_a, is_installed

_logger = logging.getLogger("motorpool")
_NOT_USERS = (
    sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"),
    str(Path(__file__).parent.parent),
)  # fmt: skip
_MAIN = ("__main__", "__mp_main__")  # what they define goes with each run
# How far (ns) the time that is given to a file may be behind the clock.
_COARSE = 20_000_000


class _State(NamedTuple):
    """A module at one moment.

    Attributes:
        spec: Its spec; `importlib.reload` makes another one, which is equal.
        file: When its file was written, and its size.
        contents: Marks of what it has, by name. Tools that load a module anew in place, as
            notebooks do, give its functions other code.
    """

    spec: Any
    file: tuple[int, int]
    contents: dict[str, Any]

    def is_loaded_anew(self, name: str) -> bool:
        """Whether the module has been loaded since, again or in place."""
        now = _spec(name)
        if now is None or now is not self.spec:
            return now is not None
        return _written(now.origin) != self.file and _contents(name) != self.contents


# Modules as they were when a pool was last made.
_last_seen: dict[str, _State] = {}
# By executor: one that the user has made may outlive the runner that it is passed to.
_by_executor: weakref.WeakKeyDictionary[Any, LoadedModules] = weakref.WeakKeyDictionary()


class LoadedModules:
    """The user's modules that this process had loaded when a pool was made.

    Args:
        states: These modules.
    """

    def __init__(self, states: dict[str, _State]) -> None:
        self._since = time.time_ns() - _COARSE
        self._states = dict(states)
        self._count = len(sys.modules)

    def reloaded(self) -> list[str]:
        """Names of those that have been loaded again.

        A module that was not there yet counts if its file has been written since the pool was
        made: a worker may have imported it before.
        """
        found = [name for name, state in self._states.items() if state.is_loaded_anew(name)]
        if len(sys.modules) != self._count:
            self._count = len(sys.modules)
            for name, spec in users_specs().items():
                if name not in self._states:
                    self._states[name] = _state(name, spec)
                    if self._states[name].file[0] > self._since:
                        found.append(name)
        return found


def note_modules(executor: Any) -> None:
    """Remember what is loaded, for an executor that is new or seen for the first time."""
    states = _states()
    with contextlib.suppress(TypeError):  # no weak references to it
        if executor not in _by_executor:
            _by_executor[executor] = LoadedModules(states)
    _warn_of_edits(states)


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
        _by_executor[executor] = LoadedModules(_states())
    return names


def _warn_of_edits(states: dict[str, _State]) -> None:
    """Warn of files that were edited, but not reloaded: new workers import them so."""
    for name, now in states.items():
        before = _last_seen.get(name, now)
        if now.file != before.file and not before.is_loaded_anew(name):
            _logger.warning(
                "The file of module %r has been edited since this process imported it: workers "
                "that import it now get the new code. Call importlib.reload on it, or start anew.",
                name,
            )
    _last_seen.update(states)


def _states() -> dict[str, _State]:
    return {name: _state(name, spec) for name, spec in users_specs().items()}


def _state(name: str, spec: Any) -> _State:
    return _State(spec, _written(spec.origin), _contents(name))


def _contents(name: str) -> dict[str, Any]:
    """Marks of what a module has, by name; other ones when it has been loaded in place."""
    found: dict[str, Any] = {}
    for key, value in list(vars(sys.modules[name]).items()):
        found[key] = _mark(value)
        if is_a(value, type) and value.__module__ == name:
            found[key] = [id(value), *map(_mark, list(vars(value).values()))]
    return found


def _mark(value: Any) -> Any:
    """Another one for a function whose code is another, or for another object."""
    if is_a(value, staticmethod, classmethod):
        value = value.__func__
    elif is_a(value, property):
        value = value.fget
    return (id(value), value.__code__) if is_a(value, FunctionType) else id(value)


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
