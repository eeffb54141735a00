"""What leaves a pickle out of band, as the table in docs/explanation/data.md says."""

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from motorpool import ExecutorBackend, node, pipeline, registry
from motorpool._store import FileStore, dump
from motorpool._store.maps import maps

N = 100_000
NUMBERS = np.arange(N, dtype="float64")
TEXTS = [f"text {i}" for i in range(N)]
PAGE = Path(__file__).parents[2] / "docs/explanation/data.md"
# Made here, for polars opens descriptors of its own when it first works something out.
SORTED = pl.DataFrame({"a": NUMBERS, "b": NUMBERS[::-1]}).with_columns(
    pl.col("a").set_sorted(), pl.col("b").set_sorted(descending=True)
)
# Less than this is left in the pickle of what goes out of band.
SMALL = 20_000


def masked():
    return np.ma.MaskedArray(NUMBERS.copy(), mask=NUMBERS % 3 == 0, fill_value=-1.0)


def arrow():
    return pa.table({"number": NUMBERS, "text": TEXTS})


OUT_OF_BAND = {
    "numpy arrays, in C order": lambda: NUMBERS.reshape(100, -1),
    "numpy arrays, in Fortran order": lambda: np.asfortranarray(NUMBERS.reshape(100, -1)),
    "numpy arrays, strided": lambda: NUMBERS.reshape(100, -1)[:, ::2],
    "numpy arrays, reversed": lambda: NUMBERS[::-1],
    "numpy datetime64": lambda: np.arange(N).astype("datetime64[s]"),
    "numpy timedelta64": lambda: np.arange(N).astype("timedelta64[ms]"),
    "numpy structured arrays": lambda: np.zeros(N, [("a", "f8"), ("b", "S3")]),
    "numpy structured arrays with dates": lambda: np.zeros(N, [("a", "f8"), ("b", "M8[s]")]),
    "numpy masked arrays": masked,
    "numpy text of fixed width": lambda: np.array(TEXTS),
    "pandas, numpy columns": lambda: pd.DataFrame({"a": NUMBERS, "b": np.arange(N)}),
    "pandas, dates and times": lambda: pd.DataFrame(
        {"a": pd.date_range("2026", periods=N, freq="s"), "b": pd.to_timedelta(NUMBERS)}
    ),
    "pandas, Arrow-backed columns": lambda: pd.DataFrame(
        {"t": pd.array(TEXTS, "string[pyarrow]")}
    ),
    "pandas, categories": lambda: pd.DataFrame({"c": pd.Categorical(["a", "b"] * (N // 2))}),
    "pandas, nullable integers": lambda: pd.Series(np.arange(N), dtype="Int64"),
    "pyarrow tables": arrow,
    "pyarrow tables, sliced": lambda: arrow().slice(N // 4, N // 2),
    "pyarrow record batches, sliced": lambda: arrow().to_batches()[0].slice(10, N // 2),
    "pyarrow arrays, sliced": lambda: arrow()["text"].chunk(0).slice(10, N // 2),
    "polars frames": lambda: pl.DataFrame({"a": NUMBERS, "t": TEXTS}),
    "polars series": lambda: pl.Series("t", TEXTS),
    "scipy sparse matrices": lambda: scipy.sparse.random(1000, 1000, 0.1, format="csr", rng=1),
    "bytes over 64 KiB": lambda: bytes(N),
    "bytearray over 64 KiB": lambda: bytearray(N),
    "a dict, list or tuple of such bytes": lambda: {"a": bytes(N), "b": [1]},
    "scikit-learn, linear models": lambda: LinearRegression().fit(
        np.random.default_rng(1).random((50, 4000)), np.arange(50)
    ),
    "scikit-learn, forests": lambda: RandomForestRegressor(20, random_state=1).fit(
        NUMBERS[:2000].reshape(-1, 2), NUMBERS[:1000]
    ),
}
IN_BAND = {
    "numpy arrays of objects": lambda: np.array([1, "a", None] * 1000, dtype=object),
    "numpy subclasses": lambda: np.zeros(N, [("a", "f8")]).view(np.recarray),
    "pandas, columns of objects": lambda: pd.DataFrame({"o": pd.Series(TEXTS, dtype=object)}),
    "text": lambda: "x" * N,
    "lists of numbers": lambda: list(range(N)),
}


COMPARED = [
    (pd.DataFrame | pd.Series | pa.Table | pa.RecordBatch | pa.Array, lambda a, b: a.equals(b)),
    (pl.DataFrame | pl.Series, lambda a, b: a.equals(b)),
    (
        np.ma.MaskedArray,
        lambda a, b: (a.filled() == b.filled()).all() and (a.mask == b.mask).all(),
    ),
    (np.ndarray, lambda a, b: (a.dtype, a.shape) == (b.dtype, b.shape) and (a == b).all()),
    (LinearRegression, lambda a, b: (a.coef_ == b.coef_).all()),
    (RandomForestRegressor, lambda a, b: (predictions(a) == predictions(b)).all()),
    (scipy.sparse.csr_matrix | scipy.sparse.csr_array, lambda a, b: (a != b).nnz == 0),
    (object, lambda a, b: a == b),
]


def predictions(model):
    return model.predict(NUMBERS[:200].reshape(-1, 2))


def same(one, other):
    """Whether two values are the same, in the way of their kind."""
    compare = next(how for kind, how in COMPARED if isinstance(one, kind))
    return type(one) is type(other) and compare(one, other)


@pytest.mark.parametrize("backend", ["direct", "multiprocess"])
@pytest.mark.parametrize("kind", OUT_OF_BAND)
def test_what_goes_out_of_band(kind, backend):
    """The pickle is small, nothing is shipped that is not shown, and it comes back the same."""
    chosen = registry.get(backend)
    value = OUT_OF_BAND[kind]()
    stream, buffers = dump(value, chosen.dumps)
    assert len(stream) < SMALL or kind == "scikit-learn, forests"
    assert sum(b.nbytes for b in buffers) > len(stream)
    if "sliced" in kind:
        assert sum(b.nbytes for b in buffers) < value.nbytes * 1.1 + SMALL
    store = FileStore.create(chosen.dumps, chosen.loads)
    try:
        assert same(value, store.client.get(store.client.put(value)))
    finally:
        store.close()
        maps.forget_unused()


@pytest.mark.parametrize("kind", IN_BAND)
def test_everything_else_works_in_band(kind):
    """As part of the pickle."""
    chosen = registry.get("direct")
    value = IN_BAND[kind]()
    stream, buffers = dump(value, chosen.dumps)
    assert len(stream) > sum(b.nbytes for b in buffers)
    store = FileStore.create(chosen.dumps, chosen.loads)
    try:
        assert same(value, store.client.get(store.client.put(value)))
    finally:
        store.close()


def test_table_in_the_docs_lists_the_same_kinds():
    """Each kind is in the table of the docs, on its side, and no other is."""
    rows = dict(re.findall(r"^\| ([^|]+) \| (yes|no)\b", PAGE.read_text(), re.MULTILINE))
    assert rows == dict.fromkeys(OUT_OF_BAND, "yes") | dict.fromkeys(IN_BAND, "no")


def test_polars_data_stay_known_to_be_sorted():
    """Which makes filters and joins of the next node as fast as they were."""
    again = pickle.loads(ExecutorBackend.dumps(SORTED))
    assert again.flags == SORTED.flags
    assert again.flags["b"]["SORTED_DESC"]
    assert again.equals(SORTED)
    series = SORTED["b"]
    assert pickle.loads(ExecutorBackend.dumps(series)).flags == series.flags


@pytest.mark.parametrize("kind", ["float64", "datetime64[s]"])
@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_read_only_arrays_come_back_to_be_changed(process_backend, run, kind, size):
    """As those that pandas gives out: each reader has its own."""

    def make(n):
        array = np.arange(n).astype(kind)
        array.flags.writeable = False
        return array

    def change(array):
        array[0] = array[1]
        return int(array[:2].astype(int).sum())

    nodes = [node(make, "n", "a"), *(node(change, "a", f"o{i}", name=f"o{i}") for i in range(2))]
    result = run(process_backend, pipeline(nodes), {"n": size})
    assert [result[f"o{i}"].load() for i in range(2)] == [2, 2]


def test_cached_function_of_a_script_travels(process_backend, run):
    """It has no name that a worker could import; its cache is the worker's own."""
    main = {"__name__": "__main__"}
    exec("import functools\n@functools.cache\ndef double(x):\n    return 2 * x\n", main)
    double = main["double"]
    assert double(3) == 6
    nodes = [node(double, "x", "y"), node(lambda y: double(y), "y", "z")]
    assert run(process_backend, pipeline(nodes), {"x": 3})["z"].load() == 12
    again = pickle.loads(ExecutorBackend.dumps(double))
    assert again.cache_info().currsize == 0
    assert again.cache_parameters() == double.cache_parameters()
