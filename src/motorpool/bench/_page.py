"""What was measured of a pipeline, as one page of HTML."""

from __future__ import annotations

import statistics
from html import escape
from typing import TYPE_CHECKING, Any

from motorpool._report.bars import busiest, timeline, without
from motorpool._report.page import document, environment, figure, table
from motorpool._report.units import seconds
from motorpool._system.libraries import libraries_of
from motorpool.bench._advice import advise, warnings
from motorpool.bench._measures import ranked, useful_time
from motorpool.bench._tables import failures, headings, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from motorpool._report.bars import Shape
    from motorpool.bench._comparison import Comparison
    from motorpool.bench._measures import Measured, Record
    from motorpool.bench._statistics import Interval

# Nodes that are shown beside each other, and by how much (s) they have to differ.
_MOST_SLOWER, _LEAST_SLOWER = 15, 1e-4


def page(found: Comparison, shape: Shape, command: str) -> str:
    """The page.

    Args:
        found: What was measured.
        shape: Of the pipeline.
        command: What has measured it.
    """
    records, done = found.records, ranked(found.records)
    body = [f'<p class="warning">{escape(text)}</p>' for text in warnings(done, found.apart)]
    body.append(f'<p class="sentence">{escape(advise(records))}</p>')
    data: dict[str, Any] = {}
    if done:
        body.append(table(("backend, workers", *headings(done)), rows(done)))
        data = _data(done, shape)
        body += _drawings(done, data)
    body += [f"<pre>{escape(line)}</pre>" for line in failures(records)]
    modules = {record.case.backend for record in records} | libraries_of(found.target)
    about = table((), environment(command, modules), kind="wide")
    body += ["<h2>Where this was measured</h2>", about]
    return document(f"motorpool bench {found.target}", body, data)


def _data(done: Sequence[Record], shape: Shape) -> dict[str, Any]:
    """What the figures are drawn from; see `figure`."""
    colours = busiest((record.median_run().bars for record in done), shape)
    return {
        "times": [
            {"name": str(record.case), "kind": kind, **_ends(record.walls(warm=kind == "warm"))}
            for record in done
            for kind in ("warm", "cold")
        ],
        "scaling": {
            "rows": [
                {
                    "name": record.case.backend, "workers": record.case.max_workers,
                    **_ends(record.walls(warm=True)),
                }
                for record in sorted(done, key=lambda record: record.case.max_workers)
            ],
            "bounds": _bounds(done),
        },
        "slower": _slower(done),
        "timelines": {
            str(record.case): {"wall": run.wall, **timeline(run.bars, shape, colours)}
            for record in done
            for run in [record.median_run()]
        },
    }  # fmt: skip


def _drawings(done: Sequence[Record], data: Mapping[str, Any]) -> list[str]:
    found = [
        "<h2>Time by backend</h2>",
        figure("times", "Median wall time of a run with workers up (warm), and of the first run of"
               " a process (cold); lines are intervals of 95 %, or all that was seen of less than "
               "six runs."),
    ]  # fmt: skip
    if len(data["scaling"]["bounds"]) > 1:
        found += [
            "<h2>Time by number of workers</h2>",
            figure("scaling", "Median wall time with workers up; dashed, what no backend can beat:"
                   " the longest path, or all work divided by the number of workers."),
        ]  # fmt: skip
    if data["slower"]:
        found += [
            "<h2>Which nodes take longer where</h2>",
            figure("slower", "The nodes whose median time differs most between backends; it "
                   "includes loading, saving, and waiting for a core."),
        ]  # fmt: skip
    found.append("<h2>Time lines</h2>")
    for record in done:
        found += [f"<h3>{escape(str(record.case))}</h3>", _time_line(record, record.median_run())]
    return found


def _time_line(record: Record, run: Measured) -> str:
    more = without(run.nodes - len(run.bars))
    caption = (
        f"The median warm run, {seconds(run.wall)}{more}: a row for each worker, a bar for each "
        "node, coloured by function; those on the critical path have a frame."
    )
    return figure("timelines", caption, of=str(record.case))


def _ends(found: Interval) -> dict[str, float]:
    return {"median": found.median, "low": found.low, "high": found.high}


def _bounds(done: Sequence[Record]) -> list[dict[str, float]]:
    """The least that any backend needs, by number of workers."""
    useful = useful_time(done)
    run = min(done, key=lambda record: record.median("node_time")).median_run()
    path = run.path * useful / run.node_time if run.node_time else 0.0
    counts = sorted({record.case.max_workers for record in done})
    return [{"workers": count, "seconds": max(path, useful / count)} for count in counts]


def _slower(done: Sequence[Record]) -> list[dict[str, Any]]:
    """Median time of those nodes that differ most between cases, the most first."""
    times: dict[str, dict[str, float]] = {}
    for record in done:
        seen: dict[str, list[float]] = {}
        for run in record.warm:
            for bar in run.bars:
                seen.setdefault(bar.node, []).append(bar.seconds)
        for node, values in seen.items():
            times.setdefault(node, {})[str(record.case)] = statistics.median(values)
    apart = {node: max(found.values()) - min(found.values()) for node, found in times.items()}
    most = sorted(apart, key=lambda node: -apart[node])[:_MOST_SLOWER]
    return [
        {"node": node, "name": name, "seconds": value}
        for node in most
        if apart[node] >= _LEAST_SLOWER
        for name, value in times[node].items()
    ]
