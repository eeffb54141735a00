"""What a server of workers imports for all of them, and how it is known beforehand."""

import importlib
import json
import os
import subprocess
import sys
from functools import partial

import pytest

from motorpool._system import imports
from motorpool._system.kedro_project import WORKER_MODULES
from motorpool._system.libraries import libraries_of
from motorpool._system.preload import VARIABLE

SCRIPT = """
import sys
from motorpool import ParallelRunner, node, pipeline
import pandas as pd

def seen(x):
    return sorted({"pandas", "sklearn"} & set(sys.modules))

if __name__ == "__main__":
    pipe = pipeline([node(seen, "x", "y"), node(lambda y: pd.__name__, "y", "z")])
    with ParallelRunner("BACKEND", max_workers=1) as runner:
        assert runner.run(pipe, {"x": 1})["z"].load() == "pandas"
        print(runner.run(pipeline(node(seen, "x", "y")), {"x": 1})["y"].load())
"""


@pytest.fixture
def needed(monkeypatch):
    """What is needed, from nothing."""
    monkeypatch.setattr(imports, "_needed", set())
    return imports.needed


def test_installed_libraries_of_functions_are_found(needed):
    """Through partials, closures and the user's own modules; not the standard library."""
    namespace = {"__name__": "__main__"}
    source = """
import click, json, pandas, sklearn
def f(): return [pandas for _ in json]
def outer(library):
    def closure(): return library
    return closure
closure = outer(click)
"""
    exec(source, namespace)
    imports.need([partial(namespace["f"]), namespace["closure"], len])
    assert needed() == ["click", "pandas"]


def test_only_what_a_notebooks_function_uses_is_needed(needed):
    """And not all that has been imported beside it."""
    namespace = {"__name__": "__main__"}
    exec("import pandas, sklearn\ndef f(x):\n  return pandas.DataFrame(x)", namespace)
    imports.need([namespace["f"]])
    assert needed() == ["pandas"]


def test_libraries_of_a_target_are_read_and_not_imported(tmp_path):
    """From the file and those beside it; neither what functions import nor what types need."""
    (tmp_path / "pipeline.py").write_text(
        "import os, numpy as np\nfrom helpers import thing\nfrom . import other\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import polars\n"
        "try:\n    import pandas.io.sql\nexcept ImportError:\n    pass\n"
        "def f():\n    import sklearn\nraise SystemExit\n"
    )
    (tmp_path / "helpers.py").write_text("from click.core import Group\nimport pipeline\n")
    assert libraries_of(str(tmp_path)) == {"numpy", "click.core", "pandas.io.sql"}
    assert libraries_of(f"{tmp_path}/helpers.py:x") >= {"click.core"}
    (tmp_path / "broken.py").write_text("import numpy\ndef (")
    assert libraries_of(str(tmp_path / "broken.py")) == set()
    assert libraries_of("no.such.module:x") == set()


def test_libraries_of_a_kedro_project_are_those_of_its_package_and_its_catalogs(tmp_path):
    """In any of its configurations, with the classes named in any way that Kedro takes."""
    (tmp_path / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "p"')
    for name, text in (
        ("src/p/nodes.py", "import sklearn.cluster\nfrom kedro.framework.project import settings"),
        ("conf/base/catalog.yml", "a:\n  type: pandas.CSVDataset\nb: {type: 'json.JSONDataset'}"),
        (
            "conf/other/catalog/more.yml",
            "c:\n  dataset:\n    type: kedro_datasets.text.TextDataset",
        ),
        (
            "conf/base/catalog_wrong.yml",
            "d:\n  type: no.Such\ne:\n  type: pandas.NoDataset\n  type: x",
        ),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = libraries_of(str(tmp_path))
    assert found == {
        *WORKER_MODULES, "sklearn.cluster", "kedro_datasets.pandas.csv_dataset",
        "kedro_datasets.json.json_dataset", "kedro_datasets.text.text_dataset",
    }  # fmt: skip
    for name in found:
        importlib.import_module(name)


@pytest.mark.parametrize("backend", ["direct", "process", "multiprocess"])
def test_worker_finds_libraries_imported(backend, tmp_path):
    """Before its first node."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("BACKEND", backend))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True,
                          timeout=300, cwd=tmp_path, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['pandas']\n"


WARY = """
import sys
from motorpool import ParallelRunner, node, pipeline
import pandas as pd

def say(x):
    print("pandas" in sys.modules)
    return x

def use(y):
    return pd.__name__

if __name__ == "__main__":
    pipe = pipeline([node(say, "x", "y"), node(use, "y", "z")])
    assert ParallelRunner("direct", 1).run(pipe, {"x": 1})["z"].load() == "pandas"
"""


@pytest.mark.parametrize(("switch", "found"), [("0", False), ("off", False), ("", True)])
def test_preloading_can_be_turned_off(switch, found, tmp_path):
    """A worker then imports what its nodes need when they need it."""
    script = tmp_path / "script.py"
    script.write_text(WARY)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True,
                          timeout=300, cwd=tmp_path, check=False,
                          env={**os.environ, "MOTORPOOL_PRELOAD": switch})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{found}\n"


def test_library_that_starts_a_thread_is_left_out(tmp_path):
    """The server begins again without it; one that raises is left to the workers."""
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    (tmp_path / "broken.py").write_text("raise SystemExit('broken')\n")
    code = (
        "import os, sys, threading, motorpool._system.preload\n"
        "print([m for m in ('colorsys', 'threaded', 'broken', 'fractions') if m in sys.modules])\n"
        f"print(threading.active_count(), {VARIABLE!r} in os.environ,"
        " 'OMP_NUM_THREADS' in os.environ)"
    )
    modules = ["colorsys", "broken", "threaded", "fractions"]
    told = json.dumps([modules, [str(tmp_path)]])
    environ = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          timeout=300, env={**environ, VARIABLE: told}, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['colorsys', 'fractions']\n1 False False\n"
