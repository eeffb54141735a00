"""Digests, by which values of two processes are compared without bringing them together.

What is hashed is a pickle in which equal values look alike: a set comes in no order of its own,
and whether two equal texts are one object does not show, nor two equal dates or dtypes.
"""

from __future__ import annotations

import hashlib
import pickle
from datetime import date, time, timedelta
from decimal import Decimal
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS: dict[type, str] = {
    type(None): "none", bool: "bool", int: "long", float: "float", bytes: "bytes",
    bytearray: "bytearray", str: "str", tuple: "tuple", list: "list", dict: "dict", type: "type",
}  # fmt: skip
# Has no parts that could be shared, so that it is written as it is, each time.
_PLAIN = (str, bytes, int, float, date, time, timedelta, Decimal)
_Python: Any = pickle._Pickler  # noqa: SLF001, the other one cannot be changed


def digest_of(value: Any) -> str | None:
    """A short text that is equal for equal values, or None if the value cannot be pickled."""
    try:
        return _hash(value, {})
    except Exception:  # noqa: BLE001, whatever pickling raises, it cannot be compared
        return None


def _hash(value: Any, parts: dict[int, tuple[Any, str]]) -> str:
    stream = _Stream()
    _Pickler(stream, value, parts).dump(value)
    return stream.hash.hexdigest()


def _is_value(obj: Any) -> bool:
    """Whether it does not matter which object this is: it is compared, and hashed, by value."""
    if isinstance(obj, _PLAIN) or type(obj).__eq__ is object.__eq__:  # type: ignore[comparison-overlap]
        return False
    if type(obj) is tuple:  # with others in it
        return not all(isinstance(member, _PLAIN) for member in obj)
    try:
        hash(obj)
    except Exception:  # noqa: BLE001, whatever a part of it raises
        return False
    return True


def _of_pandas(table: Any) -> Any:
    """Columns one by one: those of one type may lie together, or not."""
    columns = [table.iloc[:, k].array for k in range(table.shape[1])]
    return table.columns, table.index, columns


def _of_arrow(column: Any) -> Any:
    """Type and values; the ends of chunks, and what lies behind a null, do not count."""
    kind = str(column.type)
    if not column.null_count and kind.startswith(("int", "uint", "float", "double")):
        return kind, column.to_numpy()
    return kind, repr(column.to_pylist())  # where to pickle as many objects takes ten times longer


def _of_arrow_table(table: Any) -> Any:
    return table.schema.names, list(map(_of_arrow, table.itercolumns()))


def _of_polars(column: Any) -> Any:
    kind = column.dtype
    plain = kind.is_integer() or kind.is_float()
    values = column.to_numpy() if plain and not column.null_count() else repr(column.to_list())
    return column.name, str(kind), values


def _of_polars_table(table: Any) -> Any:
    return list(map(_of_polars, table.get_columns()))


# Tables by package and class; and what counts of them, as values that are pickled in one way.
_TABLES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("pandas", "DataFrame"): _of_pandas,
    ("pyarrow", "ChunkedArray"): _of_arrow,
    ("pyarrow", "RecordBatch"): _of_arrow_table,
    ("pyarrow", "Table"): _of_arrow_table,
    ("polars", "DataFrame"): _of_polars_table,
    ("polars", "Series"): _of_polars,
}


class _Stream:
    """A file that keeps nothing but a hash of what is written to it."""

    def __init__(self) -> None:
        self.hash = hashlib.blake2b(digest_size=16)

    def write(self, data: Any) -> int:
        """Take note of some bytes."""
        self.hash.update(data)
        return len(data)

    def add(self, buffer: pickle.PickleBuffer) -> None:
        """Take note of a large one, which does not go into the pickle."""
        self.hash.update(buffer.raw())


class _Pickler(_Python):  # type: ignore[misc]
    """What it writes is never read again."""

    # Made anew, for dill changes that of its base.
    dispatch: ClassVar[dict[type, Callable[..., None]]] = {
        kind: getattr(_Python, f"save_{name}") for kind, name in _KINDS.items()
    }

    def __init__(self, stream: _Stream, whole: Any, parts: dict[int, tuple[Any, str]]) -> None:
        super().__init__(stream, protocol=5, buffer_callback=stream.add)
        self._stream = stream
        self._whole = whole
        self._parts = parts

    def save(self, obj: Any, *args: Any, **kwargs: Any) -> None:
        """Write a digest in place of a tuple or a dtype, so that no identity shows."""
        if obj is not self._whole and _is_value(obj):
            obj = self._digest_of_part(obj)
        super().save(obj, *args, **kwargs)

    def _digest_of_part(self, obj: Any) -> str:
        if id(obj) not in self._parts:
            self._parts[id(obj)] = obj, ""  # in case that it is a part of itself
            self._parts[id(obj)] = obj, _hash(obj, self._parts)
        return self._parts[id(obj)][1]

    def memoize(self, obj: Any) -> None:
        """Treat one text that is there twice like two that are equal."""
        if not isinstance(obj, (*_PLAIN, tuple)):
            super().memoize(obj)

    def reducer_override(self, obj: Any) -> Any:
        """Let arrays and tables look alike that lie in memory in different ways."""
        kind = type(obj)
        plain = _TABLES.get((kind.__module__.partition(".")[0], kind.__name__))
        if plain is not None:
            return tuple, (kind.__name__, plain(obj))
        if kind.__name__ != "ndarray" or obj.dtype.hasobject or obj.flags.c_contiguous:
            return NotImplemented
        return obj.copy(order="C").__reduce_ex__(5)

    def _save_buffer(self, obj: Any) -> None:
        """Whether it can be written to does not count."""
        self._stream.add(obj)

    def _save_set(self, obj: Any) -> None:
        self.save((type(obj).__name__, sorted(_hash(member, self._parts) for member in obj)))

    def _save_function(self, obj: FunctionType) -> None:
        """By what it does; where it was made does not count."""
        code = obj.__code__
        plain = [const for const in code.co_consts if not isinstance(const, CodeType)]
        self.save((obj.__qualname__, code.co_code, code.co_names, plain))

    dispatch[pickle.PickleBuffer] = _save_buffer
    dispatch[set] = dispatch[frozenset] = _save_set
    dispatch[FunctionType] = _save_function
