"""Which libraries a target will import, read from its text: nothing is imported to find out.

So workers can begin to import them while this process does so too.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from motorpool._system.imports import is_installed
from motorpool._system.kedro_project import WORKER_MODULES, project_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATASETS = "kedro_datasets"
# What a catalog of Kedro says of a dataset: module, and name of the class.
_TYPE = re.compile(r"\btype:\s*['\"]?([\w.]+)\.(\w+)")


def libraries_of(target: str) -> set[str]:
    """Names of the modules that the file of a target, and files beside it, import when loaded.

    Args:
        target: As for `load_pipeline`, or a Kedro project; of one that is no file, nothing is
            known.
    """
    project = project_of(target)
    if project is not None:
        return {*WORKER_MODULES, *libraries_in(project.package), *datasets_in(project.path)}
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


def datasets_in(project: Path) -> set[str]:
    """Names of the modules of the classes of kedro-datasets that a project's catalogs name.

    Args:
        project: The folder of a Kedro project; configuration elsewhere is not looked at.
    """
    spec = PathFinder.find_spec(_DATASETS)
    if spec is None or not spec.submodule_search_locations:
        return set()
    root, found = Path(spec.submodule_search_locations[0]), set()
    conf = project / "conf"
    for file in conf.rglob("*.y*ml"):
        if not any(part.startswith("catalog") for part in file.relative_to(conf).parts):
            continue
        with contextlib.suppress(OSError, UnicodeDecodeError):  # Kedro says what is wrong
            for place, name in _TYPE.findall(file.read_text(encoding="utf-8")):
                folder = root / place.removeprefix(f"{_DATASETS}.").replace(".", "/")
                modules = [path.stem for path in folder.glob("*.py")]
                inner = ".".join(folder.relative_to(root).parts)
                found |= {
                    f"{_DATASETS}.{inner}.{module}"
                    for module in modules if module.replace("_", "") == name.lower()
                }  # fmt: skip
    return found


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
