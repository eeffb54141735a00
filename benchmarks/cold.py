"""How long `motorpool run` of one node takes from a cold start, beside a bare script.

    uv run python benchmarks/cold.py [--repeat 9]

Each is a process of its own, all of them in turn; medians, and ratios to a script that runs the
same function through ProcessPoolExecutor.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

FUNCTIONS = {
    "a function of plain Python": "def f(x):\n    return x + 1\n",
    "a function that needs pandas": (
        "import pandas as pd\n\ndef f(x):\n    return len(pd.DataFrame({'x': range(x)}))\n"
    ),
}
PIPELINE = (
    "from motorpool import node, pipeline as make\n"
    "pipeline = make(node(f, 'x', 'y'))\ncatalog = {'x': 3}\n"
)
BARE = """import multiprocessing
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    context = multiprocessing.get_context("METHOD")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(f, 3).result()
"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    print(f"{datetime.now(tz=UTC):%Y-%m-%d}, Python {platform.python_version()}")
    for title, function in FUNCTIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            commands = scripts(Path(folder), function)
            times: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(options.repeat):
                for name, command in commands.items():
                    began = time.perf_counter()
                    subprocess.run(command, check=True, capture_output=True, cwd=folder)
                    times[name].append(time.perf_counter() - began)
        base = statistics.median(times["bare, fork"])
        print(f"\n| {title} | ms | ratio |\n|---|---|---|")
        for name, found in times.items():
            middle = statistics.median(found)
            print(f"| {name} | {middle * 1e3:.0f} | {middle / base:.2f} |")


def scripts(folder: Path, function: str) -> dict[str, list[str]]:
    """The commands to compare."""
    (folder / "one.py").write_text(function + PIPELINE)
    commands = {}
    for method in ("fork", "forkserver"):
        script = folder / f"{method}.py"
        script.write_text(function + BARE.replace("METHOD", method))
        commands[f"bare, {method}"] = [sys.executable, str(script)]
    command = [sys.executable, "-m", "motorpool", "run", "one.py"]
    for backend in ("direct", "process"):
        commands[f"motorpool run, {backend}"] = [*command, "-b", backend]
    return commands


if __name__ == "__main__":
    main()
