"""Pipelines run where others stumble."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "scripts/narrow.py"
EXPECTED = {
    "plain": 2, "descriptors": [sum(range(500))] * 2, "long_path": 2, "daemon": 2,
    "no_streams": 2, "streams_of_none": 2, "folder_that_is_gone": 2,
}  # fmt: skip


def found_in(place, backend, folder):
    """What a pipeline gives in a narrow place."""
    file = folder / "found"
    command = [sys.executable, str(SCRIPT), backend, place, str(file)]
    done = subprocess.run(command, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(file.read_text())


@pytest.mark.parametrize("place", EXPECTED)
def test_pipeline_runs_in_a_narrow_place(place, process_backend, tmp_path):
    """Few descriptors, a long TMPDIR, a daemonic process, no streams, no working directory."""
    assert found_in(place, process_backend, tmp_path) == EXPECTED[place]


def test_lock_that_is_taken_is_refused_or_free(process_backend, tmp_path):
    """It never comes back taken, and nothing waits for it."""
    assert found_in("taken_lock", process_backend, tmp_path) in {"refused", 3}
