"""A Kedro project in a worker: configured once, and without a word.

Log records go to the driver, where the project's handlers are; to set them up here as well would
say everything twice.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool._system.imports import is_installed
from motorpool._system.kedro_project import find_project
from motorpool._system.libraries import datasets_in, libraries_in

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOOKS = "kedro.hooks"


@contextmanager
def _quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(level)


with _quiet():
    from kedro.framework import project


def package_name() -> str | None:
    """The package of the project that this process has configured, if any."""
    name: str | None = project.PACKAGE_NAME
    return name


def libraries() -> set[str]:
    """Names of the modules that the project's files, catalogs and plug-ins import."""
    name = package_name()
    spec = None if name is None else find_spec(name)
    if spec is None or spec.origin is None:
        return set()
    package = Path(spec.origin).parent
    project = find_project(package)
    plugins = {entry.module for entry in entry_points(group=_HOOKS)}
    found = libraries_in(package) | {name for name in plugins if is_installed(find_spec(name))}
    return found if project is None else found | datasets_in(project.path)


def configure(package: str) -> None:
    """Configure a project, as `kedro run` has done in the driver.

    Args:
        package: Its package.
    """
    if package_name() != package:
        with _quiet():
            project.configure_project(package)


class HooksOfProject:
    """Stands for hooks that cannot be pickled: each worker takes those of its own project.

    Args:
        index: Which of the project's `settings.HOOKS`.
    """

    def __init__(self, index: int) -> None:
        self._index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return hooks_of_project, (self._index,)


class HooksOfPlugin:
    """Stands for hooks that cannot be pickled, of an installed plug-in.

    Args:
        name: Its entry point's.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return hooks_of_plugin, (self._name,)


def hooks_of_project(index: int) -> Any:
    """The object in a project's settings."""
    return project.settings.HOOKS[index]


def hooks_of_plugin(name: str) -> Any:
    """The object behind an entry point."""
    (found,) = entry_points(group=_HOOKS, name=name)
    return found.load()


def stand_in(plugin: Any) -> Any | None:
    """What leads a worker to hooks of its own, if they are those of a project or a plug-in."""
    for index, hooks in enumerate(project.settings.HOOKS):
        if hooks is plugin:
            return HooksOfProject(index)
    for entry in entry_points(group=_HOOKS):
        if entry.load() is plugin:
            return HooksOfPlugin(entry.name)
    return None
