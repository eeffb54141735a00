"""Which libraries a target will import, read from its text: nothing is imported to find out.

So workers can begin to import them while this process does so too.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from motorpool._system.imports import is_installed
from motorpool._system.kedro_project import WORKER_MODULES, project_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def libraries_of(target: str) -> set[str]:
    """Names of the modules that the file of a target, and files beside it, import when loaded.

    Args:
        target: As for `load_pipeline`, or a Kedro project; of one that is no file, nothing is
            known.
    """
    project = project_of(target)
    if project is not None:
        return libraries_in(project.package).union(WORKER_MODULES)
    place, separator, _ = target.rpartition(":")
    path = Path(place if separator else target)
    path = path / "pipeline.py" if path.is_dir() else path
    if not path.exists():
        path = Path(*(place if separator else target).split(".")).with_suffix(".py")
    found: set[str] = set()
    todo, seen = [path], set()
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for name in _imported_by(path):
            top = name.partition(".")[0]
            todo += [path.parent / f"{top}.py", path.parent / top / "__init__.py"]
            if _is_library(top):
                found.add(name)
    return found


def libraries_in(folder: Path) -> set[str]:
    """Names of the modules that the files of a Kedro project's package import when loaded.

    Kedro's own are not among them: some set logging up, which is the driver's to do.

    Args:
        folder: The package.
    """
    names = {name for path in folder.rglob("*.py") for name in _imported_by(path)}
    tops = {name: name.partition(".")[0] for name in names}
    return {name for name, top in tops.items() if top != "kedro" and _is_library(top)}


def _imported_by(path: Path) -> Iterator[str]:
    """Modules that a file imports whenever it is imported itself."""
    todo: list[ast.AST] = []
    with contextlib.suppress(OSError, ValueError, SyntaxError):  # its import will say so
        todo.append(ast.parse(path.read_bytes()))
    while todo:
        part = todo.pop()
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            if part.module and not part.level:
                yield part.module
        elif not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            of_types = isinstance(part, ast.If) and "TYPE_CHECKING" in ast.unparse(part.test)
            todo += [] if of_types else ast.iter_child_nodes(part)


def _is_library(top: str) -> bool:
    if top in sys.stdlib_module_names or top == "motorpool":
        return False
    spec = PathFinder.find_spec(top)
    return spec is not None and is_installed(spec)
