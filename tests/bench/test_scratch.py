"""Where a benchmarked pipeline writes: never over what its last run has left."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.io import CachedDataset
from kedro.io import MemoryDataset as KedroMemoryDataset
from kedro_datasets.matplotlib import MatplotlibDataset
from kedro_datasets.pandas import CSVDataset
from kedro_datasets.partitions import PartitionedDataset
from matplotlib.figure import Figure

from motorpool import DataCatalog, Dataset, MemoryDataset, PickleDataset, node, pipeline
from motorpool.bench._scratch import Scratch, digest_of_files, in_scratch

TABLE = pd.DataFrame({"a": [1, 2]})


@dataclass(frozen=True)
class Frozen(Dataset):
    """A dataset that cannot be changed, with its path in two places."""

    path: Path
    writes: Any

    def load(self):
        return self.path.read_text()

    def save(self, data):
        self.writes(data)


class Text(Dataset):
    """A file of text, whose path is kept in a slot."""

    __slots__ = ("_filename",)

    def __init__(self, filename):
        self._filename = filename

    def load(self):
        return Path(self._filename).read_text()

    def save(self, data):
        Path(self._filename).write_text(data)


class Functions(Dataset):
    """Does what it is given, wherever that is."""

    def __init__(self, load, save):
        self.load, self.save = load, save

    def load(self):
        """Replaced."""

    def save(self, data):
        """Replaced."""


class Remote(Text):
    """Says that its files are elsewhere."""

    protocol = "s3"


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda path: PickleDataset(path), [1]),
        (lambda path: Text(str(path)), "text"),
        (lambda path: CSVDataset(filepath=str(path)), TABLE),
        (lambda path: CachedDataset(CSVDataset(filepath=str(path))), TABLE),
        (lambda path: PartitionedDataset(path=str(path), dataset="pandas.CSVDataset"),
         {"one": TABLE}),
        (lambda path: MatplotlibDataset(filepath=str(path)), Figure()),
    ],
    ids=["pickle", "slots", "kedro csv", "kedro cached", "kedro partitioned", "kedro figure"],
)  # fmt: skip
def test_moved_dataset_writes_to_the_folder_and_nowhere_else(tmp_path, make, value):
    """What it has written can be loaded from it; the dataset itself is as it was."""
    there = tmp_path / "there" / "data.png"
    dataset = make(there)
    moved = Scratch(tmp_path / "scratch").moved(dataset)
    assert type(moved) is type(dataset)
    moved.save(value)
    assert not there.exists()
    written = [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert len(written) == 1
    assert "data.png" in str(written[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda path: Frozen(path, functools.partial(path.write_text)),
        lambda path: Remote(str(path)),
        lambda path: Text(f"s3://{path}"),
        lambda path: Functions(path.read_text, path.write_text),
    ],
    ids=["path in a function", "protocol", "address", "functions"],
)
def test_dataset_that_may_write_elsewhere_is_not_moved(tmp_path, make):
    """Its path shows in a place that is not known, or is no path of this machine."""
    assert Scratch(tmp_path / "scratch").moved(make(tmp_path / "data")) is None


def test_path_within_an_attribute_is_found(tmp_path):
    """However the dataset keeps it; its neighbour is not meant."""
    plain = Frozen(tmp_path / "data", {"other": [tmp_path / "data2"]})
    moved = Scratch(tmp_path / "scratch").moved(plain)
    assert moved.path == tmp_path / "scratch" / "0" / "data"
    twice = Frozen(tmp_path / "data", {"again": [str(tmp_path / "data" / "part")]})
    assert Scratch(tmp_path / "scratch").moved(twice) is None


def test_two_datasets_of_one_file_share_one_file(tmp_path):
    """As in Kedro's transcoding: one writes, another reads."""
    scratch = Scratch(tmp_path / "scratch")
    one = scratch.moved(Text(str(tmp_path / "a.txt")))
    other = scratch.moved(Text(str(tmp_path / "b" / ".." / "a.txt")))
    one.save("text")
    assert other.load() == "text"
    assert scratch.moved(Text(str(tmp_path / "b.txt")))._filename != one._filename


def test_only_what_a_pipeline_writes_is_moved(tmp_path):
    """Not what it reads, nor what is in memory, nor what it has nothing to do with."""
    pipe = pipeline([node(str, "given", "made"), node(str, "made", "end"), node(str, "end", "m")])
    catalog = DataCatalog({
        "given": Text("given"), "made": Text("made"), "end": Remote("end"), "other": Text("o"),
        "m": MemoryDataset(),
    })  # fmt: skip
    found, refused = in_scratch(pipe, catalog, tmp_path)
    assert refused == ["end (Remote)"]
    assert set(found) == {"given", "made", "end", "m"}
    assert found["made"] is not catalog["made"]
    for name in ("given", "end", "m"):
        assert found[name] is catalog[name]


def test_cache_of_kedros_is_moved_though_it_passes_for_ephemeral(tmp_path):
    """It writes to the file of the dataset within."""
    kept = CachedDataset(CSVDataset(filepath=str(tmp_path / "kept.csv")))
    found, refused = in_scratch(pipeline(node(str, "x", "kept")), {"x": 1, "kept": kept}, tmp_path)
    assert not refused
    assert found["kept"]._dataset._filepath != kept._dataset._filepath
    in_memory = CachedDataset(KedroMemoryDataset())
    found, _ = in_scratch(pipeline(node(str, "x", "m")), {"x": 1, "m": in_memory}, tmp_path)
    assert found["m"] is in_memory


@pytest.mark.parametrize("confirms", ["given", "other"])
def test_what_is_confirmed_where_it_is_read_is_refused(tmp_path, confirms):
    """It notes down how far the pipeline has come, which a bench must not move on."""
    nodes = [node(str, "given", "made", confirms=confirms), node(str, "made", "m")]
    catalog = {"given": Text("given"), "other": Text("other"), "made": Text("made")}
    found, refused = in_scratch(pipeline(nodes), catalog, tmp_path)
    assert refused == [f"{confirms} (Text)"]
    assert found[confirms] is catalog[confirms]
    nodes = [node(str, "given", "made"), node(str, "made", "m", confirms="made")]
    found, refused = in_scratch(pipeline(nodes), catalog, tmp_path)
    assert not refused
    assert found["made"] is not catalog["made"]


def test_files_have_a_digest_by_their_bytes(tmp_path):
    """One file, or all in a folder; none if there is nothing."""
    dataset = Text(str(tmp_path / "a"))
    assert digest_of_files(dataset) is None
    dataset.save("1")
    first = digest_of_files(dataset)
    dataset.save("2")
    assert first != digest_of_files(dataset) is not None
    assert digest_of_files(Text(str(tmp_path))) is not None
    assert digest_of_files(MemoryDataset(1)) is None
