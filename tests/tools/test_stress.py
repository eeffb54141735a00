"""Rounds of tests on busy cores."""

import re
import subprocess
import sys

import stress

SUITE = """
from pathlib import Path

def test_lucky():
    mark = Path({mark!r})
    seen = mark.exists()
    mark.touch()
    assert seen

def test_sound():
    pass
"""


def test_test_that_fails_once_is_reported_with_its_count(tmp_path):
    """And is a failure of the whole."""
    suite = tmp_path / "test_it.py"
    suite.write_text(SUITE.format(mark=str(tmp_path / "mark")))
    command = [sys.executable, stress.__file__, "3", str(suite)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^1 of 3: \S*test_it.py::test_lucky$", done.stdout, re.MULTILINE)
    assert "2 of 3 rounds without a failure" in done.stdout
    assert "test_sound" not in done.stdout


def test_each_of_its_places_exists():
    """A name that is changed would else be an error of every round."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n0", *stress.TESTS]
    done = subprocess.run(command, cwd=stress.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
