"""One run as a page of HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from motorpool._protocol.failure import summary_of
from motorpool._report.bars import Bar, busiest, longest, timeline, without
from motorpool._report.page import document, environment, figure, table
from motorpool._report.units import seconds, size
from motorpool._system.libraries import libraries_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._report.bars import Shape
    from motorpool._report.recording import Recording
    from motorpool.events import NodeSummary

_MOST_LISTED = 20
_TIMES = ("time", "import", "load", "call", "save")


def run_page(run: Recording, shape: Shape, target: str, command: str) -> str:
    """The page.

    Args:
        run: A run that is over.
        shape: Of its pipeline.
        target: What was run.
        command: What has run it.
    """
    finished = run.finished
    if finished is None:
        raise ValueError("The run is not over.")
    summary = finished.summary
    nodes = list(summary.nodes)
    bars = longest(Bar.of(node, run.began) for node in nodes)
    drawn = {"wall": summary.wall_time, **timeline(bars, shape, busiest([bars], shape))}
    caption = (
        f"A row for each worker, a bar for each node{without(len(nodes) - len(bars))}, coloured "
        "by function; those on the critical path have a frame."
    )
    body = [
        *_failures(run),
        table((), [(name, text) for name, text in summary.rows()], kind="wide"),
        "<h2>Time line</h2>",
        figure("timelines", caption, of="run") if bars else "<p>No node has run.</p>",
        "<h2>By function</h2>",
        table(("function", "nodes", *_TIMES), _functions(nodes, shape)),
        "<h2>Longest nodes</h2>",
        table(("node", *_TIMES, "waited", "passed on"), _longest(bars)),
        "<h2>Where this ran</h2>",
        table((), environment(command, [summary.backend, *libraries_of(target)]), kind="wide"),
    ]
    return document(f"motorpool run {target}", body, {"timelines": {"run": drawn}})


def _failures(run: Recording) -> list[str]:
    """What has gone wrong, a line each."""
    texts = [
        f"{each.node}, attempt {each.attempt}: {summary_of(each.error)}"
        + ("; tried again" if each.retried else "")
        for each in run.failures
    ]
    texts += [
        f"Worker {each.worker or '(unknown)'} died in {each.node or 'no node that is known'}"
        for each in run.losses
    ]
    return [f'<p class="warning">{escape(text)}</p>' for text in texts]


def _functions(nodes: Sequence[NodeSummary], shape: Shape) -> list[list[str]]:
    """A row for each function, most time first."""
    found: dict[str, list[float]] = {}
    for node in nodes:
        row = found.setdefault(shape.functions.get(node.node, node.node), [0.0] * 6)
        row[0] += 1
        for place, value in enumerate(_times(node), 1):
            row[place] += value
    ranked = sorted(found.items(), key=lambda item: -item[1][1])
    return [[name, f"{row[0]:.0f}", *map(seconds, row[1:])] for name, row in ranked]


def _longest(bars: Sequence[Bar]) -> list[list[str]]:
    return [
        [bar.node, *map(seconds, _times(bar)), seconds(bar.wait), size(bar.nbytes)]
        for bar in bars[:_MOST_LISTED]
    ]


def _times(node: Bar | NodeSummary) -> tuple[float, ...]:
    return node.seconds, node.imports, node.load, node.call, node.save
