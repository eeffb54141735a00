"""`kedro run` of the tests' project, by each of Kedro's runners and of ours, and `motorpool run`.

    uv run python benchmarks/kedro_command.py --repeat 5

Seconds for the whole command, medians of interleaved rounds. The first round fills caches, and
does not count.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "tests/kedro_project"
OURS = "motorpool.kedro.ParallelRunner"
WAYS = {
    "kedro run, SequentialRunner": ["kedro", "run", "--runner=SequentialRunner"],
    "kedro run, ThreadRunner": ["kedro", "run", "--runner=ThreadRunner"],
    "kedro run, ours": ["kedro", "run", f"--runner={OURS}"],
    "kedro run, ours from a server": [
        "kedro", "run", f"--runner={OURS}", "--runner-params=start_method=forkserver",
    ],
    "kedro run, our SequentialRunner": [
        "kedro", "run", "--runner=motorpool.kedro.SequentialRunner",
    ],
    "motorpool run": ["motorpool", "run", "."],
}  # fmt: skip


def seconds(command: list[str], folder: Path) -> float:
    """How long a command takes in a copy of the project."""
    env = {
        **os.environ, "DO_NOT_TRACK": "1", "POOL_LOG": os.devnull,
        "PYTHONPATH": os.pathsep.join([str(folder / "plugin"), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    shutil.rmtree(folder / "out", ignore_errors=True)
    program = Path(sys.executable).with_name(command[0])
    began = time.perf_counter()
    subprocess.run(
        [str(program), *command[1:]], cwd=folder, env=env, check=True, capture_output=True
    )
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5, help="rounds that count")
    repeat = parser.parse_args().repeat
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory(prefix="kedro-command-") as temporary:
        folder = Path(temporary) / "project"
        shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for _ in range(1 + repeat):
            for name, command in WAYS.items():
                found[name].append(seconds(command, folder))
    print("| | seconds (lowest - highest) |\n|---|---|")
    for name, values in found.items():
        kept = values[1:]
        print(f"| {name} | {statistics.median(kept):.2f} ({min(kept):.2f} - {max(kept):.2f}) |")


if __name__ == "__main__":
    main()
