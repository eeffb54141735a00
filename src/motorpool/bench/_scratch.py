"""Lets a pipeline write into a folder of its own instead of over what its last run has left."""

from __future__ import annotations

import copy
import functools
import hashlib
import os
from pathlib import Path, PurePath
from typing import Any

from motorpool._datasets.contract import is_dataset, is_ephemeral

# What datasets on file systems other than the machine's say of it.
_LOCAL = frozenset({None, "", "file", "local"})
_NAMES = frozenset({"filepath", "path", "filename"})
# How far into a dataset to look for a path that it has twice.
_DEEPEST = 4


class Scratch:
    """A folder in place of the files that a pipeline's datasets write to.

    Two datasets of one file, as in Kedro's transcoding, have one file there as well.

    Args:
        folder: The folder; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, Path] = {}

    def moved(self, dataset: Any) -> Any | None:
        """A copy of a dataset that keeps its data in the folder; None if that cannot be done.

        It can if the dataset has the path of its file or folder as an attribute of its own, as
        those of Motorpool and nearly all of Kedro's have, and the path shows nowhere else in it.
        """
        try:
            return self._moved(dataset)
        except Exception:  # noqa: BLE001, whatever a dataset's own code raises
            return None

    def _moved(self, dataset: Any) -> Any | None:
        if any(getattr(dataset, n, None) not in _LOCAL for n in ("_protocol", "protocol")):
            return None
        found, attributes = copy.copy(dataset), _attributes(dataset)
        places = {
            str(value): self._place(str(value))
            for name, value in attributes.items()
            if name.strip("_") in _NAMES and _is_path(value)
        }
        inner = _inner(dataset)
        for name, value in attributes.items():
            wraps = any(value is each for each in inner)
            new = self.moved(value) if wraps else _replaced(name, value, places)
            if new is None and value is not None:
                return None
            if new is not value:
                object.__setattr__(found, name, new)
        return found if (places or inner) and not _mentions(found, places) else None

    def _place(self, path: str) -> Path:
        whole = os.path.realpath(path)
        if whole not in self._places:
            place = self._folder / str(len(self._places)) / Path(whole).name
            place.parent.mkdir(parents=True, exist_ok=True)
            self._places[whole] = place
        return self._places[whole]


def _attributes(dataset: Any) -> dict[str, Any]:
    slots = [name for kind in type(dataset).__mro__ for name in getattr(kind, "__slots__", ())]
    found = {name: getattr(dataset, name) for name in slots if hasattr(dataset, name)}
    return found | getattr(dataset, "__dict__", {})


def _inner(dataset: Any) -> list[Any]:
    """The datasets that one keeps its data in, as a cache does that passes for ephemeral."""
    return [v for v in _attributes(dataset).values() if is_dataset(v) and not is_ephemeral(v)]


def _is_path(value: Any) -> bool:
    return isinstance(value, str | PurePath) and bool(str(value)) and "://" not in str(value)


def _replaced(name: Any, value: Any, places: dict[str, Path]) -> Any:
    """A value with other paths, also within dicts; the same object if none is in it.

    Args:
        name: Of the attribute, or the key in a dict; that of a path says that it is one.
        value: The value.
        places: New paths by old ones.
    """
    if type(value) is dict:
        new = {key: _replaced(key, item, places) for key, item in value.items()}
        return new if any(new[key] is not value[key] for key in new) else value
    if not _is_path(value) or str(name).strip("_") not in _NAMES or str(value) not in places:
        return value
    place = places[str(value)]
    return str(place) if isinstance(value, str) else type(value)(str(place))


def _mentions(value: Any, places: dict[str, Path], depth: int = 0) -> bool:
    """Whether a dataset has one of these paths where it could not be replaced."""
    if _is_path(value):
        return any(str(value) == old or str(value).startswith(old + os.sep) for old in places)
    if depth == _DEEPEST:
        return False
    if isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    elif isinstance(value, functools.partial):
        parts = [value.func, value.args, value.keywords]
    else:
        parts = [getattr(value, "__self__", None), *_attributes(value).values()]
    return any(_mentions(part, places, depth + 1) for part in parts)


def digest_of_files(dataset: Any) -> str | None:
    """A digest of what a dataset has written; None if it is not known where that is."""
    paths = [v for n, v in _attributes(dataset).items() if n.strip("_") in _NAMES and _is_path(v)]
    if not paths:
        return None
    root = Path(str(paths[0]))
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    found = hashlib.blake2b(digest_size=16)
    for file in files:
        found.update(os.fsencode(file.name))  # folders may be named after the time
        with file.open("rb") as opened:
            found.update(hashlib.file_digest(opened, "blake2b").digest())
    return found.hexdigest() if files else None


def in_scratch(pipeline: Any, catalog: Any, folder: Path) -> tuple[Any, list[str]]:
    """Let all that a pipeline writes go into a folder.

    Args:
        pipeline: The pipeline.
        catalog: What its datasets are looked up in, name by name; not changed.
        folder: Where files go.

    Returns:
        A catalog to run it with, and what cannot go there: name and class, for people.
    """
    scratch, refused = Scratch(folder), []
    used = {name for node in pipeline.nodes for name in (*node.inputs, *node.outputs)}
    confirmed = {n for node in pipeline.nodes for n in getattr(node, "confirms", None) or ()}
    written = used - set(pipeline.inputs())
    found = {name: catalog.get(name) for name in sorted(used | confirmed) if name in catalog}
    for name in written | confirmed:
        dataset = found.get(name)
        if not is_dataset(dataset) or (is_ephemeral(dataset) and not _inner(dataset)):
            continue
        # What is only read has to stay where it is, and so has what it notes down when confirmed.
        moved = scratch.moved(dataset) if name in written else None
        if moved is None:
            refused.append(f"{name} ({type(dataset).__name__})")
        else:
            found[name] = moved
    return found, sorted(refused)
