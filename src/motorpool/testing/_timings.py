"""What basic operations of a backend take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from motorpool import ParallelRunner, node, pipeline
from motorpool.testing import _tasks as tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.backend import ExecutorBackend

_LARGE = 100_000_000
_TRIALS = 3
_SUBMISSIONS = 1000
_TRIPS = 200
_WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One of them.

    Attributes:
        operation: What was done.
        seconds: How long it took; the median, if it was done several times.
        times: How often it was done.
    """

    operation: str
    seconds: float
    times: int


def timings(backend: ExecutorBackend) -> list[Timing]:
    """Measure start, submission, round trip, and 100 MB from node to node, with two workers."""
    starts, submissions, trips = [], [], []
    for _ in range(_TRIALS):
        began = time.perf_counter()
        executor = backend.get_executor(_WORKERS)
        executor.submit(tasks.echo, b"").result()
        starts.append(time.perf_counter() - began)
        trips += [
            _taken(lambda e=executor: e.submit(tasks.echo, b"").result())  # type: ignore[misc]
            for _ in range(_TRIPS)
        ]
        began = time.perf_counter()
        futures = [executor.submit(tasks.echo, b"") for _ in range(_SUBMISSIONS)]
        submissions.append((time.perf_counter() - began) / _SUBMISSIONS)
        for future in futures:
            future.result()
        executor.shutdown()
    return [
        Timing(operation="start two workers", seconds=median(starts), times=_TRIALS),
        Timing(operation="submit", seconds=median(submissions), times=_TRIALS * _SUBMISSIONS),
        Timing(operation="round trip", seconds=median(trips), times=len(trips)),
        Timing(operation="hand on 100 MB", seconds=_handing_on(backend), times=_TRIALS),
    ]


def _handing_on(backend: ExecutorBackend) -> float:
    """What 100 MB between two nodes add to a run on warm workers."""
    pipe = pipeline(
        [node(bytes, "size", "data", name="make"), node(len, "data", "length", name="take")]
    )
    with ParallelRunner(backend, max_workers=_WORKERS, fuse=False) as runner:

        def run(size: int) -> None:
            runner.run(pipe, {"size": size})["length"].load()

        run(_LARGE)
        more = [_taken(lambda: run(_LARGE)) - _taken(lambda: run(1)) for _ in range(_TRIALS)]
    return max(0.0, median(more))


def _taken(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
