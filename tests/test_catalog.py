"""Datasets and catalogs."""

import threading

import functions
import numpy as np
import pandas as pd
import pytest
from functions import FileDataset

from motorpool import (
    DataCatalog,
    Dataset,
    MemoryDataset,
    PickleDataset,
    SharedMemoryDataCatalog,
    node,
    pipeline,
)
from motorpool.catalog import RunCatalog
from motorpool.errors import DatasetError, ValidationError


@pytest.mark.parametrize(
    ("mode", "same", "inner_same"),
    [("assign", True, True), ("copy", False, True), ("deepcopy", False, False)],
)
def test_copy_mode_says_what_a_reader_gets(mode, same, inner_same):
    """The object itself, a shallow copy, or a deep one."""
    dataset = MemoryDataset([[1]], copy_mode=mode)
    first, second = dataset.load(), dataset.load()
    assert (first is second) == same
    assert (first[0] is second[0]) == inner_same


@pytest.mark.parametrize("value", [np.arange(3), pd.DataFrame({"a": [1]}), {"a": [1]}])
def test_default_copy_protects_the_dataset(value):
    """Who changes what was loaded changes nothing for others."""
    dataset = MemoryDataset(value)
    loaded = dataset.load()
    if isinstance(loaded, pd.DataFrame):
        loaded.loc[0, "a"] = 9
    elif isinstance(loaded, dict):
        loaded["a"].append(9)
    else:
        loaded[0] = 9
    assert str(dataset.load()) == str(value)


def test_unknown_copy_mode_is_an_error():
    """With the modes that there are."""
    with pytest.raises(DatasetError, match="'shallow'.*'assign', 'copy' or 'deepcopy'"):
        MemoryDataset(1, copy_mode="shallow")


def test_memory_dataset_forgets_when_released():
    """And says so when it is asked again."""
    dataset = MemoryDataset(1)
    dataset.release()
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="holds no data"):
        dataset.load()


def test_none_cannot_be_saved():
    """Neither by a dataset nor by a catalog."""
    with pytest.raises(DatasetError, match="None cannot be saved"):
        MemoryDataset().save(None)
    with pytest.raises(DatasetError, match="'x'"):
        DataCatalog().save("x", None)


def test_catalog_takes_values_and_datasets(tmp_path):
    """A plain value becomes an in-memory dataset; a dataset stays what it is."""
    file = FileDataset(tmp_path / "f")
    catalog = DataCatalog({"value": 1, "file": file})
    assert catalog["file"] is file
    assert catalog.load("value") == 1
    assert isinstance(catalog["value"], Dataset)
    catalog.save("new", 2)
    assert set(catalog) == {"value", "file", "new"}
    del catalog["new"]
    assert len(catalog) == 2


def test_catalog_passes_optional_methods_on(tmp_path):
    """exists, release and confirm, where a dataset has them."""
    catalog = DataCatalog({"file": FileDataset(tmp_path / "f"), "value": 1})
    assert not catalog.exists("file")
    catalog.save("file", "text")
    assert catalog.exists("file")
    catalog.confirm("file")
    assert (tmp_path / "f.confirmed").exists()
    catalog.release("file")
    catalog.release("value")
    assert not catalog.exists("value")
    assert not catalog.exists("nothing")
    with pytest.raises(DatasetError, match="'value'.*has no `confirm`"):
        catalog.confirm("value")


def test_unknown_name_is_an_error_with_the_nearest():
    """A KeyError too, as mappings promise."""
    catalog = DataCatalog({"flights": 1})
    with pytest.raises(DatasetError, match="no dataset 'fligths'; do you mean 'flights'"):
        catalog.load("fligths")
    with pytest.raises(KeyError):
        catalog["fligths"]
    assert catalog.get("fligths") is None


@pytest.mark.parametrize("name", ["", "  ", 5])
def test_empty_name_is_an_error(name):
    """A dataset without a name could never be found."""
    with pytest.raises(DatasetError, match="non-empty string"):
        DataCatalog({name: 1})


def test_validate_catalog_names_every_dataset_that_will_not_do(tmp_path):
    """One that is bound to this process, and one that holds a lock."""
    stuck, alone = FileDataset(tmp_path / "a"), FileDataset(tmp_path / "b")
    stuck.lock = threading.Lock()
    alone._SINGLE_PROCESS = True
    catalog = SharedMemoryDataCatalog({"stuck": stuck, "alone": alone, "fine": 1})
    with pytest.raises(ValidationError) as caught:
        catalog.validate_catalog()
    text = str(caught.value)
    assert "'stuck' (FileDataset) cannot be pickled: TypeError: cannot pickle" in text
    assert "'alone' (FileDataset) can be used in one process only" in text
    assert "fine" not in text


def test_value_that_cannot_be_copied_says_what_to_do():
    """A lock, for one: the error names the way out, and the way out works."""
    lock = threading.Lock()
    with pytest.raises(TypeError) as caught:
        MemoryDataset(lock).load()
    assert "copy_mode='assign'" in caught.value.__notes__[0]
    assert MemoryDataset(lock, copy_mode="assign").load() is lock


def test_pickle_dataset_keeps_a_value_in_a_file(any_backend, run, tmp_path):
    """Saved and loaded where the node is; its folder is made."""
    data = PickleDataset(tmp_path / "folder" / "value.pickle")
    assert not data.exists()
    with pytest.raises(DatasetError, match="There is no file"):
        data.load()
    pipe = pipeline([node(lambda x: [x], "x", "kept"), node(len, "kept", "n")])
    assert run(any_backend, pipe, {"x": 1, "kept": data})["n"].load() == 1
    assert data.load() == [1]


def test_save_that_fails_leaves_what_was_there(tmp_path):
    """Nor half a file beside it."""
    data = PickleDataset(tmp_path / "value")
    data.save("old")
    with pytest.raises(Exception, match="pickle"):
        data.save(["x" * 100_000, threading.Lock()])
    assert data.load() == "old"
    with pytest.raises(DatasetError, match="None cannot be saved"):
        data.save(None)
    assert [p.name for p in tmp_path.iterdir()] == ["value"]


def test_array_is_laid_out_as_it_was(any_backend, run):
    """In columns, so that what it is used for takes as long everywhere."""
    array = np.asfortranarray(np.ones((100, 100)))
    nodes = [node(np.asfortranarray, "x", "y"), node(functions.layout, ["x", "y"], "z")]
    result = run(any_backend, pipeline(nodes), {"x": array})
    assert result["z"].load() == [(False, True)] * 2


def test_datasets_of_a_run_are_made_when_they_are_asked_for():
    """All names are there, also of those that nobody has asked for; parts have the same ones."""
    catalog = RunCatalog(DataCatalog({"x": 1, "other": 2}), ["a", "b", "x"])
    part = catalog.part(["b", "x"])
    assert (list(catalog), len(catalog), "b" in catalog) == (["a", "b", "x"], 3, True)
    assert (list(part), part.registered, "a" in part) == (["b", "x"], {"x"}, False)
    assert (catalog["x"].load(), part.given) == (1, {"x": catalog["x"]})
    assert part["b"] is catalog["b"] is catalog.get("b")
    assert not catalog["b"].exists()
    for name in ("other", "c"):
        assert (catalog.get(name), name in catalog) == (None, False)
        with pytest.raises(KeyError):
            catalog[name]


def test_threads_that_ask_at_once_get_one_dataset(monkeypatch):
    """Or what one of them saves, the other one does not find."""
    barrier, found = threading.Barrier(2), []

    class Slow(MemoryDataset):
        def __init__(self):
            super().__init__()
            barrier.wait(10)

    monkeypatch.setattr("motorpool.catalog.MemoryDataset", Slow)
    catalog = RunCatalog({}, ["a"])
    threads = [threading.Thread(target=lambda: found.append(catalog["a"])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is found[1] is catalog["a"]
