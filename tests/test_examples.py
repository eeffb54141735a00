"""The main job, on every backend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Tests run side by side, and threads of OpenMP that find no core spin for minutes.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
ROOT = Path(__file__).parents[1]


def _run(backend, folder):
    done = subprocess.run(
        [sys.executable, "-m", "motorpool", "run", ROOT / "examples/flights", "-b", backend],
        cwd=folder, capture_output=True, text=True, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "62 of 62 completed" in done.stderr
    assert (folder / "out/delays.png").read_bytes().startswith(b"\x89PNG")
    return (folder / "out/delays.csv").read_text()


@pytest.mark.timeout(600)  # six runs of the main job, with other tests beside them
def test_flights_give_the_same_table_on_every_backend(all_backends, tmp_path):
    """Sixteen airlines; every model at least as good as its baseline."""
    tables = {}
    for backend in all_backends:
        folder = tmp_path / backend
        folder.mkdir()
        tables[backend] = _run(backend, folder)
    expected = tables["sequential"]
    assert {name for name, table in tables.items() if table != expected} == set()
    rows = [line.split(",") for line in expected.splitlines()]
    assert rows[0] == ["airline", "flights", "mean_absolute_error", "baseline_error"]
    assert len(rows) == 17
    assert sum(int(row[1]) for row in rows[1:]) == 327_346
    assert all(float(row[2]) <= float(row[3]) for row in rows[1:])
