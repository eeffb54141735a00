"""A dataset in memory."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal

from motorpool._datasets.contract import Dataset
from motorpool._datasets.describe import describe, size_of, with_size
from motorpool._system.exceptions import add_note
from motorpool.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable

CopyMode = Literal["assign", "copy", "deepcopy"]

_EMPTY = object()
# How to copy what people pass around most; everything else is deep-copied. Same as Kedro's rule:
# a table's own copy is deep where it matters, and lazy or immutable tables need none.
_COPY_MODES: dict[str, CopyMode] = {
    "numpy": "copy",
    "pandas": "copy",
    "dask": "assign",
    "duckdb": "assign",
    "ibis": "assign",
    "multiprocessing": "assign",  # what a manager serves is there for all; Kedro copies it
    "multiprocess": "assign",
    "polars": "assign",
    "pyarrow": "assign",
    "pyspark": "assign",
}


class MemoryDataset(Dataset):
    """Keeps a value in memory.

    Args:
        data: The value; may be left out and saved later.
        copy_mode: What a reader gets: the same object ("assign"), a shallow copy ("copy") or a
            deep one ("deepcopy"). By default arrays and pandas tables are copied, lazy and
            immutable tables assigned, everything else deep-copied.

    Raises:
        DatasetError: If the copy mode is none of these.
    """

    _EPHEMERAL = True

    def __init__(self, data: Any = _EMPTY, *, copy_mode: CopyMode | None = None) -> None:
        if copy_mode is not None and copy_mode not in {"assign", "copy", "deepcopy"}:
            raise DatasetError(
                f"The copy mode {copy_mode!r} is unknown: use 'assign', 'copy' or 'deepcopy'."
            )
        self._copy_mode = copy_mode
        self._data = data
        self._source: Callable[[], Any] | None = None
        self._about = ""

    def load(self) -> Any:
        """Return the value, or a copy of it, as the copy mode says.

        Raises:
            DatasetError: If nothing was saved yet, or it was released.
        """
        if self._source is not None:
            return self._source()
        if self._data is _EMPTY:
            raise DatasetError("This in-memory dataset holds no data; save something first.")
        return self._copied(self._data)

    def save(self, data: Any) -> None:
        """Keep the value, or a copy of it, as the copy mode says.

        Raises:
            DatasetError: If the value is None.
        """
        if data is None:
            raise DatasetError("None cannot be saved; let the node return a value.")
        self._data, self._source = self._copied(data), None

    def exists(self) -> bool:
        """Whether there is something to load."""
        return self._source is not None or self._data is not _EMPTY

    def release(self) -> None:
        """Forget the value."""
        self._data, self._source = _EMPTY, None

    def bind(self, source: Callable[[], Any], about: str = "") -> None:
        """Let the value come from elsewhere, anew for each load, so that no copy is needed.

        Args:
            source: Loads it.
            about: What it is, in a few words.
        """
        self._data, self._source, self._about = _EMPTY, source, about

    def about(self) -> str:
        """What the value is, in a few words, without loading it."""
        if self._source is not None:
            return self._about or "a value elsewhere"
        if self._data is _EMPTY:
            return "empty"
        return with_size(describe(self._data), size_of(self._data))

    @property
    def source(self) -> Callable[[], Any] | None:
        """Where the value comes from, if it is not here."""
        return self._source

    def peek(self) -> Any:
        """The value itself, for a reader that does not change it."""
        return self.load() if self._data is _EMPTY else self._data

    @property
    def held(self) -> Any:
        """The value, if it is here and not in a store; else None."""
        return None if self._data is _EMPTY else self._data

    def _copied(self, data: Any) -> Any:
        package = type(data).__module__.partition(".")[0]
        mode = self._copy_mode or _COPY_MODES.get(package, "deepcopy")
        if mode == "assign":
            return data
        if mode == "copy":
            if package == "numpy" and hasattr(data, "strides"):
                return data.copy(order="K")  # as it is laid out; in rows by default
            return data.copy() if hasattr(data, "copy") else copy.copy(data)
        try:
            return copy.deepcopy(data)
        except Exception as error:
            kind = type(data).__name__
            add_note(
                error,
                f"An in-memory {kind} is deep-copied, so that no reader changes what others read. "
                "If it cannot be, wrap it: MemoryDataset(value, copy_mode='assign').",
            )
            raise

    def __repr__(self) -> str:
        return f"MemoryDataset({self.about()})"
