"""Kedro's three runners and ours on a project's pipeline, of 10, 100 and 1,000 nodes.

    uv run python benchmarks/kedro_runners.py           # the last row of Kedro's own takes minutes
    uv run python benchmarks/kedro_runners.py --most 100
    uv run python benchmarks/kedro_runners.py --without-parallel

The project is that of the tests: CSV in, tables in memory, a model and a score in JSON for each
region, five nodes a region. Then 200 nodes that do nothing. Log lines are written, to nowhere.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["POOL_LOG"] = os.devnull
os.environ["DO_NOT_TRACK"] = "1"
PROJECT = Path(__file__).parents[1] / "tests/kedro_project"
sys.path.insert(0, str(PROJECT / "src"))

import kedro.runner  # noqa: E402
import psutil  # noqa: E402
from kedro.io import DataCatalog, SharedMemoryDataCatalog  # noqa: E402
from kedro.pipeline import node, pipeline  # noqa: E402
from pool_test import nodes  # noqa: E402

from motorpool import kedro as ours  # noqa: E402

ROWS = (10, 100, 1000)
NODES_A_REGION = 5
_RUNS_OF_CPU = 10


def project(size: int) -> tuple[Any, Any]:
    """The pipeline for so many nodes, and how to make its catalog."""
    region = pipeline(
        [
            node(nodes.clean, "companies", "clean", name="clean"),
            node(nodes.scale, ["clean", "params:factor"], "scaled", name="scale"),
            node(nodes.fit, "scaled", "model", name="fit"),
            node(nodes.keep, "model", "cached", name="keep"),
            node(nodes.score, ["model", "params:factor", "cached"], "score", name="score"),
        ]
    )
    regions = [
        pipeline(region, namespace=f"r{i}", inputs="companies", parameters="params:factor")
        for i in range(size // NODES_A_REGION)
    ]
    config = {
        "companies": {"type": "pandas.CSVDataset", "filepath": "data/companies.csv"},
        "{region}.score": {"type": "json.JSONDataset", "filepath": "out/{region}.json"},
    }

    def catalog(kind: Any) -> Any:
        made = kind.from_config(config)
        made["params:factor"] = 2
        return made

    return sum(regions, pipeline([])), catalog


def nothing(x: int) -> int:
    """Do nothing."""
    return x


def idle(size: int) -> tuple[Any, Any]:
    """Nodes that do nothing."""
    made = pipeline([node(nothing, "x", f"y{i}", name=f"n{i}") for i in range(size)])

    def catalog(kind: Any) -> Any:
        held = kind()
        held["x"] = 1
        return held

    return made, catalog


def kind_for(runner: Any) -> Any:
    """The class of catalog that a session gives a runner."""
    return (
        SharedMemoryDataCatalog if isinstance(runner, kedro.runner.ParallelRunner) else DataCatalog
    )


def timed(runner: Any, job: tuple[Any, Any]) -> float:
    """Seconds for one run."""
    pipe, catalog = job
    held = catalog(kind_for(runner))
    shutil.rmtree("out", ignore_errors=True)
    began = time.perf_counter()
    runner.run(pipe, held)
    return time.perf_counter() - began


def measure(job: tuple[Any, Any], repeat: int, *, parallel: bool) -> dict[str, float]:
    """Seconds by runner, medians of interleaved rounds.

    A first run of ours starts workers, as forks of this process; "server" is one whose workers are
    forked from a server, which has started in the first round; "warm" is a runner's third run.
    """
    found: dict[str, list[float]] = {}
    for _ in range(repeat):
        makers = {
            "Sequential": kedro.runner.SequentialRunner,
            "Thread": lambda: kedro.runner.ThreadRunner(2),
        }
        if parallel:
            makers["Parallel"] = lambda: kedro.runner.ParallelRunner(2)
        for name, make in makers.items():
            found.setdefault(name, []).append(timed(make(), job))
        with ours.ParallelRunner(2) as runner:
            found.setdefault("ours, first", []).append(timed(runner, job))
            timed(runner, job)  # each worker still copies what it touches of the driver's memory
            found.setdefault("ours, warm", []).append(timed(runner, job))
        with ours.ParallelRunner(2, start_method="forkserver") as runner:
            found.setdefault("ours, server", []).append(timed(runner, job))
        for name, make in (
            ("our threads", lambda: ours.ThreadRunner(2)),
            ("our sequential", ours.SequentialRunner),
        ):
            found.setdefault(name, []).append(timed(make(), job))
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def cpu_a_node(job: tuple[Any, Any], size: int) -> str:
    """CPU time of a warm run of ours, of the driver and of both workers, as a line."""
    with ours.ParallelRunner(2) as runner:
        for _ in range(3):
            timed(runner, job)
        driver = psutil.Process()
        processes = [driver, *driver.children(recursive=True)]
        before = [sum(process.cpu_times()[:2]) for process in processes]
        for _ in range(_RUNS_OF_CPU):
            timed(runner, job)
        after = [sum(process.cpu_times()[:2]) for process in processes]
    taken = [1e6 * (b - a) / size / _RUNS_OF_CPU for a, b in zip(before, after, strict=True)]
    return f"driver {taken[0]:.0f} us, workers {sum(taken[1:]):.0f} us"


def print_row(title: str, size: int, found: dict[str, float]) -> None:
    """Milliseconds a node, and the ratio to the best of Kedro's."""
    best = min(found[name] for name in ("Sequential", "Thread", "Parallel") if name in found)
    cells = [f"{1000 * seconds / size:.2f} ({seconds / best:.2f})" for seconds in found.values()]
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=ROWS[-1], help="nodes of the largest row")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; of 1,000 nodes one")
    parser.add_argument(
        "--without-parallel", action="store_true", help="leave Kedro's ParallelRunner out"
    )
    parser.add_argument("--cpu", action="store_true", help="also CPU a node of warm runs of ours")
    options, lines = parser.parse_args(), []
    folder = Path(tempfile.mkdtemp(prefix="kedro-bench-"))
    with contextlib.chdir(folder), Path(os.devnull).open("w") as nowhere:
        shutil.copytree(PROJECT / "data", "data")
        for logger in (logging.getLogger(), logging.getLogger("kedro")):
            logger.handlers[:] = []
        logging.getLogger().addHandler(logging.StreamHandler(nowhere))
        logging.getLogger("kedro").setLevel(logging.INFO)
        print("ms a node (x the best of Kedro's three)\n")
        header = False
        jobs = [(f"project, {n} nodes", n, project(n)) for n in ROWS if n <= options.most]
        for title, size, job in [*jobs, ("200 that do nothing", 200, idle(200))]:
            parallel = not options.without_parallel
            repeat = 1 if parallel and size == ROWS[-1] else options.repeat
            found = measure(job, repeat, parallel=parallel)
            if not header:
                print("| | " + " | ".join(found) + " |\n|" + "---|" * (len(found) + 1))
                header = True
            print_row(title, size, found)
            if options.cpu:
                lines.append(f"{title}: {cpu_a_node(job, size)}")
        print("\n".join(["", *lines]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
