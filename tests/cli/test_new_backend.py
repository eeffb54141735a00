"""`motorpool new-backend`, and what it writes."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from motorpool.cli._new_backend import new_backend

FILES = [
    ".github/workflows/tests.yml", ".gitignore", "README.md", "pyproject.toml",
    "src/motorpool_my_farm/__init__.py", "src/motorpool_my_farm/py.typed", "tests/test_my_farm.py",
]  # fmt: skip


def written(folder):
    """Every file of a folder."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def install(folder):
    """Put what a distribution's pyproject.toml says onto a path, as an installer does."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / "src" / f"{project['name'].replace('-', '_')}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n"
    )
    ((group, entries),) = project["entry-points"].items()
    lines = "".join(f"{name} = {module}\n" for name, module in entries.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    path = os.pathsep.join([str(folder / "src"), *sys.path])
    return {**os.environ, "PYTHONPATH": path}


def test_generated_backend_passes_its_own_tests(tmp_path, monkeypatch):
    """At once, and the kit knows it by its name."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(new_backend, ["my_farm"])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "motorpool-my-farm"
    assert written(folder) == FILES
    assert "cd motorpool-my-farm" in done.output
    env = install(folder)
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "motorpool.testing._plugin"],
        cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout
    assert int(re.search(r"(\d+) passed", tests.stdout)[1]) > 40
    listed = subprocess.run(
        [sys.executable, "-m", "motorpool", "backends"],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "my_farm  thread  motorpool-my-farm 0.1.0" in listed.stdout
    assert "-o thread_name_prefix=my_farm  (str)" in listed.stdout


def test_generated_backend_is_lint_free_and_has_no_placeholder(tmp_path):
    """No placeholder is left, and Ruff has nothing against the code."""
    into = tmp_path / "here"
    into.mkdir()
    done = CliRunner().invoke(new_backend, ["my_farm", "--into", str(into)])
    assert done.exit_code == 0, done.output
    assert written(into) == FILES
    for name in FILES:
        assert not re.search(r"(?<!\{)\$(?!\{\{)", (into / name).read_text()), name
    lines = Path(into / "tests/test_my_farm.py").read_text().splitlines()
    assert len(lines) <= 10
    for command in (["check"], ["format", "--check"]):
        ruff = subprocess.run(
            [Path(sys.executable).with_name("ruff"), *command, "--isolated", str(into)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ruff.returncode == 0, ruff.stdout


@pytest.mark.parametrize(("arguments", "message"), [
    (["My-Farm"], "is not made of lower-case letters"),
    (["direct"], "there is a backend 'direct' already"),
    (["farm", "--into", "full"], "full exists, and is not an empty folder; nothing was written"),
])  # fmt: skip
def test_mistakes_are_named(arguments, message, tmp_path, monkeypatch):
    """Before anything is written."""
    monkeypatch.chdir(tmp_path)
    Path("full").mkdir()
    Path("full/mine").touch()
    done = CliRunner().invoke(new_backend, arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert written(tmp_path) == ["full/mine"]
