# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "motorpool",
#     "dask[distributed]==2026.8.0",
#     "executorlib==1.11.0",
#     "joblib==1.6.0",
#     "kedro==1.7.0",
#     "loky==3.7.0",
#     "parsl==2026.10.26",
#     "ray==2.60.0",
# ]
#
# [tool.uv.sources]
# motorpool = { path = "../..", editable = true }
# ///
"""The same graphs on Motorpool and its peers: what a node costs, and how short it may be.

    uv run benchmarks/peers/run.py [--repeat 3] [--only motorpool,ray]

Installs the peers in an environment of its own. Each contender runs in fresh processes, all of
them in turn, with two warm workers; medians, and ratios to a hand-written loop over
ProcessPoolExecutor. What takes longer than a quarter of a minute is measured once a round.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contenders import ALL, WORKERS

from motorpool._report.units import seconds
from motorpool.bench._graphs import tasks
from motorpool.bench._metg import find_metg
from motorpool.bench._suite import efficiency_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from contenders import Contender

    from motorpool.bench._graphs import Task

GRAPHS = {
    "2,000 independent": ("trivial", 4, 500),
    "200 independent": ("trivial", 4, 50),
    "chain of 300": ("chain", 1, 300),
    "stencil, 4 x 250": ("stencil", 4, 250),
}
METG = ("trivial", "stencil")
# A run that takes longer (s) is measured once, and one that would take still longer is left out.
_PATIENCE, _LIMIT = 15.0, 60.0
# A node that costs more (s) than this has to be ten times as long as the target; METG is left out.
_SHORT = 3e-3
# Systems without a graph have no METG of one.
_NO_GRAPH = {"joblib", "ProcessPoolExecutor", "loky"}


def timed(run: Callable[[], object]) -> float:
    """Seconds that a run takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def measure(name: str) -> dict[str, float]:
    """All figures of one contender, in seconds."""
    found: dict[str, float] = {}
    with ALL[name]() as contender:
        small = contender.prepare(tasks("trivial", 4, 5), 1)
        small()
        cost = timed(small) / 20
        for title, shape in GRAPHS.items():
            graph = tasks(*shape)
            if cost * len(graph) > _LIMIT:
                continue
            run = contender.prepare(graph, 1)
            first = timed(run)
            times = [first] if first > _PATIENCE else [timed(run) for _ in range(3)]
            found[title] = statistics.median(times) / len(graph)
        for pattern in METG:
            if cost < _SHORT:
                found[f"METG {pattern}"] = granularity(contender, pattern)
    return found


def granularity(contender: Contender, pattern: str) -> float:
    """METG(50 %) in seconds."""

    def run(graph: list[Task], iterations: int) -> float:
        return timed(contender.prepare(graph, iterations))

    return find_metg(efficiency_of(run, pattern, WORKERS))


def report(found: dict[str, list[dict[str, float]]]) -> None:
    """A table for each measure."""
    packages = ("dask", "distributed", "executorlib", "joblib", "kedro", "loky", "parsl", "ray")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(
        f"{datetime.now(tz=UTC):%Y-%m-%d}, {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}, {WORKERS} workers; {versions}"
    )
    for title in (*GRAPHS, *(f"METG {pattern}" for pattern in METG)):
        medians = {
            name: statistics.median(values)
            for name, rounds in found.items()
            if (values := [each[title] for each in rounds if title in each])
        }
        base = medians.get("ProcessPoolExecutor", math.nan)
        unit = "METG(50 %)" if title.startswith("METG") else "a node"
        print(
            f"\n| {title} | {unit} | x hand-written loop | lowest - highest |\n|---|---|---|---|"
        )
        for name, middle in sorted(medians.items(), key=lambda item: item[1]):
            values = [each[title] for each in found[name] if title in each]
            spread = f"{seconds(min(values))} - {seconds(max(values))}"
            print(f"| {name} | {seconds(middle)} | {middle / base:.3g} | {spread} |")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", help="names, with commas in between")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        figures = measure(options.measure)
        print("\n" + json.dumps(figures))
        return
    names = options.only.split(",") if options.only else list(ALL)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(options.repeat):
        for name in names:
            command = [sys.executable, __file__, "--measure", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                print(f"{name} failed with exit code {done.returncode}", file=sys.stderr)
                continue
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(name, found[name][-1], file=sys.stderr)
    report(found)


if __name__ == "__main__":
    main()
