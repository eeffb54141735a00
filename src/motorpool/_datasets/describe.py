"""What to say of a value or a dataset in a few words, without loading anything."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import Any

from motorpool._datasets.contract import is_ephemeral

# Their text is theirs to begin with; that of others may be long, and run any code.
_SHOWN = (bool, int, float, complex, str, bytes, type(None))
_COUNTED = (list, tuple, dict, set, frozenset)
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")")}
_LONGEST = 60
_MOST = 6
# Where datasets of all kinds keep what they read and write.
_PLACES = ("filepath", "path", "_filepath", "_path", "_filename", "filename")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000


def describe(value: Any) -> str:
    """A value's type and, as far as they are at hand, shape, element type, or text.

    Such as "DataFrame 1,000 x 3", "ndarray 10 x 10 float64", "list of 3: [1, 2, 3]", "int 5".
    """
    kind = type(value).__name__
    try:
        if type(value) in _SHOWN:
            return f"{kind} {_text(value)}"
        if type(value) in _COUNTED:
            items = _items(value)
            return f"{kind} of {len(value):,}" + (f": {items}" if items else "")
        shape, element = getattr(value, "shape", None), getattr(value, "dtype", None)
        parts = [kind]
        if isinstance(shape, tuple) and shape and all(isinstance(n, int) for n in shape):
            parts.append(" x ".join(f"{n:,}" for n in shape))
        if element is not None and isinstance(shape, tuple):
            parts.append(str(element))
        return " ".join(parts)
    except Exception:  # noqa: BLE001, code of the value's own
        return kind


def size_of(value: Any) -> int | None:
    """Bytes that the data of an array or a table take, if it says so; else None."""
    with contextlib.suppress(Exception):  # code of the value's own
        for name in ("nbytes", "estimated_size", "memory_usage"):
            found = getattr(value, name, None)
            found = found() if callable(found) else found
            if found is not None:
                return int(found.sum() if hasattr(found, "sum") else found)
    return None


def with_size(text: str, nbytes: int | None) -> str:
    """A description, with the size if that is worth a word."""
    return text if nbytes is None or nbytes < _STEP else f"{text}, {bytes_of(nbytes)}"


def place_of(dataset: Any) -> str:
    """Where a dataset keeps its data, and how many bytes these take, as far as that is known."""
    kind = type(dataset).__name__
    for name in _PLACES:
        place = getattr(dataset, name, None)
        if place and (isinstance(place, str | os.PathLike) or type(place).__name__ == "UPath"):
            text = shown_path(str(place))
            if os.path.isfile(place):  # noqa: PTH113, a path may be of any kind
                text += f", {bytes_of(os.path.getsize(place))}"  # noqa: PTH202, as above
            return f"{text} ({kind})"
    return f"a {kind}"


def describe_dataset(dataset: Any) -> str:
    """Where the data are, and what: "list of 3: [1, 2, 3], in memory"; "out/a.csv, 6 B (CSV)"."""
    if not is_ephemeral(dataset):
        return place_of(dataset)
    about = getattr(dataset, "about", None)
    return f"{about() if callable(about) else f'a {type(dataset).__name__}'}, in memory"


def shown_path(path: str) -> str:
    """A path as short as it can be written, from the working directory."""
    here = os.getcwd() + os.sep  # noqa: PTH109, pathlib takes 6 ms
    return path.removeprefix(here)


def bytes_of(nbytes: float) -> str:
    """A number of bytes as people read it: "24 kB"."""
    units = iter(_UNITS)
    while nbytes >= _STEP:
        nbytes /= _STEP
        next(units)
    return f"{nbytes:.3g} {next(units)}"


def _text(value: Any) -> str:
    """A value of `_SHOWN` as text; of one that is long, only the beginning is looked at."""
    return _cut(repr(value[: _LONGEST + 1] if isinstance(value, str | bytes) else value))


def _items(value: Any) -> str:
    """The first items of a container; empty if there are none, or one is of another type."""
    some = list(itertools.islice(value.items() if type(value) is dict else value, _MOST))
    parts = [item for pair in some for item in pair] if type(value) is dict else some
    if not parts or any(type(part) not in _SHOWN for part in parts):
        return ""
    if type(value) is dict:
        texts = [f"{_text(key)}: {_text(item)}" for key, item in some]
    else:
        texts = list(map(_text, some))
    start, end = _BRACKETS.get(type(value), ("{", "}"))
    return _cut(start + ", ".join([*texts, *["..."] * (len(value) > _MOST)]) + end)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
