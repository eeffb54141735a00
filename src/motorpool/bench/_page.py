"""What was measured, as one page of HTML that needs nothing else."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING

from motorpool._system.process import usable_cores
from motorpool.bench._advice import advise, warnings
from motorpool.bench._charts import gantt_chart, scaling_chart, time_chart
from motorpool.bench._measures import ranked
from motorpool.bench._tables import failures, headings, rows
from motorpool.bench._units import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from motorpool.bench._measures import Record

_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e8eb); --dim: #7a828c;
  --paper: light-dark(#ffffff, #15181c); --warm: #0072b2; --cold: #8fb8d4; }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 1000px; padding: 0 1rem; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg text.in { fill: #fff; pointer-events: none; }
.dim { fill: var(--dim); color: var(--dim); }
.warm { fill: var(--warm); } .cold { fill: var(--cold); }
.whisker { fill: none; stroke: var(--ink); } .axis { stroke: var(--dim); }
.node { stroke: var(--paper); stroke-width: 0.5; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid var(--dim); }
th:first-child, td:first-child { text-align: left; }
.advice { font-size: 1.15rem; } .warning { color: #c0392b; }
"""


def page(records: Sequence[Record], apart: Mapping[str, float], target: str) -> str:
    """The page.

    Args:
        records: What is known of each case.
        apart: Of outputs that are not the same everywhere, how far they are apart.
        target: What was measured.
    """
    done = ranked(records)
    title = escape(f"motorpool bench {target}")
    body = [f"<h1>{title}</h1>", f'<p class="dim">{escape(_about())}</p>']
    body += [f'<p class="warning">{escape(text)}</p>' for text in warnings(done, apart)]
    body.append(f'<p class="advice">{escape(advise(records))}</p>')
    if done:
        body += [_table(done), "<h2>Time by backend</h2>", _times(done), *_scaling(done)]
        body += ["<h2>Time lines</h2>", *(_time_line(record) for record in done)]
    body += [f"<pre>{escape(line)}</pre>" for line in failures(records)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _about() -> str:
    return (
        f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC, Motorpool {version('motorpool')}, "
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.release()}, {usable_cores()} cores"
    )


def _table(done: Sequence[Record]) -> str:
    head = "".join(f"<th>{escape(t)}</th>" for t in ("backend, workers", *headings(done)))
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows(done))
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _times(done: Sequence[Record]) -> str:
    return time_chart({r.case: (r.walls(warm=True), r.walls(warm=False)) for r in done})


def _scaling(done: Sequence[Record]) -> list[str]:
    """Only if there are several numbers of workers."""
    lines: dict[str, list[tuple[int, Record]]] = {}
    for record in done:
        lines.setdefault(record.case.backend, []).append((record.case.max_workers, record))
    if max(map(len, lines.values())) == 1:
        return []
    times = {
        name: [(count, record.walls(warm=True)) for count, record in sorted(
            line, key=lambda pair: pair[0])]
        for name, line in lines.items()
    }  # fmt: skip
    return ["<h2>Time by workers</h2>", scaling_chart(times)]


def _time_line(record: Record) -> str:
    run = record.median_run()
    left_out = run.nodes - len(run.bars)
    more = f", without the {left_out} shortest nodes" if left_out else ""
    text = escape(f"{record.case}: {seconds(run.wall)}, the median warm run{more}")
    return f"<h3>{text}</h3>" + gantt_chart(run)
