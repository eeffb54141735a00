"""What is said of results and datasets, without loading them."""

import gc
import tracemalloc
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from functions import increment

from motorpool import (
    DataCatalog,
    MemoryDataset,
    ParallelRunner,
    PickleDataset,
    node,
    pipeline,
)
from motorpool._datasets.describe import bytes_of, describe, describe_dataset, place_of


def array(n):
    return np.zeros((n, 3), "f4")


def table(n):
    return pd.DataFrame({"a": range(n), "b": range(n), "c": range(n)})


def test_results_show_what_they_are(any_backend, run, tmp_path):
    """Type, shape, element type and size, or the value if it is short; or the file."""
    kept = PickleDataset(tmp_path / "kept.pkl")
    nodes = [
        node(array, "n", "array"), node(table, "n", "table"),
        node(lambda n: [n, "two"], "n", "list"), node(lambda n: n + 1, "n", "kept"),
    ]  # fmt: skip
    result = run(any_backend, pipeline(nodes), {"n": 1000, "kept": kept})
    title, *lines = repr(result).splitlines()
    assert title == f"<4 outputs of the run {result.summary.run_id}>"
    assert lines[0].startswith("  array: ndarray 1,000 x 3 float32, 12")
    assert lines[0].endswith(" kB, in memory")
    path = tmp_path / "kept.pkl"
    assert lines[1] == f"  kept: {path}, {path.stat().st_size} B (PickleDataset)"
    assert lines[2] == "  list: list of 2: [1000, 'two'], in memory"
    assert lines[3].startswith("  table: DataFrame 1,000 x 3, 24")
    assert repr(result["list"]) == "MemoryDataset(list of 2: [1000, 'two'])"


def test_what_is_no_output_says_what_is(any_backend, run):
    """A dataset that another node reads is not kept; a misspelt one is near to a right one."""
    nodes = [node(increment, "n", "inner"), node(increment, "inner", "total")]
    result = run(any_backend, pipeline(nodes), {"n": 1})
    gone = "What other nodes read is gone when the run is over, unless it is in the catalog."
    with pytest.raises(KeyError, match="There is no output 'inner'. There are: total.") as found:
        result["inner"]
    assert gone in str(found.value)
    with pytest.raises(KeyError, match="do you mean 'total'?"):
        result["totl"]
    assert result.get("inner") is None


class Rude:
    """Says nothing of itself."""

    @property
    def shape(self):
        raise RuntimeError("no shape")

    def __repr__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "int 5"),
        ("word" * 100, "str 'wordwordwordwordwordwordwor...dwordwordwordwordwordwor..."),
        ({}, "dict of 0"),
        ({"a": 1.5}, "dict of 1: {'a': 1.5}"),
        ([Rude()] * 3, "list of 3"),
        ({Rude: 1}, "dict of 1"),
        ({3}, "set of 1: {3}"),
        (tuple(range(9)), "tuple of 9: (0, 1, 2, 3, 4, 5, ...)"),
        (Rude(), "Rude"),
        (np.float64(2.5), "float64 float64"),
        (np.zeros(3, bool), "ndarray 3 bool"),
        (range(3), "range"),
    ],
)
def test_values_in_a_few_words(value, text):
    """None of their own code is relied on, and none of it is long."""
    said = describe(value)
    assert len(said) < 80
    if isinstance(value, str):
        assert said.startswith("str 'wordword")
        assert "..." in said
    else:
        assert said == text


@pytest.mark.parametrize("value", [b"x" * 2**25, ["x" * 2**25] * 3, dict.fromkeys(range(2**17))])
def test_of_large_values_only_the_beginning_is_looked_at(value):
    """Their whole text would take more memory than they do."""
    tracemalloc.start()
    try:
        assert len(describe(value)) < 80
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_datasets_in_a_few_words(tmp_path, monkeypatch):
    """A path is short where it can be; one that is not there has no size."""
    monkeypatch.chdir(tmp_path)
    assert place_of(PickleDataset("a/b.pkl")) == "a/b.pkl (PickleDataset)"
    assert describe_dataset(MemoryDataset()) == "empty, in memory"
    assert place_of(object()) == "a object"
    assert [bytes_of(n) for n in (0, 999, 1000, 24_000_000)] == ["0 B", "999 B", "1 kB", "24 MB"]


class Released(PickleDataset):
    """Notes what is released, in the process where that is."""

    released: ClassVar = []

    def release(self):
        self.released.append(self._path.name)


def test_datasets_are_released_when_no_node_needs_them_any_more(any_backend, run, tmp_path):
    """Under each of their names; inputs and outputs never."""
    catalog = DataCatalog({
        name: Released(tmp_path / file) for name, file in
        (("a", "a"), ("b", "b"), ("t@x", "x"), ("t@y", "y"), ("end", "end"))
    })  # fmt: skip
    catalog["a"].save(1)
    catalog["t@y"].save(2)
    Released.released.clear()
    pipe = pipeline(
        [node(increment, "a", "b"), node(increment, "b", "t@x"), node(increment, "t@y", "end")]
    )
    assert run(any_backend, pipe, catalog)["end"].load() == 3
    assert sorted(Released.released) == ["b", "x", "y"]


@pytest.mark.parametrize("kind", [ProcessPoolExecutor, ThreadPoolExecutor])
def test_executor_that_keeps_its_futures_keeps_no_results(kind):
    """Results go with the last reference to them, and not when garbage is collected, or never."""
    futures = []

    class Keeps(kind):
        def submit(self, *args, **kwargs):
            futures.append(super().submit(*args, **kwargs))
            return futures[-1]

    pipe = pipeline([node(array, "n", "large"), node(np.copy, "large", "copy")])
    gc.disable()
    try:
        with Keeps(1) as executor:
            result = ParallelRunner(executor).run(pipe, {"n": 100_000})
            kept = weakref.ref(result["copy"])
            del result
            assert futures
            assert kept() is None
    finally:
        gc.enable()
