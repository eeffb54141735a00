"""The nodes of a run as bars on a time line, ready to be drawn."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from motorpool._pipeline.graph import Graph, longest_chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from motorpool.events import NodeCompleted, NodeSummary

# Functions with a colour of their own; more are not told apart by eye.
_MOST_COLOURS = 9
_OTHERS = "others"
# Bars that are drawn; shorter ones would be thinner than a pixel.
_MOST_BARS = 5000
# Begin and length of a node come from two clocks, and one has steps nearly as long as this (s): by
# so much may two nodes of one thread seem to overlap.
_SKEW = 1e-6


class Bar(NamedTuple):
    """One node on the time line of a run.

    Attributes:
        node: Its name.
        worker: Process id.
        begin: When it began, in seconds since the run was started.
        seconds: How long it took.
        imports: Of these seconds, those to import its function.
        load: Those to load its inputs.
        call: Those in its function.
        save: Those to save its outputs.
        wait: Seconds that it waited before, from when it could have run.
        nbytes: Size of its in-memory outputs, in bytes.
    """

    node: str
    worker: int
    begin: float
    seconds: float
    imports: float = 0.0
    load: float = 0.0
    call: float = 0.0
    save: float = 0.0
    wait: float = 0.0
    nbytes: int = 0

    @classmethod
    def of(cls, node: NodeCompleted | NodeSummary, began: float) -> Self:
        """That of a node that has run.

        Args:
            node: What is known of it.
            began: When the run began, in seconds since the epoch.
        """
        return cls(
            node.node, node.worker, node.started - began, node.seconds, node.imports, node.load,
            node.call, node.save, node.wait, node.nbytes,
        )  # fmt: skip


class Shape(NamedTuple):
    """What a time line needs to know of a pipeline.

    Attributes:
        functions: Name of each node's function, by node.
        graph: Which node waits for which, by position in `functions`.
    """

    functions: dict[str, str]
    graph: Graph

    @classmethod
    def of(cls, pipeline: Any) -> Self:
        """That of a pipeline, ours or Kedro's."""
        nodes = list(pipeline.nodes)
        functions = {node.name: _function_name(node.func) for node in nodes}
        return cls(functions, Graph.from_pipeline(nodes, pipeline.node_dependencies))

    def critical_path(self, bars: Iterable[Bar]) -> set[str]:
        """Names of the nodes of the chain that took the longest."""
        seconds = {bar.node: bar.seconds for bar in bars}
        names = list(self.functions)
        chain = longest_chain(self.graph.parents, [seconds.get(name, 0.0) for name in names])
        return {names[node] for node in chain if names[node] in seconds}


def longest(bars: Iterable[Bar]) -> list[Bar]:
    """Those that are drawn, the longest first."""
    return heapq.nlargest(_MOST_BARS, bars, key=lambda bar: bar.seconds)


def without(left_out: int) -> str:
    """What a caption says of the bars that are not drawn."""
    return f", without the {left_out} shortest nodes" if left_out else ""


def lanes(bars: Sequence[Bar]) -> list[int]:
    """A row for each bar, so that none covers another.

    Threads of one process have rows of their own, as processes have.

    Args:
        bars: In any order.

    Returns:
        For each its row, from 0, in the order in which workers began.
    """
    found = [0] * len(bars)
    ends: list[float] = []
    owners: list[int] = []
    for index in sorted(range(len(bars)), key=lambda i: bars[i].begin):
        bar = bars[index]
        free = (
            lane for lane, end in enumerate(ends)
            if owners[lane] == bar.worker and end <= bar.begin + _SKEW
        )  # fmt: skip
        lane = next(free, len(ends))
        if lane == len(ends):
            ends.append(0.0)
            owners.append(bar.worker)
        ends[lane] = bar.begin + bar.seconds
        found[index] = lane
    return found


def busiest(runs: Iterable[Sequence[Bar]], shape: Shape) -> list[str]:
    """The functions that have a colour of their own, those that took most time first.

    Args:
        runs: All that are shown on a page: a function has one colour there.
        shape: Of the pipeline.
    """
    spent: dict[str, float] = {}
    for bars in runs:
        for bar in bars:
            name = _function(bar, shape)
            spent[name] = spent.get(name, 0.0) + bar.seconds
    names = sorted(spent, key=lambda name: -spent[name])
    return names[:_MOST_COLOURS]


def timeline(bars: Sequence[Bar], shape: Shape, colours: Sequence[str]) -> dict[str, Any]:
    """What the page draws a time line from.

    Args:
        bars: The nodes.
        shape: Of the pipeline.
        colours: What `busiest` has returned.

    Returns:
        `functions`, as `colours`, and "others" if there are any; `lanes`, names of the rows;
        `bars`, a list for each: node, function, colour (position in `functions`), lane, begin,
        seconds, imports, load, call, save, wait (all in seconds), bytes, and 1 on the critical
        path.
    """
    known = {name: k for k, name in enumerate(colours)}
    critical, rows = shape.critical_path(bars), lanes(bars)
    workers = {row: bar.worker for row, bar in zip(rows, bars, strict=True)}
    drawn: list[list[Any]] = []
    for bar, lane in sorted(zip(bars, rows, strict=True), key=lambda pair: pair[0].begin):
        name = _function(bar, shape)
        times = (round(value, 7) for value in bar[2:9])
        place = known.get(name, len(known))
        drawn.append([bar.node, name, place, lane, *times, bar.nbytes, int(bar.node in critical)])
    others = any(bar[2] == len(known) for bar in drawn)
    return {
        "functions": [*colours, *[_OTHERS] * others],
        "lanes": [f"worker {row + 1} ({workers[row]})" for row in sorted(workers)],
        "bars": drawn,
    }


def _function(bar: Bar, shape: Shape) -> str:
    return shape.functions.get(bar.node, bar.node)


def _function_name(function: Any) -> str:
    while hasattr(function, "func"):  # of a partial
        function = function.func
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__
