"""The main job."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Tests run side by side, and threads of OpenMP that find no core spin for minutes.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
ROOT = Path(__file__).parents[1]


def table(backend, folder):
    """Run the main job in a folder; the table that it writes."""
    done = subprocess.run(
        [sys.executable, "-m", "motorpool", "run", ROOT / "examples/flights", "-b", backend],
        cwd=folder, capture_output=True, text=True, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "62 of 62 completed" in done.stderr
    assert (folder / "out/delays.png").read_bytes().startswith(b"\x89PNG")
    return (folder / "out/delays.csv").read_text()


def test_flights_are_counted_and_every_model_beats_its_baseline(tmp_path):
    """Sixteen airlines."""
    rows = [line.split(",") for line in table("direct", tmp_path).splitlines()]
    assert rows[0] == ["airline", "flights", "mean_absolute_error", "baseline_error"]
    assert len(rows) == 17
    assert sum(int(row[1]) for row in rows[1:]) == 327_346
    assert all(float(row[2]) <= float(row[3]) for row in rows[1:])


@pytest.mark.matrix
@pytest.mark.timeout(1800)
def test_flights_give_the_same_table_on_every_backend(all_backends, tmp_path):
    """To the last digit."""
    tables = {}
    for backend in all_backends:
        (tmp_path / backend).mkdir()
        tables[backend] = table(backend, tmp_path / backend)
    expected = tables["sequential"]
    assert {name for name, found in tables.items() if found != expected} == set()
