"""What was measured, as tables for a terminal."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from motorpool._report.units import seconds, size, span
from motorpool.bench._measures import one_worker_time
from motorpool.bench._statistics import ENOUGH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from motorpool.bench._comparison import Cell
    from motorpool.bench._measures import Record

_LONGEST = 400
HEADINGS = (
    "warm ({})", "ratio", "speed-up", "at most", "cold ({})", "overhead a node", "in nodes",
    "moved", "peak memory",
)  # fmt: skip


def headings(done: Sequence[Record]) -> list[str]:
    """Of the columns after the first; intervals are of 95 % only if there are enough runs."""
    sure = all(len(record.warm) >= ENOUGH for record in done)
    return [text.format("95 %" if sure else "lowest - highest") for text in HEADINGS]


def rows(done: Sequence[Record]) -> list[list[str]]:
    """A row for each case.

    Args:
        done: Those that have run without a failure, fastest first.
    """
    best, alone = done[0].walls(warm=True).median, one_worker_time(done)
    found = []
    for record in done:
        warm, cold = record.walls(warm=True), record.walls(warm=False)
        found.append([
            str(record.case), span(*warm[:3]), f"{warm.median / best:.2f}",
            f"{alone / warm.median:.2f}", f"{record.median_run().most:.2f}", span(*cold[:3]),
            seconds(record.median("overhead")), seconds(record.median("node_time")),
            size(record.median("nbytes")), size(record.peak_memory),
        ])  # fmt: skip
    return found


def comparison_table(done: Sequence[Record]) -> Table:
    """A row for each case that has run without a failure, fastest first."""
    table = _table("backend, workers", headings(done))
    for row in rows(done):
        table.add_row(*row)
    return table


def failures(records: Sequence[Record]) -> list[str]:
    """A line for each reason why cases have no figures, with these cases."""
    cases: dict[str, list[str]] = {}
    for record in records:
        if record.error:
            after = f", after {len(record.warm)} good runs" if record.warm else ""
            reason = f"failed: {_on_one_line(record.error)}"
            cases.setdefault(reason, []).append(f"{record.case}{after}")
        elif not record.warm:
            cases.setdefault("not measured", []).append(str(record.case))
    return [f"{'; '.join(names)}: {reason}" for reason, names in cases.items()]


def _on_one_line(text: str) -> str:
    joined = "; ".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    return joined if len(joined) <= _LONGEST else joined[:_LONGEST] + " ..."


def suite_table(found: Mapping[tuple[str, int], Mapping[str, Cell]]) -> Table:
    """A row for each graph and payload, a column for each case."""
    cases = list(dict.fromkeys(name for row in found.values() for name in row))
    table = _table("graph, payload", cases)
    for (pattern, nbytes), row in found.items():
        texts = [_granularity(row[name]) if name in row else "" for name in cases]
        table.add_row(f"{pattern}, {size(nbytes)}", *texts)
    return table


def _table(first: str, others: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(escape(heading), justify="right", no_wrap=True)
    return table


def _granularity(cell: Cell) -> str:
    if cell.error:
        return "[red]failed[/]"
    middle = statistics.median_low(cell.values)
    if math.isinf(middle):
        return "never"
    low, high = min(cell.values), max(cell.values)
    text = "< 1 us" if middle == 0 else span(middle, low, high)
    return text.replace("inf", "never")
