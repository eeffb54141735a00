"""One measurement of `motorpool bench`, in a process of its own.

Reads what to do from standard input, as JSON, and writes the answer to the file that it names.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool import ParallelRunner, registry
from motorpool._pipeline.graph import Graph
from motorpool._protocol.failure import summary_of
from motorpool._system.imports import need_modules
from motorpool._system.libraries import libraries_of
from motorpool._system.process import watch_parent
from motorpool.bench._digest import digest_of
from motorpool.bench._measures import Bar, Measured
from motorpool.bench._suite import measure_graph
from motorpool.cli._signals import INTERRUPTED, TERMINATED, Signals, Terminated
from motorpool.cli._target import load_catalog, load_pipeline
from motorpool.events import NodeCompleted

if TYPE_CHECKING:
    from motorpool.events import Event

# On the time line of a larger pipeline, the shorter nodes would be thinner than a pixel.
_MOST_BARS = 5000
# A run that has taken longer (s) has found work for all of its workers.
_SHORT = 1.0


class _TimeLine:
    """Keeps when which node ran where."""

    def __init__(self) -> None:
        self.events: list[NodeCompleted] = []

    def on_event(self, event: Event) -> None:
        """Remember what has run."""
        if isinstance(event, NodeCompleted):
            self.events.append(event)


def _measure_target(order: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline once with workers yet to start, and once more with these."""
    backend = registry.resolve(order["backend"])
    need_modules(libraries_of(order["target"]))
    backend.warm_up()  # as `motorpool run` does
    pipeline, module = load_pipeline(order["target"])
    line = _TimeLine()
    with ParallelRunner(
        backend, order["max_workers"], observers=[line], runs_folder=order["runs"]
    ) as runner:

        def run() -> dict[str, Any]:
            return _measure_run(runner, pipeline, load_catalog(order["catalog"], module), line)

        cold = run()
        left = order["max_workers"]
        while left and cold["wall"] < _SHORT:  # it may not have got to every worker
            run()
            left -= 1
        return {"cold": [cold], "warm": [run()]}


def _measure_run(
    runner: ParallelRunner, pipeline: Any, catalog: Any, line: _TimeLine
) -> dict[str, Any]:
    line.events.clear()
    began, clock = time.time(), time.perf_counter()
    result = runner.run(pipeline, catalog)
    wall = time.perf_counter() - clock
    summary = result.summary
    workers = min(summary.max_workers, runner._get_required_workers_count(pipeline))  # noqa: SLF001
    longest = sorted(line.events, key=lambda event: -event.seconds)[:_MOST_BARS]
    return dataclasses.asdict(
        Measured(
            wall=wall,
            node_time=summary.node_time,
            bound=_bound(pipeline, line.events, workers),
            nodes=summary.completed,
            workers=workers,
            nbytes=sum(event.nbytes for event in line.events),
            peak_memory=summary.peak_memory,
            digests={name: digest_of(result[name].load()) for name in sorted(result)},
            bars=[Bar(e.node, e.worker, e.started - began, e.seconds) for e in longest],
        )
    )


def _bound(pipeline: Any, events: list[NodeCompleted], workers: int) -> float:
    """Seconds that these nodes need on so many workers at least."""
    seconds = {event.node: event.seconds for event in events}
    nodes = list(pipeline.nodes)
    graph = Graph.from_pipeline(nodes, pipeline.node_dependencies)
    costs = [seconds.get(node.name, 0.0) for node in nodes]
    paths = graph.path_lengths(range(len(nodes)), costs)
    return max(max(paths, default=0.0), sum(costs) / workers)


def _reason(error: BaseException) -> str:
    """Why it failed; of several failures the first."""
    if not isinstance(error, BaseExceptionGroup):
        notes = [n.partition(",")[0] for n in getattr(error, "__notes__", []) if "in node" in n]
        return ", ".join([summary_of(error), *notes])
    return f"{_reason(error.exceptions[0])} (and {len(error.exceptions) - 1} more)"


_KINDS = {"target": _measure_target, "suite": measure_graph}


def main() -> int:
    """Do what was asked for; what goes wrong is the answer."""
    order = json.load(sys.stdin)
    watch_parent(order["driver"], ())
    try:
        with Signals():
            answer = _KINDS[order["kind"]](order)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except BaseException as error:  # noqa: BLE001, whatever a node or a backend raises
        answer = {"error": _reason(error)}
    Path(order["answer"]).write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
