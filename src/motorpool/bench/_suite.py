"""The standard graphs on one backend, in the process of a trial."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from motorpool.bench._graphs import pipeline_of, tasks
from motorpool.bench._kernel import rate_of
from motorpool.bench._metg import find_metg
from motorpool.runner import ParallelRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.bench._graphs import Task

# Rows of each graph; fewer where nodes are so long that a run would take more than this (s).
STEPS, _FEWEST_STEPS, _LONGEST_RUN = 250, 10, 0.5


def columns(workers: int) -> int:
    """Columns of each graph: two for each worker, so that one may wait while another runs."""
    return max(4, 2 * workers)


def efficiency_of(
    run: Callable[[list[Task], int], float], pattern: str, workers: int
) -> Callable[[float], float]:
    """What measures a standard graph.

    Args:
        run: Runs a graph whose nodes do so many iterations; returns the seconds that it took.
        pattern: Which graph.
        workers: Number of workers.

    Returns:
        A function of a node's duration that returns the share of the workers' time that is
        useful.
    """
    width = columns(workers)
    rate = rate_of(workers)

    def measure(seconds: float) -> float:
        steps = int(_LONGEST_RUN * workers / (seconds * width))
        graph = tasks(pattern, width, min(STEPS, max(_FEWEST_STEPS, steps)))
        iterations = max(1, round(seconds * rate))
        useful = len(graph) * iterations / rate
        return useful / (run(graph, iterations) * workers)

    return measure


def measure_graph(order: dict[str, Any]) -> dict[str, Any]:
    """Find METG(50 %) of a graph on a backend, with warm workers.

    Args:
        order: `backend`, `max_workers`, `pattern`, `nbytes` of what a node passes on, and the
            folder `runs` for journals.
    """
    workers, nbytes = order["max_workers"], order["nbytes"]
    with ParallelRunner(order["backend"], workers, runs_folder=order["runs"]) as runner:

        def run(graph: list[Task], iterations: int) -> float:
            pipeline = pipeline_of(graph, iterations, nbytes)
            began = time.perf_counter()
            runner.run(pipeline, {})
            return time.perf_counter() - began

        run(tasks(order["pattern"], columns(workers), STEPS), 1)  # starts the workers
        return {"metg": find_metg(efficiency_of(run, order["pattern"], workers))}
