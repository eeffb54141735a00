"""Values are what they were after two hops: names, types, flags and numbers."""

import pickle

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes

from motorpool._store import pickling, tables

pl.DataFrame({"a": [2, 1]}).sort("a")  # starts threads that stay, and have descriptors
quick = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# Empty, patterns, expansions, and what people call columns.
NAMES = st.one_of(st.sampled_from(["", "*", "^a.*$", "a", "column_0", "0", "literal"]), st.text())


@pytest.fixture(autouse=True)
def _all_sizes(monkeypatch):
    """Take small values the way of large ones."""
    for module in (pickling, tables):
        monkeypatch.setattr(module, "LEAST", 1)


def travelled(value):
    """A value after two hops, with its buffers in memory of their own."""
    for _ in range(2):
        buffers = []
        data = pickling.dumps(value, buffers.append)
        value = pickle.loads(data, buffers=[bytearray(b.raw()) for b in buffers])
    return value


@st.composite
def named_frames(draw):
    """Frames of polars, of all types but objects, with names as they may be; some are sorted."""
    frame = draw(dataframes(max_cols=4, max_size=8, excluded_dtypes=[pl.Object]))
    names = draw(st.lists(NAMES, min_size=frame.width, max_size=frame.width, unique=True))
    frame.columns = names
    if frame.width and draw(st.booleans()):
        falls = draw(st.booleans())
        column = pl.Series(names[0], range(frame.height)).sort(descending=falls)
        frame = frame.with_columns(column) if names[0] else frame
    return frame


@quick
@given(dataframes(max_cols=2, max_size=4, allowed_dtypes=[pl.Struct, pl.UInt128, pl.String]))
def test_polars_structures_are_what_they_were(frame):
    """Some of which Arrow does not know, and polars' own pickle takes for sorted."""
    found = travelled(frame)
    assert found.flags == frame.flags
    assert_frame_equal(found, frame, categorical_as_str=False)


@quick
@given(named_frames())
def test_polars_frames_are_what_they_were(frame):
    """Columns by position; what is known of their order stays known."""
    found = travelled(frame)
    assert found.columns == frame.columns
    assert found.dtypes == frame.dtypes
    assert found.flags == frame.flags
    assert_frame_equal(found, frame, categorical_as_str=False)


@quick
@given(named_frames().filter(lambda frame: frame.width > 0))
def test_polars_series_are_what_they_were(frame):
    """With the name, if it is empty as well."""
    series = frame.get_columns()[0]
    found = travelled(series)
    assert (found.name, found.dtype, found.flags) == (series.name, series.dtype, series.flags)
    assert_frame_equal(found.to_frame(), series.to_frame())


DTYPES = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.complex_number_dtypes(),
    hnp.datetime64_dtypes(), hnp.timedelta64_dtypes(), hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(), hnp.array_dtypes(), hnp.nested_dtypes(max_itemsize=64),
)  # fmt: skip
SHAPES = hnp.array_shapes(min_dims=0, min_side=0, max_side=4)


def identical(one, other):
    """Whether arrays agree in type, shape, layout and bytes, NaNs and padding apart."""
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert type(one) is type(other)
    assert pickle.dumps(one.tolist()) == pickle.dumps(other.tolist())


@quick
@given(DTYPES.flatmap(lambda t: hnp.arrays(t, SHAPES)), st.data())
def test_numpy_arrays_are_what_they_were(array, data):
    """Any type, also nested and of the other byte order; slices, transposed, read-only."""
    how = data.draw(st.sampled_from(["as it is", "transposed", "strided", "reversed", "locked"]))
    if how == "transposed":
        array = array.T
    elif array.ndim and how in {"strided", "reversed"}:
        array = array[:: 2 if how == "strided" else -1]
    elif how == "locked":
        array.flags.writeable = False
    found = travelled(array)
    identical(found, array)
    assert found.flags.writeable
    if array.flags.forc:
        assert (found.flags.c_contiguous, found.flags.f_contiguous) == (
            array.flags.c_contiguous, array.flags.f_contiguous,
        )  # fmt: skip


class Tagged(np.ndarray):
    """A subclass with an attribute."""

    def __reduce__(self):
        make, arguments, state = super().__reduce__()
        return make, arguments, (*state, self.tag)

    def __setstate__(self, state):
        self.tag = state[-1]
        super().__setstate__(state[:-1])


def test_other_arrays_are_what_they_were():
    """Subclasses, masked arrays, records, objects, scalars and memory that is shared."""
    tagged = np.arange(6.0).view(Tagged)
    tagged.tag = "t"
    found = travelled(tagged)
    assert (type(found), found.tag, found.tolist()) == (Tagged, "t", list(range(6)))
    masked = np.ma.masked_array([1, 2, 3], mask=[0, 1, 0], fill_value=9, hard_mask=True)
    found = travelled(masked)
    assert (found.mask.tolist(), found.fill_value, found.hardmask) == (
        [False, True, False],
        9,
        True,
    )
    records = np.rec.array([(1, "a")], names=["n", "t"])
    assert (type(travelled(records)), travelled(records).n.tolist()) == (np.recarray, [1])
    objects = np.array([None, {1: 2}, "x"], object)
    assert travelled(objects).tolist() == objects.tolist()
    assert travelled(np.float32(1.5)).dtype == np.float32
    one = np.arange(4)
    first, second = travelled([one, one])
    assert first is second


@st.composite
def pandas_tables(draw):
    """Tables of pandas: any names, any of its types, with an index."""
    of = {
        "numbers": lambda n, kind: pd.Series(range(n), dtype=kind),
        "texts": lambda n, kind: pd.Series([f"t{i}" for i in range(n)], dtype=kind),
        "categories": lambda n, _: pd.Series(pd.Categorical(["a", "b"] * n, ordered=True)[:n]),
        "dates": lambda n, zone: pd.Series(pd.date_range("2026-01-01", periods=n, tz=zone)),
        "spans": lambda n, _: pd.Series(pd.timedelta_range(0, periods=n, freq="h")),
        "arrow": lambda n, kind: pd.Series([[i] for i in range(n)], dtype=pd.ArrowDtype(kind)),
        "periods": lambda n, _: pd.Series(pd.period_range("2026", periods=n, freq="M")),
        "gaps": lambda n, _: pd.Series(pd.arrays.IntervalArray.from_breaks(range(n + 1))),
        "sparse": lambda n, _: pd.Series(pd.arrays.SparseArray([0] * n)),
    }  # fmt: skip
    kinds = {
        "numbers": ["int8", "Int64", "float32"], "texts": ["object", "string"],
        "dates": [None, "Europe/Berlin"], "arrow": [pa.list_(pa.int64())],
    }  # fmt: skip
    columns = {
        name: (lambda n, name=name: of[name](n, draw(st.sampled_from(kinds.get(name, [None])))))
        for name in of
    }
    chosen = draw(st.lists(st.sampled_from(sorted(columns)), max_size=4))
    size = draw(st.integers(0, 4))
    parts = [columns[kind](size) for kind in chosen]
    frame = pd.concat(parts, axis=1) if parts else pd.DataFrame(index=range(size))
    name = st.one_of(NAMES, st.integers(), st.tuples(st.integers(), st.text()), st.none())
    frame.columns = draw(st.lists(name, min_size=len(parts), max_size=len(parts)))
    frame.attrs["of"] = "the table"
    if draw(st.booleans()):
        frame.index = pd.MultiIndex.from_product([range(size), ["x"]], names=["", None])
    return frame


@quick
@given(pandas_tables())
def test_pandas_tables_are_what_they_were(table):
    """Names that are empty, numbers, tuples or there twice; zero rows and columns; attributes."""
    found = travelled(table)
    pd.testing.assert_frame_equal(found, table, check_freq=True, check_exact=True)
    assert list(map(repr, found.columns)) == list(map(repr, table.columns))
    assert found.dtypes.tolist() == table.dtypes.tolist()
    assert found.attrs == table.attrs
    assert found.index.names == table.index.names


ARROW = [
    pa.array([1, None, 3]), pa.array(["a", None, ""]), pa.array([b"x", b""]),
    pa.array([[1], [], None]), pa.array([{"a": 1, "b": None}, None]),
    pa.array(["a", "b", "a"]).dictionary_encode(), pa.array([True, None]),
    pa.array([1, 2], pa.decimal128(20, 3)), pa.array([0, 1], pa.timestamp("us", "Europe/Berlin")),
    pa.array([None, None]), pa.array([], pa.int64()), pa.array([1.5], pa.float16()),
    pa.array([1, 2, 2], pa.int32()).run_end_encode() if hasattr(pa.Array, "run_end_encode")
    else pa.array([1], pa.int8()),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(ARROW)))
@pytest.mark.parametrize("cut", [False, True])
def test_arrow_data_are_what_they_were(index, cut):
    """Arrays, chunked ones, batches and tables, whole and cut; with names and metadata."""
    array = ARROW[index]
    if cut:
        array = pa.concat_arrays([array] * 200)[1 : 1 + len(array)]
    field = pa.field("", array.type, metadata={"of": "a field"})
    schema = pa.schema([field, pa.field("*", array.type)], metadata={"of": "a table"})
    batch = pa.record_batch([array, array], schema=schema)
    for value in (
        array,
        pa.chunked_array([array, array]),
        batch,
        pa.table([array, array], schema=schema),
    ):
        found = travelled(value)
        assert type(found) is type(value)
        assert found.equals(value)
        if hasattr(value, "schema"):
            assert found.schema.equals(value.schema, check_metadata=True)
        else:
            assert found.type == value.type
