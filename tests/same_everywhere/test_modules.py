"""Modules that Python would not find by their names, and the interpreter's own options."""

import importlib.util
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import functions
import numpy as np
import pytest

from motorpool import ParallelRunner, node, pipeline

SCRIPTS = Path(__file__).parent / "scripts"
TEXT = """
WORD = {word!r}

class Made:
    pass

def word(_x):
    return WORD

def make(_x):
    return Made()

def is_made(made):
    return type(made) is Made
"""

RUNS = """
from motorpool import ParallelRunner, node, pipeline

def f(x):
    return x

ParallelRunner({backend!r}, runs_folder=False).run(pipeline([node(f, "x", "y")]), {{"x": 1}})
"""


def of_this_file(x):
    """Of a module of tests, which pytest loads from its path."""
    return x + 1


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write a module to a folder that is not on the path, and load it from there."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(name, word, folder="elsewhere"):
        file = tmp_path / folder / f"{name.rpartition('.')[2]}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(TEXT.format(word=word))
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def _check(backend, module, word):
    nodes = [
        node(module.word, "x", "word"),
        node(module.make, "x", "made"),
        node(module.is_made, "made", "same"),
    ]
    with ParallelRunner(backend, max_workers=2, runs_folder=False) as runner:
        result = runner.run(pipeline(nodes), {"x": 1})
        made = runner.run(pipeline(nodes[1:2]), {"x": 1})["made"].load()
    assert (result["word"].load(), result["same"].load()) == (word, True)
    assert type(made) is module.Made


def test_module_that_was_loaded_from_a_path(any_backend, load):
    """Its functions and classes are found in workers by name, as here."""
    _check(any_backend, load("motorpool_probe_placed", "placed"), "placed")


def test_module_whose_name_is_found_elsewhere_as_well(any_backend, load, tmp_path, monkeypatch):
    """The one that the driver has is meant."""
    (tmp_path / "motorpool_probe_twice.py").write_text(TEXT.format(word="wrong"))
    monkeypatch.syspath_prepend(tmp_path)
    _check(any_backend, load("motorpool_probe_twice", "right"), "right")


def test_module_of_a_package_that_has_no_file(any_backend, load, monkeypatch):
    """As test runners make them."""
    package = ModuleType("motorpool_probe")
    monkeypatch.setitem(sys.modules, "motorpool_probe", package)
    package.part = load("motorpool_probe.part", "part")
    _check(any_backend, package.part, "part")


def test_function_of_a_module_of_tests(any_backend, run):
    """Like this one."""
    result = run(any_backend, pipeline([node(of_this_file, "x", "y")]), {"x": 1})
    assert result["y"].load() == 2


def test_workers_agree_on_hashes(all_backends, script):
    """So nodes can share data out by them, whatever starts the workers."""
    nodes = [node(functions.hash_of, "x", f"hash {number}") for number in range(4)]
    seen = set()
    for backend in set(all_backends) - {"threads", "sequential"}:
        with ParallelRunner(backend, max_workers=2, runs_folder=False) as runner:
            result = runner.run(pipeline(nodes), {"x": "a text"})
            seen |= {result[f"hash {number}"].load() for number in range(4)}
    assert len({value for value, _ in seen}) == 1
    assert {variable for _, variable in seen} == {None}, "the environment is the driver's"


def test_options_of_the_interpreter_are_those_of_workers(any_backend, script):
    """Such as -O, without which `assert` statements of modules would run there."""
    options = ["-OO", "-X", "dev", "-X", "utf8", "-s", "-P", "-W", "error::UserWarning"]
    here, there = script(*options, SCRIPTS / "options.py", any_backend)
    assert here == there
    assert here == [2, 1, 1, 1, 1, False, ["default", "error::UserWarning"], 1]


@pytest.mark.parametrize("module", ["pdb -c continue -c quit", "cProfile -o profile"])
def test_script_under_a_tool_that_runs_it(module, process_backend, tmp_path):
    """A debugger leaves out some of what a `__main__` has."""
    done = subprocess.run(
        [sys.executable, "-m", *module.split(), SCRIPTS / "options.py", process_backend],
        capture_output=True, text=True, cwd=tmp_path, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert lines, done.stderr
    here, there = json.loads(lines[0])
    assert here == there


def test_classes_that_are_noted_down_are_so_once(any_backend, script):
    """By bases and metaclasses of the script, and of a library, which workers import."""
    there, same, again, here = script("registers.py", any_backend)
    assert there == here
    assert same == again == [True] * 3
    assert there["names"] == ["Derived", "Twice"]
    assert there["made"] == ["Made", "MadeWith", "Made", 3]
    assert there["of a library"] == ["noted", {"noted": "Noted"}]
    assert there["by its metaclass"] == ["NotedByMeta", ["NotedByMeta", "Other"]]


def test_array_in_a_file(any_backend, run, tmp_path):
    """A numpy.memmap as an input, which dill cannot pickle by itself."""
    np.arange(1000.0).tofile(tmp_path / "numbers")
    array = np.memmap(tmp_path / "numbers", dtype=float, mode="r")
    result = run(any_backend, pipeline([node(np.sum, "numbers", "sum")]), {"numbers": array})
    assert result["sum"].load() == 499_500


def test_module_that_runs_a_pipeline_when_it_is_imported(process_backend, tmp_path):
    """Workers would import it, and so run it again, without end: it is refused."""
    (tmp_path / "importing.py").write_text(RUNS.format(backend=process_backend))
    command = [sys.executable, "-c", "import importing"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "node 'f__y' is of the module 'importing', which is still being" in done.stderr


def test_process_that_was_forked_has_workers_of_its_own(process_backend, script):
    """As a task queue's are, after a run of the process that they are forked from."""
    assert script("forked.py", process_backend) == [1, 0, 1]


def test_what_a_manager_serves_is_there_for_all(any_backend, run):
    """A node changes it, and the driver sees that."""
    with multiprocessing.Manager() as manager:
        served = manager.dict()
        run(
            any_backend, pipeline([node(functions.set_item, "served", "done")]), {"served": served}
        )
        assert dict(served) == {"key": "value"}


LAZY = """
class Lazy:
    @property
    def __class__(self):
        raise RuntimeError("working outside of a context")

    def __getattr__(self, name):
        raise RuntimeError("working outside of a context")

settings = Lazy()

def increment(x):
    return x + (settings is not None)
"""

USES_LAZY = """
import sys
import lazy
from motorpool import ParallelRunner, node, pipeline

request = lazy.Lazy()

def other(x):
    return request

def double(x):
    return 2 * x

pipe = pipeline([node(lazy.increment, "x", "y"), node(double, "y", "z")])
print(ParallelRunner(sys.argv[1], runs_folder=False).run(pipe, {"x": 20})["z"].load())
"""


def test_proxies_that_stand_for_nothing_yet_are_not_asked(any_backend, tmp_path):
    """Such as Flask's, beside the nodes' functions: they raise when they are asked for a class."""
    (tmp_path / "lazy.py").write_text(LAZY)
    (tmp_path / "main.py").write_text(USES_LAZY)
    done = subprocess.run(
        [sys.executable, "main.py", any_backend], cwd=tmp_path, text=True, capture_output=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout == "42\n", done.stderr
