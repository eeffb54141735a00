"""`motorpool check`, on backends that are installed, sound and otherwise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """
from concurrent.futures import ThreadPoolExecutor
from motorpool import Capabilities, ExecutorBackend, Isolation, hookimpl

class Backend(ExecutorBackend):
    capabilities = Capabilities(isolation=Isolation.THREAD)

    def _get_executor(self, max_workers):
        return ThreadPoolExecutor(2 * max_workers)

@hookimpl
def motorpool_register_backend():
    return Backend
"""


@pytest.fixture
def check(tmp_path):
    """Run the command; its exit code and what it printed."""

    def check(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "motorpool", "check", *arguments],
            capture_output=True, text=True, cwd=tmp_path, check=False, timeout=300,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return check


def test_report_of_a_sound_backend(check, tmp_path):
    """A table of capabilities, the timings, the counts; and no file stays."""
    code, printed, complaints = check("sequential")
    assert code == 0, printed + complaints
    lines = [line.split() for line in printed.splitlines()]
    assert lines[0][0] == "sequential"
    assert ["isolation", "none", "yes"] in lines
    assert ["exact_blame", "no", "not", "tested"] in lines
    assert {line[0] for line in lines if line and line[-1] in {"us", "ms", "s"}} == {
        "start", "submit", "round", "hand"
    }  # fmt: skip
    assert " passed, " in printed
    assert "failed" not in printed
    assert list(tmp_path.iterdir()) == []


def test_report_of_a_broken_backend(check, install):
    """The test and what is wrong, in one line; the exit code says so too."""
    install("twofold", BROKEN)
    code, printed, _ = check("twofold", "--level", "core")
    assert code == 1
    assert "failed test_as_many_at_once_as_workers: max_workers is 3, and 4 tasks" in printed
    assert printed.splitlines()[0] == "twofold  dist-twofold 1.0, level core"


def test_report_as_json(check):
    """The same, for programs."""
    code, printed, _ = check("threads", "--level", "core", "--json")
    report = json.loads(printed)
    assert code == 0
    assert report["backend"] == "threads"
    assert report["proven"]["isolation"] is True
    assert {each["level"] for each in report["found"]} == {"core"}
    assert all(each["seconds"] >= 0 for each in report["timings"])


@pytest.mark.parametrize(("wrong", "message"), [
    (["lokky"], "do you mean 'loky'?"),
    (["direct", "-o", "start_metod=fork"], "start_method"),
    (["direct", "--level", "all"], "'all' is not one of"),
])  # fmt: skip
def test_mistakes_are_named(check, wrong, message):
    """Before anything starts."""
    code, _, complaints = check(*wrong)
    assert code == 2
    assert message in complaints


def test_missing_extra_is_named(check, tmp_path):
    """As the command that installs it."""
    Path(tmp_path, "pytest.py").write_text("raise ModuleNotFoundError(name='pytest')")
    code, _, complaints = check("threads")
    assert code == 1
    assert "pip install pytest psutil" in complaints
