"""From what people type to a pipeline and a catalog."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import motorpool
from motorpool.catalog import DataCatalog
from motorpool.cli._configuration import SUFFIXES, read_catalog
from motorpool.errors import unknown_names

if TYPE_CHECKING:
    from types import ModuleType


def load_pipeline(target: str) -> tuple[Any, ModuleType]:
    """Find a pipeline.

    Args:
        target: `package.module:attr`, `file.py`, `file.py:attr`, or a folder with `pipeline.py`.

    Returns:
        The pipeline, and the module that it is in.

    Raises:
        click.UsageError: If there is no such thing; says what there is.
    """
    module, attribute = _load(target)
    found = _attribute(module, attribute or "pipeline", target)
    for name in ("nodes", "inputs", "outputs"):
        if not hasattr(found, name):
            raise click.UsageError(
                f"{target}: {attribute or 'pipeline'!r} is a {type(found).__name__}, not a "
                "pipeline."
            )
    return found, module


def load_catalog(reference: str | None, module: ModuleType) -> Any:
    """Find a catalog.

    Args:
        reference: Like a target, with `catalog` as the attribute's default, or a file of YAML;
            None to look for `catalog` in the pipeline's module, which need not have one.
        module: The pipeline's module.

    Raises:
        click.UsageError: If the reference leads nowhere.
    """
    if reference is None:
        catalog = getattr(module, "catalog", None)
        if catalog is None:
            return DataCatalog()
        return _called(catalog, "catalog", module.__name__)
    if Path(reference).suffix in SUFFIXES:
        return read_catalog(Path(reference))
    found_module, attribute = _load(reference)
    return _attribute(found_module, attribute or "catalog", reference)


def _load(target: str) -> tuple[ModuleType, str | None]:
    place, separator, attribute = target.rpartition(":")
    if not separator or (len(place) == 1 and place.isalpha()):  # C:\pipeline.py
        place, attribute = target, ""
    path = Path(place)
    if path.is_dir():
        if not (path / "pipeline.py").is_file():
            raise click.UsageError(f"The folder {place!r} holds no pipeline.py.")
        path /= "pipeline.py"
    if path.is_file() and path.suffix not in SUFFIXES:
        return _load_file(path.resolve()), attribute or None
    if path.suffix in SUFFIXES:
        raise click.UsageError(
            f"{place!r} is no pipeline. A catalog in YAML goes with --catalog, parameters with "
            "--params."
        )
    if path.suffix == ".py" or "/" in place or "\\" in place:
        raise click.UsageError(_no_such_file(path))
    return _load_module(place), attribute or None


def _no_such_file(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"There is no file or folder {str(path)!r}."
    choices = [p.name for p in parent.iterdir() if p.suffix == ".py" or p.is_dir()]
    return unknown_names(f"file or folder in {str(parent)!r} called", [path.name], choices)


def _load_file(path: Path) -> ModuleType:
    """Import a file under its own name, so that workers can import it too."""
    sys.path.insert(0, str(path.parent))
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) != str(path):
        raise click.UsageError(
            f"{path.name} has the name of a module that is loaded already, {path.stem!r}; "
            "rename the file."
        )
    return _import(path.stem)


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise click.UsageError(
            f"There is no module, file or folder {name!r}. A target is package.module:attr, "
            "file.py, file.py:attr, or a folder that holds pipeline.py."
        )
    return _import(name)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        text = f"{name} cannot be imported: {where(error)}"
        if "relative import" in str(error):
            text += ". A file of a package is named as a module: package.module:attr"
        raise click.UsageError(text) from error


def _attribute(module: ModuleType, name: str, target: str) -> Any:
    found = getattr(module, name, None)
    if found is motorpool.pipeline or found is None:
        choices = [key for key, value in vars(module).items() if _may_be_meant(value, module)]
        colon = "" if ":" in target else " Name one with a colon, as in file.py:attr."
        raise click.UsageError(f"{target}: {unknown_names('attribute', [name], choices)}{colon}")
    return _called(found, name, target)


def _may_be_meant(value: Any, module: ModuleType) -> bool:
    """Whether it is a pipeline or a catalog, ours or Kedro's, or a function that may make one."""
    if isinstance(value, type):
        return False
    if hasattr(value, "nodes") or (hasattr(value, "load") and hasattr(value, "__contains__")):
        return True
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _called(found: Any, name: str, target: str) -> Any:
    """Call what has to be called to get the thing itself."""
    if not callable(found):
        return found
    try:
        return found()
    except Exception as error:
        raise click.UsageError(f"{target}: {name}() failed: {where(error)}") from error


def _is_library(filename: str) -> bool:
    folders = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), motorpool.__path__[0])
    return filename.startswith(folders)


def where(error: Exception) -> str:
    """An error in the user's own code, on one line, with its place."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
    own = [f for f in own if not _is_library(f.filename)]
    place = f"{own[-1].filename}, line {own[-1].lineno}: " if own else ""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}, line {error.lineno}: "
    return f"{place}{type(error).__name__}: {error}"
