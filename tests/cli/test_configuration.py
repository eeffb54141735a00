"""Catalogs and parameters in YAML."""

import re
import subprocess
import sys

import pytest

PIPELINE = """
from motorpool import node, pipeline

def count(table, factor):
    return len(table) * factor

pipeline = pipeline([
    node(count, ["cars", "params:model.factor"], "n"),
    node(lambda n, parameters: [n, parameters], ["n", "parameters"], "kept"),
    node(str, "n", "n_text"),
])
"""
CATALOG = """
_csv: &csv
  type: pandas.CSVDataset
cars:
  <<: *csv
  filepath: ${_folder}/cars.csv
_folder: data
kept:
  type: PickleDataset
  path: kept.pkl
"{name}_text":
  type: text.TextDataset
  filepath: "{name}.txt"
"""


@pytest.fixture
def folder(tmp_path):
    """A pipeline, a catalog, parameters and data."""
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "catalog.yml").write_text(CATALOG)
    (tmp_path / "params.yml").write_text("model:\n  factor: 3\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cars.csv").write_text("a,b\n1,2\n3,4\n")
    return tmp_path


@pytest.fixture
def run(folder):
    """Run the pipeline; what it printed, and its exit code."""

    def run(*arguments, hidden=""):
        code = f"import sys; sys.modules.update(dict.fromkeys({hidden.split()}))\n"
        code += "from motorpool.__main__ import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, "run", *arguments],
            capture_output=True, text=True, check=False, cwd=folder, timeout=100,
        )  # fmt: skip

    return run


def test_catalog_and_parameters_without_a_project(run, folder):
    """Datasets of kedro-datasets, a pattern, anchors, ${...} and a class of ours."""
    done = run(".", "--catalog", "catalog.yml", "--params", "params.yml", "--print", "kept")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[6, {'model': {'factor': 3}}]\n"
    assert (folder / "n.txt").read_text() == "6"
    assert "written        kept: kept.pkl, " in done.stderr


def test_parameters_beside_a_catalog_of_the_module(run, folder):
    """And without Kedro and OmegaConf, which nothing here needs."""
    (folder / "pipeline.py").write_text(
        PIPELINE + "from motorpool import DataCatalog\ncatalog = DataCatalog({'cars': [1, 2]})\n"
    )
    done = run(".", "--params", "params.yml", "--print", "n_text", hidden="kedro omegaconf")
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr


def test_parameters_on_the_command_line_are_typed_and_nested(run, folder):
    """With : or = after the name; what comes behind the first of these is the value."""
    (folder / "pipeline.py").write_text(
        "from motorpool import node, pipeline\n"
        "pipeline = pipeline(node(lambda *p: p, ['params:a.b', 'params:a.c', 'params:d'], 'all'))"
    )
    done = run(".", "--params", "a.b:1, a.c=0.5,d=x:y=z", "--print", "all")
    assert (done.returncode, done.stdout) == (0, "(1, 0.5, 'x:y=z')\n"), done.stderr
    for wrong in ("a", "a:1,=2", ",a:1,b c"):
        done = run(".", "--params", wrong)
        assert done.returncode == 2
        assert f"--params: {wrong.strip(',').split(',')[-1]!r} is neither a file" in done.stderr


@pytest.mark.parametrize(
    ("catalog", "hidden", "message"),
    [
        (None, "", "There is no file 'catalog.yml'"),
        ("a: [1", "", "catalog.yml cannot be read: "),
        ("- a", "", "catalog.yml holds a list, not names with values"),
        ("cars: data/cars.csv", "", "the dataset 'cars' needs a `type`, such as pandas.CSVData"),
        ("cars: {type: PickleDataset}", "", "'cars' cannot be made: TypeError"),
        ("cars: {type: no.SuchDataset}", "", "catalog.yml: .*no.SuchDataset"),
        (
            "cars: {type: no.Such}",
            "kedro kedro.io",
            "no class no.Such. Datasets of Kedro need pip",
        ),
        (CATALOG, "omegaconf", "OmegaConf has to be installed: pip install omegaconf"),
        (CATALOG, "yaml", "YAML has to be installed: pip install pyyaml"),
        ("cars: {type: '${missing}'}", "", "catalog.yml cannot be read: .*missing"),
    ],
)
def test_mistakes_name_the_file_and_the_way_out(run, folder, catalog, hidden, message):
    """Exit code 2, before anything starts."""
    (folder / "catalog.yml").unlink()
    if catalog is not None:
        (folder / "catalog.yml").write_text(catalog)
    done = run(".", "--catalog", "catalog.yml", "--params", "params.yml", hidden=hidden)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    text = " ".join(done.stderr.split())

    assert re.search(message, text), text


def test_yaml_is_no_pipeline(run):
    """It is not taken for a module."""
    done = run("catalog.yml")
    assert done.returncode == 2
    assert "'catalog.yml' is no pipeline. A catalog in YAML goes with --catalog" in done.stderr
