"""How Arrow data, polars' and pandas' columns of Arrow data leave a pickle; see `pickling`."""

from __future__ import annotations

import copyreg
import importlib
import pickle
import sys
from typing import Any

# Below this a buffer costs more than the copy that it saves.
LEAST = 4096
# Arrow data that hold more than this many times what they show are packed.
_SLICE = 1.25


def of_arrow(obj: Any) -> Any:
    total = getattr(obj, "get_total_buffer_size", None)
    if total is None or total() <= obj.nbytes * _SLICE + LEAST:
        return NotImplemented
    if "extension<" in str(getattr(obj, "schema", None) or obj.type):
        return NotImplemented  # a stream forgets types that the reader has not registered
    arrow = sys.modules["pyarrow"]
    name = type(obj).__name__
    form = name if name in {"Table", "RecordBatch", "ChunkedArray"} else "Array"
    if form == "Array":
        batches = arrow.record_batch([obj], names=[""])
    else:
        batches = arrow.table([obj], names=[""]) if form == "ChunkedArray" else obj
    try:
        sink = arrow.BufferOutputStream()
        with importlib.import_module("pyarrow.ipc").new_stream(sink, batches.schema) as writer:
            writer.write(batches)
    except (arrow.ArrowInvalid, NotImplementedError):  # a type without a form of its own
        return NotImplemented
    return restore_arrow, (pickle.PickleBuffer(sink.getvalue()), form)


def restore_arrow(data: Any, form: str) -> Any:
    """Make Arrow data of a stream of them; nothing is copied."""
    arrow = importlib.import_module("pyarrow")
    reader = importlib.import_module("pyarrow.ipc").open_stream(arrow.py_buffer(data))
    if form == "RecordBatch":
        return reader.read_next_batch()
    if form == "Array":
        return reader.read_next_batch().column(0)
    table = reader.read_all()
    return table if form == "Table" else table.column(0)


def of_arrow_column(array: Any) -> Any:
    """A column of pandas, which copies its chunks to one, even if it has one."""
    data = getattr(array, "_pa_array", None)
    if data is None or data.num_chunks != 1:
        return NotImplemented
    return copyreg.__newobj__, (type(array),), {**vars(array), "_cache": {}}  # type: ignore[attr-defined]


def of_polars(obj: Any) -> Any:
    name = type(obj).__name__
    if name not in {"DataFrame", "Series"}:
        return NotImplemented
    if obj.estimated_size() < LEAST:
        return _of_columns(obj)
    frame = obj.to_frame() if name == "Series" else obj.clone()
    columns = [(column.name, column.dtype, column.flags) for column in frame.get_columns()]
    # By position: a name may be empty, and then Arrow's is another, or be a pattern to polars.
    frame.columns = [str(i) for i in range(len(columns))]
    try:
        importlib.import_module("pyarrow")
        newest = sys.modules["polars"].CompatLevel.newest()
        table = frame.to_arrow(compat_level=newest)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001, no pyarrow, or what Arrow does not know; panics too
        return _of_columns(obj)
    return restore_polars, (table, name == "Series", columns)


def _of_columns(obj: Any) -> Any:
    """A frame that has structures, by its columns; all else in polars' own way.

    For frames that way says of some structures that they are sorted, for series it does not.
    """
    struct = sys.modules["polars"].Struct
    if type(obj).__name__ == "Series" or struct not in obj.dtypes:
        return NotImplemented
    return restore_columns, (obj.get_columns(), obj.columns)


def restore_columns(columns: list[Any], names: list[str]) -> Any:
    """Make a frame of polars of its columns; their own names may be empty."""
    polars = importlib.import_module("polars")
    frame = polars.DataFrame([column.alias(str(i)) for i, column in enumerate(columns)])
    frame.columns = names
    return frame


def restore_polars(table: Any, is_series: bool, columns: list[tuple[str, Any, Any]]) -> Any:
    """Make polars data of a table of Arrow's; nothing is copied.

    Args:
        table: The table, whose columns are called by their positions.
        is_series: Whether it is a single column.
        columns: Of each its name, its type, and what is known of its order.
    """
    polars = importlib.import_module("polars")
    frame = polars.from_arrow(table, rechunk=False)
    for i, (_, kind, flags) in enumerate(columns):
        column = frame.to_series(i)
        if column.dtype != kind:
            column = column.cast(kind)
        if flags["SORTED_ASC"] or flags["SORTED_DESC"]:
            column = column.set_sorted(descending=flags["SORTED_DESC"])
        frame.replace_column(i, column)
    frame.columns = [name for name, _, _ in columns]
    return frame.to_series() if is_series else frame
