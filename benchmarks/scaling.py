"""What a no-op node costs in pipelines of 1,000 to 100,000 nodes, in time and in driver memory.

    uv run python benchmarks/scaling.py [--repeat 3]

Each size is a process of its own, all in turn; the first run, which starts the workers, does
not count.
For the largest, the same with a progress bar, with an event file and with a trace.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SIZES = (1_000, 10_000, 100_000)
WATCHERS = ("progress bar", "event file", "trace")


def observers(name: str) -> list[Any]:
    """Who watches."""
    from rich.console import Console

    from motorpool._run.progress import TerminalProgress
    from motorpool.cli._observers import EventFile, Files

    if name == "progress bar":
        return [TerminalProgress(Console(file=io.StringIO(), force_terminal=True))]
    if name == "trace":
        return Files(None, None, None, Path("/dev/null"), "").observers
    return [EventFile(Path("/dev/null").open("w"))] if name == "event file" else []


def resident() -> int:
    """Bytes of memory that this process has."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def measure(count: int, shape: str) -> dict[str, float]:
    """Seconds a node, by who watches, and bytes a node."""
    from overhead import chain, independent

    from motorpool import ParallelRunner

    shapes = {"independent": independent, "chain": chain}
    found: dict[str, float] = {}
    pipe = shapes[shape](2)
    with ParallelRunner(max_workers=2, runs_folder=False) as runner:
        runner.run(pipe, {"x": 1})
        before = resident()
        pipe = shapes[shape](count)
        result = runner.run(pipe, {"x": 1})
        found["bytes"] = (resident() - before) / count
        del result
    rounds = 3 if count < max(SIZES) else 1
    times: dict[str, list[float]] = {}
    for name in ("no observer", *WATCHERS) if count == max(SIZES) else ("no observer",):
        with ParallelRunner(max_workers=2, observers=observers(name)) as runner:
            runner.run(pipe, {"x": 1})
            for _ in range(rounds):
                began = time.perf_counter()
                runner.run(pipe, {"x": 1})
                times.setdefault(name, []).append((time.perf_counter() - began) / count)
    return found | {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(int(options.measure[0]), options.measure[1])))
        return
    print(f"{datetime.now(tz=UTC):%Y-%m-%d}, Python {platform.python_version()}, 2 workers")
    for shape in ("independent", "chain"):
        found: dict[tuple[int, str], list[float]] = {}
        for _ in range(options.repeat):
            for count in SIZES:
                command = [sys.executable, __file__, "--measure", str(count), shape]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                for name, value in json.loads(done.stdout.splitlines()[-1]).items():
                    found.setdefault((count, name), []).append(value)
        medians = {key: statistics.median(values) for key, values in found.items()}
        print(f"\n| {shape} | us a node | x 1,000 nodes | bytes a node |\n|---|---|---|---|")
        base = medians[SIZES[0], "no observer"]
        for count in SIZES:
            taken, size = medians[count, "no observer"], medians[count, "bytes"]
            print(f"| {count:,} | {taken * 1e6:.1f} | {taken / base:.2f} | {size:.0f} |")
        for name in WATCHERS:
            taken = medians[SIZES[-1], name]
            ratio = taken / medians[SIZES[-1], "no observer"]
            print(f"| {SIZES[-1]:,}, {name} | {taken * 1e6:.1f} | {ratio:.2f} x without | |")


if __name__ == "__main__":
    main()
