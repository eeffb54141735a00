"""Modules whose files Python would not find by name: loaded from a path, or by a test runner.

Workers are told where they are, so that what they define can go there by name as well.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool._system.reloads import users_specs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What has been looked for, by name: the specs, and where they are to be looked for.
_looked_for: dict[str, tuple[Any, bool]] = {}
_state: list[Any] = []
_misplaced: dict[str, Place] = {}

# The file of a module, None for a namespace; and where its parts are, None if it has none.
Place = tuple[str | None, list[str] | None]


def misplaced_modules() -> dict[str, Place]:
    """The user's modules that are not where `sys.path` and their packages say."""
    state = [len(sys.modules), *sys.path]
    if state != _state:
        if state[1:] != _state[1:]:
            _looked_for.clear()
        _state[:] = state
        _misplaced.clear()
        for name, spec in users_specs().items():
            known, found = _looked_for.get(name, (None, False))
            if known is not spec:
                found = _is_found(name, spec)
                _looked_for[name] = spec, found
            if not found:
                _add(name, spec)
    return dict(_misplaced)


def _is_found(name: str, spec: Any) -> bool:
    package = name.rpartition(".")[0]
    path = None
    if package:
        module = sys.modules.get(package)
        path = getattr(module, "__path__", None)
        if path is None or not _is_found(package, getattr(module, "__spec__", None)):
            return False
    try:
        found = PathFinder.find_spec(name, path)
    except Exception:  # noqa: BLE001, a path may hold what is no text
        found = None
    return found is not None and _place(found) == _place(spec)


def _add(name: str, spec: Any) -> None:
    """Add a module, and the packages that it is in: Python imports these first."""
    if not Path(spec.origin).is_file():
        return
    _misplaced[name] = _place(spec)
    while name := name.rpartition(".")[0]:
        module = sys.modules.get(name)
        _misplaced[name] = _place(getattr(module, "__spec__", None))


def _place(spec: Any) -> Place:
    parts = getattr(spec, "submodule_search_locations", None)
    return getattr(spec, "origin", None), None if parts is None else list(map(str, parts))


class _Finder:
    """Finds modules by the files that the driver has them from."""

    def __init__(self) -> None:
        self.places: Mapping[str, Place] = {}

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: Any = None
    ) -> ModuleSpec | None:
        """Find a module that was misplaced."""
        if name not in self.places:
            return None
        file, parts = self.places[name]
        if file is not None:
            if not os.path.isfile(file):  # noqa: PTH113, as short; another host may have its own
                return None
            return spec_from_file_location(name, file, submodule_search_locations=parts)
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = parts or []
        return spec


_finder = _Finder()


def apply_places(places: Mapping[str, Place]) -> None:
    """Let this process find modules where they are."""
    _finder.places = places
    if places and _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
