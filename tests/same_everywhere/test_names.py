"""What a script defines is the same in a node, in a pool that the node starts, and here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"


def found_by(*command, cwd, **options):
    """What a script prints, which is JSON."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, cwd=cwd,
        timeout=100, check=False, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def names_on_sequential(tmp_path_factory):
    """What nodes find that run in the process of the script."""
    folder = tmp_path_factory.mktemp("names")
    return found_by(SCRIPTS / "names.py", "sequential", folder, cwd=folder)


def test_names_of_a_script_are_the_same_in_workers(process_backend, names_on_sequential, tmp_path):
    """Classes of every kind, functions, variables; by pickle, in pools of nodes, and in results."""
    found = found_by(SCRIPTS / "names.py", process_backend, tmp_path, cwd=tmp_path)
    assert found == names_on_sequential
    assert found["pools"] == [[0, 1, 4], True, True]
    assert found["types"]["identity"] == [True] * 3
    assert found["raised"] == [True, 3, [3, "not today"]]


@pytest.mark.parametrize("way", ["module", "text", "input"])
def test_names_of_a_script_that_is_no_file(way, process_backend, tmp_path):
    """`python -m package` with relative imports, `python -c`, and a script from standard input."""
    if way == "module":
        package = tmp_path / "package"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "helpers.py").write_text("def double(n):\n    return 2 * n\n")
        shutil.copy(SCRIPTS / "small.py", package / "__main__.py")
        found = found_by("-m", "package", process_backend, cwd=tmp_path)
        assert found == {"same": [True] * 3, "relative": 6, "spec": "package.__main__"}
        return
    text = (SCRIPTS / "small.py").read_text()
    if way == "text":
        found = found_by("-c", text, process_backend, cwd=tmp_path)
    else:
        found = found_by("-", process_backend, cwd=tmp_path, input=text)
    assert found == {"same": [True] * 3, "relative": None, "spec": None}


def test_names_that_change_between_runs(process_backend, tmp_path):
    """As cells of a notebook that run again: warm workers have the new ones; old objects theirs."""
    found = found_by(SCRIPTS / "changes.py", process_backend, cwd=tmp_path)
    assert found == {
        "function": ["old", "new"], "class": ["old", "new", "patched"], "variable": [1, 2],
        "of the old class": ["old", True],
    }  # fmt: skip


def test_global_that_cannot_be_pickled_is_named_with_its_nodes(process_backend, tmp_path):
    """Before anything starts: those that need it, by way of another function as well."""
    found = found_by(SCRIPTS / "unfit.py", process_backend, cwd=tmp_path)
    lines = found["message"].splitlines()[1:]
    assert [line.split("'")[1] for line in lines] == ["direct_use", "indirect_use"]
    assert all("the global 'generator'" in line for line in lines)


def test_values_of_several_backends_are_of_the_scripts_classes(process_backend, tmp_path):
    """Also of a class that only nodes in the driver refer to, and so workers did not know."""
    found = found_by(SCRIPTS / "mixed.py", process_backend, cwd=tmp_path)
    assert found == {"seen": ["Local", "Remote", 5], "here": [True, True]}
