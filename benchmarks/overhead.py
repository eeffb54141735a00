"""What a node costs beside its function, in wall time and in CPU time, for several shapes.

    uv run python benchmarks/overhead.py [--repeat 5] [--backends direct] [--only wide,chain]

All contenders are measured in one run, interleaved, with two warm workers: a plain loop in one
process, the loop over `ProcessPoolExecutor` that people write by hand, joblib where it is
installed and nodes are independent, and each backend. CPU time is that of the driver and of all
of its workers (Linux). Then: what everything that can be switched on costs, and how much of the
time of an ideal schedule nodes leave that are asleep for a while.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool import ParallelRunner, Pipeline, node
from motorpool._system.process import descendants
from motorpool.bench._graphs import Task, tasks

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = 2


def nothing(x: int, *_others: Any) -> int:
    """Do nothing."""
    return x


def kilobyte(_x: Any) -> bytes:
    """Return a new value of 1 KB."""
    return bytes(1024)


def asleep(seconds: float, *_inputs: Any) -> int:
    """Take time, and no processor."""
    time.sleep(seconds)
    return 1


def layered(width: int, count: int) -> list[Task]:
    """Layers of nodes that each wait for one to three of the layer before, at random."""
    chance = random.Random(5)  # the same graph each time
    found: list[Task] = []
    for number in range(count):
        layer = number // width
        above = range((layer - 1) * width, layer * width) if layer else range(0)
        parents = chance.sample(above, chance.randint(1, 3)) if above else []
        found.append(Task(f"o{number}", tuple(f"o{p}" for p in sorted(parents))))
    return found


SHAPES: dict[str, list[Task]] = {
    "one node": tasks("trivial", 1, 1),
    "wide 2,000": tasks("trivial", 2000, 1),
    "chain 300": tasks("chain", 1, 300),
    "chain 3,000": tasks("chain", 1, 3000),
    "stencil 4 x 250": tasks("stencil", 4, 250),
    "stencil 16 x 250": tasks("stencil", 16, 250),
    "layered 5,000": layered(50, 5000),
}
# Graphs of nodes that take 1 ms: how to make them, width, nodes; a tenth as many take 10 ms.
ASLEEP = {
    "wide": (partial(tasks, "trivial"), 40, 400),
    "chain": (partial(tasks, "chain"), 1, 60),
    "stencil 4": (partial(tasks, "stencil"), 4, 160),
    "stencil 16": (partial(tasks, "stencil"), 16, 320),
    "layered": (lambda width, steps: layered(width, width * steps), 16, 320),
}


def graph_of(found: list[Task], function: Callable[..., Any]) -> Pipeline:
    """A pipeline of nodes of one function; those without parents read `x`."""
    return Pipeline(
        [node(function, list(t.parents) or "x", t.name, name=f"n{t.name}") for t in found]
    )


def independent(count: int) -> Pipeline:
    """Nodes without parents."""
    return graph_of(tasks("trivial", count, 1), nothing)


def chain(count: int) -> Pipeline:
    """Nodes that each wait for the one before."""
    return graph_of(tasks("chain", 1, count), nothing)


def by_hand(executor: ProcessPoolExecutor, pipe: Pipeline) -> None:
    """The ready queue that people write who have an executor and a graph."""
    waits = {n.name: {p.name for p in ps} for n, ps in pipe.node_dependencies.items()}
    children: dict[str, list[str]] = {name: [] for name in waits}
    for name, parents in waits.items():
        for parent in parents:
            children[parent].append(name)
    functions = {n.name: n.func for n in pipe.nodes}
    running = {executor.submit(functions[n], 1): n for n, parents in waits.items() if not parents}
    while running:
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            done = running.pop(future)
            for child in children[done]:
                waits[child].discard(done)
                if not waits[child]:
                    running[executor.submit(functions[child], 1)] = child


def plain_loop(pipe: Pipeline) -> None:
    """Call one function after the other, in this process."""
    values: dict[str, Any] = {"x": 1}
    for each in pipe.nodes:
        values[each.outputs[0]] = each.func(*[values[name] for name in each.inputs])


def cpu_seconds() -> float:
    """CPU time of this process and of all that it has started."""
    total = 0
    for pid in (os.getpid(), *descendants(os.getpid())):
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(thread.read_text().split()[0])
    return total / 1e9


class Deaf:
    """An observer that does nothing."""

    def on_event(self, event: Any) -> None:
        """Do nothing."""


class Contenders:
    """All that can run a pipeline, with warm workers."""

    def __init__(self, stack: ExitStack, backends: list[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        executor = stack.enter_context(ProcessPoolExecutor(WORKERS, mp_context=context))
        self.runs: dict[str, Callable[[Pipeline], Any]] = {
            "plain loop": plain_loop,
            "by hand": partial(by_hand, executor),
        }
        try:
            from joblib import Parallel, delayed  # noqa: PLC0415, it may not be there

            parallel = stack.enter_context(Parallel(WORKERS))
            self.runs["joblib"] = lambda pipe: parallel(delayed(n.func)(1) for n in pipe.nodes)
        except ImportError:
            pass
        for name in backends:
            runner = stack.enter_context(ParallelRunner(name, max_workers=WORKERS))
            self.runs[name] = lambda pipe, runner=runner: runner.run(pipe, {"x": 1})

    def measure(self, pipe: Pipeline, repeat: int) -> dict[str, list[tuple[float, float]]]:
        """Wall and CPU time in microseconds a node, for each contender and repetition."""
        flat = not any(pipe.node_dependencies.values())
        found: dict[str, list[tuple[float, float]]] = {}
        for number in range(repeat + 2):  # two warm up
            for name, run in self.runs.items():
                if name == "joblib" and not flat:
                    continue  # it knows no graph
                before = cpu_seconds()
                used, began = cpu_seconds(), time.perf_counter()
                run(pipe)
                wall = time.perf_counter() - began
                cpu = cpu_seconds() - used - (used - before)  # without what looking takes
                if number > 1:
                    each = wall / len(pipe.nodes) * 1e6, cpu / len(pipe.nodes) * 1e6
                    found.setdefault(name, []).append(each)
        return found


def print_shapes(backends: list[str], only: list[str], repeat: int) -> None:
    """Print a table for each shape."""
    for shape, found in SHAPES.items():
        if only and not any(shape.startswith(wanted) for wanted in only):
            continue
        pipe = graph_of(found, nothing)
        times = repeat * 10 if len(found) == 1 else repeat
        with ExitStack() as stack:
            measured = Contenders(stack, backends).measure(pipe, times)
        base = statistics.median(wall for wall, _ in measured["by hand"])
        print(f"\n| {shape} | us a node | lowest - highest | x by hand | CPU, us |\n{'|---' * 5}|")
        for name, rows in measured.items():
            walls, cpus = zip(*rows, strict=True)
            middle = statistics.median(walls)
            print(
                f"| {name} | {middle:.1f} | {min(walls):.1f} - {max(walls):.1f} | "
                f"{middle / base:.2f} | {statistics.median(cpus):.1f} |"
            )


def print_options(backends: list[str], repeat: int) -> None:
    """Print what a run costs with all that can be switched on, and the same pipeline again."""
    pipe = independent(2000)
    passes = graph_of(tasks("chain", 1, 100), kilobyte)
    print("\n| us a node | alone | all on | ratio | chain of 100, 1 KB |")
    print(f"{'|---' * 5}|")
    for name in backends:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            alone = stack.enter_context(
                ParallelRunner(name, max_workers=WORKERS, runs_folder=False)
            )
            all_on = stack.enter_context(
                ParallelRunner(
                    name, max_workers=WORKERS, runs_folder=folder, retries=1,
                    observers=[Deaf()],
                )
            )  # fmt: skip
            runs = {"alone": (alone, pipe), "all on": (all_on, pipe), "chain": (alone, passes)}
            found: dict[str, list[float]] = {}
            for number in range(repeat + 2):
                for label, (runner, graph) in runs.items():
                    began = time.perf_counter()
                    runner.run(graph, {"x": 1})
                    if number > 1:
                        taken = (time.perf_counter() - began) / len(graph.nodes) * 1e6
                        found.setdefault(label, []).append(taken)
        alone_us, all_us, chain_us = map(statistics.median, found.values())
        print(
            f"| {name} | {alone_us:.1f} | {all_us:.1f} | {all_us / alone_us:.2f} "
            f"| {chain_us:.1f} |"
        )


def print_schedules(backends: list[str], repeat: int) -> None:
    """Print which part of a run an ideal schedule would take, of nodes that are asleep."""
    long = partial(asleep, 0.02)
    mixed = [node(nothing if i % 10 else long, "x", f"o{i}", name=f"n{i}") for i in range(400)]
    cases = {"90 % no-op, 10 % 20 ms": (Pipeline(mixed), 40 * 0.02 / WORKERS)}
    for ms in (1, 10):
        for shape, (make, width, nodes) in ASLEEP.items():
            pipe = graph_of(make(width, nodes // width // ms), partial(asleep, ms / 1e3))
            cases[f"{shape}, {ms} ms"] = pipe, _ideal(pipe, ms / 1e3)
    print(f"\n| of the ideal, % | {' | '.join(backends)} |\n|---{'|---' * len(backends)}|")
    with ExitStack() as stack:
        runners = [
            stack.enter_context(ParallelRunner(name, max_workers=WORKERS)) for name in backends
        ]
        for title, (pipe, ideal) in cases.items():
            shares = []
            for runner in runners:
                taken = []
                for number in range(repeat + 1):
                    began = time.perf_counter()
                    runner.run(pipe, {"x": 1})
                    taken += [time.perf_counter() - began] if number else []
                shares.append(f"{100 * ideal / statistics.median(taken):.0f}")
            print(f"| {title} | {' | '.join(shares)} |")


def _ideal(pipe: Pipeline, seconds: float) -> float:
    """Seconds of the best schedule of equal nodes: by work, or by the longest path."""
    depth: dict[str, int] = {}
    for each in pipe.nodes:
        parents = pipe.node_dependencies[each]
        depth[each.name] = 1 + max((depth[p.name] for p in parents), default=0)
    return max(len(pipe.nodes) / WORKERS, *depth.values()) * seconds


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
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--backends", default="direct", help="names, separated by commas")
    parser.add_argument("--only", default="", help="what the names of shapes begin with")
    parser.add_argument(
        "--schedules", action="store_true", help="only how well nodes that are asleep are placed"
    )
    options = parser.parse_args()
    backends = options.backends.split(",")
    only = [name for name in options.only.split(",") if name]
    print(
        f"{datetime.now(tz=UTC):%Y-%m-%d}, Python {platform.python_version()}, {WORKERS} workers"
    )
    if options.schedules:
        print_schedules(backends, options.repeat)
        return
    print_shapes(backends, only, options.repeat)
    if only:
        return
    print_options(backends, options.repeat)
    print_schedules(backends, options.repeat)
    bare, imported = import_times(options.repeat * 5)
    print(f"\nimport motorpool: {imported - bare:.0f} ms more than `pass` ({bare:.0f} ms)")


if __name__ == "__main__":
    main()
