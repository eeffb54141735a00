"""The public names, and what importing them costs."""

import ast
import importlib
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import motorpool

SOURCE = Path(motorpool.__file__).parent
ROOT = Path(__file__).parents[1]
PUBLIC = [
    "adapters", "backend", "catalog", "cli", "errors", "events", "executors", "hookspecs",
    "pipeline", "processes", "registry", "runner", "store", "testing",
]  # fmt: skip


def test_public_names_are_these():
    """A name that comes or goes is noticed here first."""
    assert sorted(motorpool.__all__) == sorted([
        "API_VERSION", "AbstractRunner", "Capabilities", "DataCatalog", "Dataset",
        "ExecutorBackend", "Isolation", "MemoryDataset", "Node", "Observer", "ParallelRunner",
        "PickleDataset", "Pipeline", "Retry", "SequentialRunner", "SharedMemoryDataCatalog",
        "ThreadRunner", "__version__", "allocate", "create_hook_manager", "errors", "events",
        "hookimpl", "hookspec", "node", "pipeline",
    ])  # fmt: skip
    for name in motorpool.__all__:
        assert getattr(motorpool, name) is not None


def test_unknown_name_is_an_attribute_error():
    """Lazy names do not hide typos."""
    with pytest.raises(AttributeError, match="no attribute 'paralel'"):
        _ = motorpool.paralel


@pytest.mark.parametrize("name", PUBLIC)
def test_public_module_has_all_and_docstrings(name):
    """Every name in `__all__` is there, and says what it is."""
    module = importlib.import_module(f"motorpool.{name}")
    for item in module.__all__:
        found = getattr(module, item)
        plain = isinstance(found, int) or typing.get_origin(found) is typing.Literal
        assert plain or found.__doc__, item


def test_import_loads_no_backend_and_nothing_heavy():
    """Neither a backend nor what only a run or the command line needs."""
    code = "import sys, motorpool; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"click", "rich", "cloudpickle", "pluggy", "numpy", "kedro", "threadpoolctl", "loky"}
    heavy |= {"concurrent.futures", "hashlib", "html", "logging", "pathlib", "secrets"}
    assert not heavy & loaded
    backends = {m for m in loaded if m.startswith(("motorpool._backends.", "motorpool_"))}
    assert backends <= {"motorpool._backends.adapter"}


@pytest.mark.parametrize(
    "folder",
    sorted([*(p.parent for p in ROOT.glob("backends/*/pyproject.toml")), ROOT / "examples"]),
    ids=lambda folder: folder.name,
)
def test_plugins_and_examples_import_no_private_name(folder):
    """So that a copy of one does not break with the next version."""
    found = set()
    for path in folder.rglob("*.py"):
        if "tests" in path.parts:
            continue
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.ImportFrom) and statement.module:
                found |= {f"{statement.module}.{alias.name}" for alias in statement.names}
            elif isinstance(statement, ast.Import):
                found |= {alias.name for alias in statement.names}
    mine = {item for item in found if item.partition(".")[0] == "motorpool"}
    assert mine
    assert not {item for item in mine if "._" in item}


def test_modules_and_functions_are_short():
    """300 lines a module, 30 a function, docstrings not counted."""
    long = []
    for path in [*SOURCE.rglob("*.py"), *(SOURCE.parents[1] / "backends").glob("*/src/*/*.py")]:
        text = path.read_text()
        if text.count("\n") > 300:
            long.append(f"{path.name}: {text.count(chr(10))} lines")
        for item in ast.walk(ast.parse(text)):
            if isinstance(item, ast.FunctionDef):
                body = item.body[ast.get_docstring(item) is not None :]
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                if length > 30:
                    long.append(f"{path.name}: {item.name} has {length} lines")
    assert not long


def test_every_test_has_a_docstring():
    """It says what holds, where the name says what is done."""
    root = SOURCE.parents[1]
    bare = [
        f"{path.name}: {item.name}"
        for folder in ("tests", "backends")
        for path in (root / folder).rglob("test_*.py")
        for item in ast.walk(ast.parse(path.read_text()))
        if isinstance(item, ast.FunctionDef)
        and item.name.startswith("test_")
        and not ast.get_docstring(item)
    ]
    assert not bare
