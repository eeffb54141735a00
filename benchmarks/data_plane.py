"""How fast values move between workers, how much memory they take, and how peers do.

    uv run python benchmarks/data_plane.py [--repeat 5]
    uv run --with 'dask[distributed]' --with ray python benchmarks/data_plane.py

All in one run, interleaved, with two warm workers; medians, and the spread from lowest to highest.
A hand-over is what it costs to make a value in one node and to read it in the next, less what the
same two functions cost in one process; fusion is turned off, so that it goes through the store.
Memory is what the tree of processes holds at most (PSS), less what it holds with workers that have
run the same graph on a few bytes. Peers are measured where they are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import platform
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import data_plane_peers
import data_plane_work as work
import numpy as np
from data_plane_work import MB

from motorpool import ParallelRunner, Pipeline, node
from motorpool._system.process import descendants, usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = 2
STEPS = 20
TARGETS = {
    "100 MB float64": (work.make_array, work.touch, 0.6),
    "100 MB float64, not read": (work.make_array, work.look, 0.6),
    "100 MB by `allocate`": (work.make_in_place, work.touch, 3.0),
    "100 MB table of numbers": (work.make_numbers, work.look, 0.5),
    "100 MB table of Arrow texts": (work.make_texts, work.look, 0.5),
}


def relay(make: Callable, take: Callable, steps: int = STEPS) -> Pipeline:
    """A value is made, read, made again after that, and so on."""
    nodes = [node(make, "x", "v0")]
    for i in range(steps - 1):
        nodes += [node(take, f"v{i}", f"t{i}"), node(make, f"t{i}", f"v{i + 1}")]
    return Pipeline([*nodes, node(take, f"v{steps - 1}", "end")])


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def summed(values: list[float], scale: float = 1.0) -> str:
    """Median and spread."""
    return (
        f"{statistics.median(values) * scale:.2f} "
        f"({min(values) * scale:.2f}-{max(values) * scale:.2f})"
    )


def hand_overs(runner: ParallelRunner, repeat: int) -> None:
    """Ratios to a copy of the same array."""
    source, target = work.array_of(100 * MB), np.zeros(100 * MB // 8)
    copies: list[float] = []
    costs: dict[str, list[float]] = {name: [] for name in TARGETS}
    pipes = {name: relay(make, take) for name, (make, take, _) in TARGETS.items()}
    for turn in range(repeat + 1):
        copies += [seconds(lambda: np.copyto(target, source)) for _ in range(5 if turn else 0)]
        for name, (make, take, _) in TARGETS.items():
            pipe = pipes[name]
            value = make(None)
            own = seconds(lambda m=make, t=take, v=value: (m(None), t(v)))
            ours = seconds(lambda p=pipe: runner.run(p, {"x": 1}))
            if turn:  # the first is for warmth
                costs[name].append(ours / STEPS - own)
    copy = statistics.median(copies)
    print(f"memcpy of 100 MB: {summed(copies, 1e3)} ms\n")
    print("| hand-over | ms | x memcpy | must reach |\n|---|---|---|---|")
    for name, values in costs.items():
        ratio = copy / statistics.median(values)
        print(f"| {name} | {summed(values, 1e3)} | {ratio:.2f} | {TARGETS[name][2]} |")


def small_values(runner: ParallelRunner, fusing: ParallelRunner, repeat: int) -> None:
    """A relay of 1 KB, beside a pool's own way there and back."""
    pipe = relay(work.make_small, work.look, 200)
    times: dict[str, list[float]] = {}
    with ProcessPoolExecutor(WORKERS) as pool:

        def by_hand() -> None:
            for _ in range(200):
                value = pool.submit(work.make_small, 1).result()
                pool.submit(work.look, value).result()

        contenders: dict[str, Callable[[], object]] = {
            "ProcessPoolExecutor": by_hand,
            "motorpool, fuse=False": lambda: runner.run(pipe, {"x": 1}),
            "motorpool": lambda: fusing.run(pipe, {"x": 1}),
        }
        for turn in range(repeat + 1):
            for name, contender in contenders.items():
                taken = seconds(contender) / 400
                if turn:
                    times.setdefault(name, []).append(taken)
    print("\n| a node that passes 1 KB on | us |\n|---|---|")
    for name, values in times.items():
        print(f"| {name} | {summed(values, 1e6)} |")


class Memory:
    """Proportional set size of this process and all its descendants, at its highest."""

    def __enter__(self) -> Self:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self.now())

    @staticmethod
    def now() -> int:
        """What it is at this moment, in bytes."""
        pid = os.getpid()
        found = 0
        for each in (pid, *descendants(pid)):
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{each}/smaps_rollup").read_text()
                found += int(text.split("Pss:", 1)[1].split()[0]) * 1024
        return found


def extra(run: Callable[[], object]) -> int:
    """How many bytes more are held while something runs."""
    before = Memory.now()
    with Memory() as memory:
        run()
    return memory.peak - before


def fan_out(backend: str, repeat: int) -> None:
    """One producer of 256 MB, four readers; peers as their own users would write it."""
    size = 256 * MB
    pipe = Pipeline(
        [node(work.make_large, "x", "v"), *(node(work.total, "v", f"s{i}") for i in range(4))]
    )

    def alone(nbytes: int) -> None:
        value = work.make_large(nbytes)
        for _ in range(4):
            work.total(value)

    times: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        ours = ParallelRunner(backend, max_workers=WORKERS, runs_folder=False)
        runner = stack.enter_context(ours)
        contenders: dict[str, Callable[[int], object]] = {
            "one process": alone,
            "motorpool": lambda nbytes: runner.run(pipe, {"x": nbytes}),
            **data_plane_peers.fan_outs(stack, WORKERS),
        }
        for name, run in contenders.items():  # each alone at first, for its memory
            for _ in range(3):
                run(800_000)
            peaks[name] = extra(lambda r=run: r(size))
        for _ in range(repeat):
            for name, run in contenders.items():
                times.setdefault(name, []).append(seconds(lambda r=run: r(size)))
    one = statistics.median(times["one process"])
    print("\n| 256 MB, four readers | s | x one process | extra PSS, x the array |")
    print("|---|---|---|---|")
    for name, values in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        ratio, peak = statistics.median(values) / one, peaks[name] / size
        print(f"| {name} | {summed(values)} | {ratio:.2f} | {peak:.2f} |")


def chain(backend: str, repeat: int) -> None:
    """Ten values of 100 MB, each made of the one before."""
    size = 100 * MB
    names = [f"v{i}" for i in range(10)]
    pipe = Pipeline(
        [
            node(work.make_large, "x", names[0]),
            *(node(work.add_one, names[i], names[i + 1]) for i in range(9)),
            node(work.total, names[9], "sum"),
        ]
    )

    def alone(nbytes: int) -> float:
        value = work.make_large(nbytes)
        for _ in range(9):
            value = work.add_one(value)
        return work.total(value)

    times: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        contenders: dict[str, Callable[[int], object]] = {"one process": alone}
        for name, fuse in (("motorpool", True), ("motorpool, fuse=False", False)):
            ours = ParallelRunner(backend, max_workers=WORKERS, runs_folder=False, fuse=fuse)
            runner = stack.enter_context(ours)
            contenders[name] = lambda nbytes, r=runner: r.run(pipe, {"x": nbytes})
        for name, run in contenders.items():
            for _ in range(3):
                run(800_000)
            peaks[name] = extra(lambda r=run: r(size))
        for _ in range(repeat):
            for name, run in contenders.items():
                times.setdefault(name, []).append(seconds(lambda r=run: r(size)))
    one = statistics.median(times["one process"])
    print("\n| chain of ten values of 100 MB | s | x one process | extra PSS, in values |")
    print("|---|---|---|---|")
    for name, values in times.items():
        ratio, peak = statistics.median(values) / one, peaks[name] / size
        print(f"| {name} | {summed(values)} | {ratio:.2f} | {peak:.2f} |")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--backend", default="direct")
    arguments = parser.parse_args()
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("numpy", "pandas", "pyarrow", *data_plane_peers.installed())
    )
    print(
        f"{datetime.now(UTC).date()}, {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}, {usable_cores()} cores; {versions}\n"
    )
    options = {"max_workers": WORKERS, "runs_folder": False}
    with (
        ParallelRunner(arguments.backend, fuse=False, **options) as runner,
        ParallelRunner(arguments.backend, **options) as fusing,
    ):
        hand_overs(runner, arguments.repeat)
        small_values(runner, fusing, arguments.repeat)
    chain(arguments.backend, arguments.repeat)
    fan_out(arguments.backend, arguments.repeat)


if __name__ == "__main__":
    main()
