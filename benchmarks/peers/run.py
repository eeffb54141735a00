# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "motorpool",
#     "dask[distributed]==2026.8.0",
#     "executorlib==1.11.0",
#     "hyperqueue==0.27.0",
#     "joblib==1.6.0",
#     "kedro==1.7.0",
#     "loky==3.7.0",
#     "parsl==2026.10.26",
#     "pipefunc==0.93.2",
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
ProcessPoolExecutor. A peer that breaks, or that would take too long, is a row with the reason.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from base import WORKERS
from contenders import ALL

from motorpool._report.units import seconds
from motorpool.bench._graphs import tasks
from motorpool.bench._metg import find_metg
from motorpool.bench._suite import efficiency_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from base import Contender

    from motorpool.bench._graphs import Task

GRAPHS = {
    "2,000 independent": ("trivial", 4, 500),
    "200 independent": ("trivial", 4, 50),
    "chain of 300": ("chain", 1, 300),
    "stencil, 4 x 25": ("stencil", 4, 25),
    "stencil, 4 x 250": ("stencil", 4, 250),
    "pipeline, 4 x 25": ("pipeline", 4, 25),
}
METG = ("trivial", "stencil")
# A run that takes longer (s) is measured once, and one that would take still longer is left out.
_PATIENCE, _LIMIT = 15.0, 60.0
# A node that costs more (s) than this has to be ten times as long as the target; METG is left out.
_SHORT = 3e-3
# The largest graph that the search for METG runs.
_METG_NODES = 1000
# Seconds for all measurements of one contender in one round.
_ROUND = 900.0
_PACKAGES = (
    "dask", "distributed", "executorlib", "hyperqueue", "joblib", "kedro", "loky", "parsl",
    "pipefunc", "ray",
)  # fmt: skip


def timed(run: Callable[[], object]) -> float:
    """Seconds that a run takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def measure(name: str) -> dict[str, float | str]:
    """All figures of one contender, in seconds; or why there is none, in words."""
    found: dict[str, float | str] = {}
    with ALL[name]() as contender:
        small = contender.prepare(tasks("trivial", 4, 5), 1)
        small()
        cost = timed(small) / 20
        for title, shape in GRAPHS.items():
            graph = tasks(*shape)
            if len(graph) > contender.most:
                found[title] = contender.why
            elif cost * len(graph) > _LIMIT:
                found[title] = f"a run would take {seconds(cost * len(graph))}"
            else:
                run = contender.prepare(graph, 1)
                first = timed(run)
                times = [first] if first > _PATIENCE else [timed(run) for _ in range(3)]
                found[title] = statistics.median(times) / len(graph)
        for pattern in METG:
            title = f"METG {pattern}"
            if contender.most < _METG_NODES:
                found[title] = contender.why
            elif cost >= _SHORT:
                found[title] = f"{seconds(cost)} a node"
            else:
                found[title] = granularity(contender, pattern)
    return found


def granularity(contender: Contender, pattern: str) -> float:
    """METG(50 %) in seconds."""

    def run(graph: list[Task], iterations: int) -> float:
        return timed(contender.prepare(graph, iterations))

    return find_metg(efficiency_of(run, pattern, WORKERS))


def measured_apart(name: str) -> dict[str, float | str]:
    """As `measure`, in a process of its own; what goes wrong is the reason everywhere."""
    command = [sys.executable, __file__, "--measure", name]
    if ALL[name].isolated:
        command = ["unshare", "--map-root-user", "--net", "sh", "-c",
                   'ip link set lo up && exec "$@"', "sh", *command]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=_ROUND)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        return dict.fromkeys(titles(), f"not done after {_ROUND:.0f} s")
    if process.returncode:
        words = [line for line in errors.splitlines() if line.strip()] or [""]
        reason = f"failed with exit code {process.returncode}: {words[-1].strip()}"
        return dict.fromkeys(titles(), reason)
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures


def titles() -> list[str]:
    """What is measured."""
    return [*GRAPHS, *(f"METG {pattern}" for pattern in METG)]


def report(found: dict[str, list[dict[str, float | str]]]) -> None:
    """A table for each measure."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    print(
        f"{datetime.now(tz=UTC):%Y-%m-%d}, {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}, {WORKERS} workers; {versions}"
    )
    for title in titles():
        unit = "METG(50 %)" if title.startswith("METG") else "a node"
        print(f"\n| {title} | {unit} | x by hand | lowest - highest |\n|---|---|---|---|")
        for line in rows(title, found):
            print(line)


def rows(title: str, found: dict[str, list[dict[str, float | str]]]) -> list[str]:
    """The fastest first; those without a figure last, with the reason."""
    values = {
        name: [value for each in rounds if not isinstance(value := each[title], str)]
        for name, rounds in found.items()
    }
    medians = {name: statistics.median(some) for name, some in values.items() if some}
    base = medians.get("ProcessPoolExecutor", math.nan)
    lines = []
    for name, middle in sorted(medians.items(), key=lambda item: item[1]):
        spread = f"{seconds(min(values[name]))} - {seconds(max(values[name]))}"
        lines.append(f"| {name} | {seconds(middle)} | {middle / base:.3g} | {spread} |")
    others = [name for name in found if name not in medians]
    return [*lines, *(f"| {name} | {found[name][0][title]} | | |" for name in others)]


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", help="names, with commas in between")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print("\n" + json.dumps(measure(options.measure)))
        return
    names = options.only.split(",") if options.only else list(ALL)
    if unknown := sorted(set(names) - set(ALL)):
        parser.error(f"there are no contenders {unknown}; there are {list(ALL)}")
    found: dict[str, list[dict[str, float | str]]] = {name: [] for name in names}
    for _ in range(options.repeat):
        for name in names:
            found[name].append(measured_apart(name))
            print(name, found[name][-1], file=sys.stderr)
    report(found)


if __name__ == "__main__":
    main()
