"""What a script defines is the same in a node, in a pool that the node starts, and here."""

import shutil
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"


def test_names_of_a_script_are_the_same_in_workers(process_backend, script, tmp_path):
    """Classes of every kind, functions, variables; by pickle, in nested pools, in results."""
    found = script("names.py", process_backend, tmp_path)
    assert found == script("names.py", "sequential", tmp_path)
    assert found["pools"] == [[0, 1, 4], True, True, True]
    assert found["types"]["identity"] == [True] * 4
    assert found["raised"] == [True, 3, [3, "not today"]]


@pytest.mark.parametrize("way", ["module", "text", "input"])
def test_names_of_a_script_that_is_no_file(way, process_backend, script, tmp_path):
    """`python -m package` with relative imports, `python -c`, and a script from standard input."""
    text = (SCRIPTS / "small.py").read_text()
    if way == "module":
        package = tmp_path / "package"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "helpers.py").write_text("def double(n):\n    return 2 * n\n")
        shutil.copy(SCRIPTS / "small.py", package / "__main__.py")
        found = script("-m", "package", process_backend)
        assert found == {"same": [True] * 3, "relative": 6, "spec": "package.__main__"}
        return
    command = {"text": ["-c", text], "input": ["-"]}[way]
    found = script(*command, process_backend, input=text)
    assert found == {"same": [True] * 3, "relative": None, "spec": None}


def test_names_of_cells_are_the_same_as_those_of_a_script(process_backend, script, tmp_path):
    """In the kernel of a notebook, whose functions come from no file."""
    found = script("kernel.py", "names.py", process_backend, tmp_path)
    expected = script("names.py", "sequential", tmp_path)
    assert found == expected | {"pools": expected["pools"][:2]}


def test_names_that_change_between_runs(process_backend, script):
    """As cells of a notebook that run again: warm workers have the new, old objects theirs."""
    found = script("changes.py", process_backend)
    assert found == {
        "function": ["old", "new"], "class": ["old", "new", "patched"], "variable": [1, 2],
        "of the old class": ["old", True],
    }  # fmt: skip


def test_global_that_cannot_be_pickled_is_named_with_its_nodes(process_backend, script):
    """Before anything starts: those that need it, by way of another function as well."""
    found = script("unfit.py", process_backend)
    lines = found["message"].splitlines()[1:]
    assert [line.split("'")[1] for line in lines] == ["direct_use", "indirect_use"]
    assert all("the global 'generator'" in line for line in lines)
    assert "'Holding' of the script cannot be pickled" in found["of an input"]
    assert "These can: sequential, threads." in found["of an input"]


def test_values_of_several_backends_are_of_the_scripts_classes(process_backend, script):
    """Also of a class that only nodes in the driver refer to, and so workers did not know."""
    found = script("mixed.py", process_backend)
    assert found == {"seen": ["Local", "Remote", 5], "here": [True, True]}
