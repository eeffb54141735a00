"""What a no-op node costs on each backend, beside a hand-written loop over ProcessPoolExecutor.

    uv run python benchmarks/overhead.py [--nodes 1000] [--repeat 5]

All are measured in one run, interleaved, with two warm workers; medians, and ratios to the
hand-written loop.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime

from motorpool import ParallelRunner, Pipeline, node, registry

WORKERS = 2


def nothing(x: int) -> int:
    """Do nothing."""
    return x


def independent(count: int) -> Pipeline:
    """Nodes without parents."""
    return Pipeline([node(nothing, "x", f"o{i}", name=f"n{i}") for i in range(count)])


def chain(count: int) -> Pipeline:
    """Nodes that each wait for the one before."""
    names = ["x", *(f"o{i}" for i in range(count))]
    return Pipeline([node(nothing, names[i], names[i + 1], name=f"n{i}") for i in range(count)])


def by_hand(executor: ProcessPoolExecutor, pipe: Pipeline) -> None:
    """The ready queue that people write who have an executor and a graph."""
    waits = {n.name: {p.name for p in ps} for n, ps in pipe.node_dependencies.items()}
    nodes = {n.name: n for n in pipe.nodes}
    done: set[str] = set()
    running: dict = {}
    while waits or running:
        for name in [n for n, parents in waits.items() if parents <= done]:
            del waits[name]
            running[executor.submit(nodes[name].func, 1)] = name
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        done |= {running.pop(future) for future in finished}


def measure(pipe: Pipeline, repeat: int) -> dict[str, list[float]]:
    """Microseconds a node, by contender, for each repetition."""
    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        context = multiprocessing.get_context("forkserver")
        executor = stack.enter_context(ProcessPoolExecutor(WORKERS, mp_context=context))
        runners = {
            name: stack.enter_context(ParallelRunner(name, max_workers=WORKERS))
            for name in registry.names()
        }
        for round_number in range(repeat + 1):  # the first warms up
            for name in ("by hand", *runners):
                start = time.perf_counter()
                if name == "by hand":
                    by_hand(executor, pipe)
                else:
                    runners[name].run(pipe, {"x": 1})
                if round_number:
                    elapsed = (time.perf_counter() - start) / len(pipe) * 1e6
                    times.setdefault(name, []).append(elapsed)
    return times


def import_times(repeat: int) -> tuple[float, float]:
    """Milliseconds of `python -c pass` and of `python -c 'import motorpool'`; medians."""
    times: dict[str, list[float]] = {"pass": [], "import motorpool": []}
    for _ in range(repeat):
        for code, found in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            found.append((time.perf_counter() - start) * 1e3)
    bare, imported = map(statistics.median, times.values())
    return bare, imported


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    print(
        f"{datetime.now(tz=UTC):%Y-%m-%d}, Python {platform.python_version()}, {WORKERS} workers"
    )
    for shape in (independent, chain):
        times = measure(shape(options.nodes), options.repeat)
        base = statistics.median(times["by hand"])
        print(f"\n{options.nodes} nodes, {shape.__name__}")
        print("| contender | us a node | ratio | spread |\n|---|---|---|---|")
        for name, found in sorted(times.items(), key=lambda item: statistics.median(item[1])):
            middle = statistics.median(found)
            spread = f"{min(found):.0f}-{max(found):.0f}"
            print(f"| {name} | {middle:.0f} | {middle / base:.2f} | {spread} |")
    bare, imported = import_times(options.repeat * 5)
    print(f"\nimport motorpool: {imported - bare:.0f} ms more than `pass` ({bare:.0f} ms)")


if __name__ == "__main__":
    main()
