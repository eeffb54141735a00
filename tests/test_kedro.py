"""Kedro's pipelines, catalogs and datasets, used as they are."""

import pandas as pd
import pytest
from functions import add, identity, increment, table_of, total, twice
from kedro import io
from kedro.pipeline import node, pipeline
from kedro_datasets.pandas import CSVDataset, ParquetDataset
from kedro_datasets.pickle import PickleDataset

from motorpool import DataCatalog, ParallelRunner
from motorpool.errors import MissingInputError, ValidationError


def test_kedro_pipeline_with_three_kinds_of_datasets(any_backend, run, tmp_path):
    """CSV in, Parquet and pickle out, and a value in memory."""
    paths = {k: str(tmp_path / f"t.{k}") for k in ("csv", "parquet", "pkl")}
    pd.DataFrame({"n": [1, 2, 3]}).to_csv(paths["csv"], index=False)
    pipe = pipeline(
        [
            node(twice, "csv", "parquet"),
            node(twice, "parquet", "pkl"),
            node(total, "pkl", "total"),
        ]
    )
    catalog = DataCatalog(
        {
            "csv": CSVDataset(filepath=paths["csv"]),
            "parquet": ParquetDataset(filepath=paths["parquet"]),
            "pkl": PickleDataset(filepath=paths["pkl"]),
        }
    )
    assert run(any_backend, pipe, catalog)["total"].load() == 24
    assert pd.read_parquet(paths["parquet"])["n"].tolist() == [2, 4, 6]


@pytest.mark.parametrize("kind", [io.DataCatalog, io.SharedMemoryDataCatalog])
def test_kedro_catalog_with_patterns(any_backend, run, tmp_path, kind):
    """Datasets that come from a pattern, in-memory ones, and parameters."""
    catalog = kind.from_config(
        {"{name}_file": {"type": "pickle.PickleDataset", "filepath": f"{tmp_path}/{{name}}.pkl"}}
    )
    catalog["params:step"] = io.MemoryDataset(5)
    catalog["x"] = 1
    pipe = pipeline(
        [
            node(add, ["x", "params:step"], "sum_file"),
            node(increment, "sum_file", "memory"),
            node(identity, "memory", "end"),
        ]
    )
    assert run(any_backend, pipe, catalog)["end"].load() == 7
    assert (tmp_path / "sum.pkl").exists()


def test_kedro_memory_dataset_gets_the_output(any_backend, run):
    """An in-memory dataset of Kedro's class, registered as an output."""
    catalog = io.DataCatalog({"x": io.MemoryDataset(1), "y": io.MemoryDataset()})
    run(any_backend, pipeline([node(increment, "x", "y")]), catalog)
    assert catalog.load("y") == 2


def test_transcoded_datasets(any_backend, run, tmp_path):
    """Written as one type and read as another, in the right order."""
    path = str(tmp_path / "t.csv")
    catalog = DataCatalog(
        {"t@a": CSVDataset(filepath=path), "t@b": CSVDataset(filepath=path), "n": 3}
    )
    pipe = pipeline([node(total, "t@b", "total"), node(table_of, "n", "t@a")])
    assert run(any_backend, pipe, catalog)["total"].load() == 3


def test_single_process_dataset_of_kedro_is_refused(process_backend, run, tmp_path):
    """A cached dataset lives in one process."""
    catalog = DataCatalog({"t": io.CachedDataset(CSVDataset(filepath=str(tmp_path / "t.csv")))})
    with pytest.raises(ValidationError, match="'t' .CachedDataset. can be used in one process"):
        run(process_backend, pipeline([node(total, "t", "n")]), catalog)


def test_missing_input_of_a_kedro_pipeline(run):
    """A ValueError, as with Kedro's runners."""
    with pytest.raises(ValueError, match="not found in the DataCatalog") as caught:
        run(
            "direct",
            pipeline([node(total, "t", "n")]),
            io.DataCatalog({"tt": io.MemoryDataset(1)}),
        )
    assert isinstance(caught.value, MissingInputError)


def test_results_are_those_of_kedros_own_runner():
    """The same pipeline, both ways."""
    from kedro.runner import SequentialRunner

    pipe = pipeline(
        [node(increment, "x", "a"), node(increment, "a", "b"), node(add, ["a", "b"], "c")]
    )
    ours = ParallelRunner(max_workers=2).run(pipe, io.DataCatalog({"x": io.MemoryDataset(1)}))
    theirs = SequentialRunner().run(pipe, io.DataCatalog({"x": io.MemoryDataset(1)}))
    assert {k: d.load() for k, d in ours.items()} == {k: d.load() for k, d in theirs.items()}
