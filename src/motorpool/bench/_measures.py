"""What is measured of a pipeline, case by case, and what follows from it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from itertools import accumulate
from math import comb
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# From so many values on, an interval of 95 % for the median lies within them.
ENOUGH = 6
_DOUBT = 0.05
# Ratios of medians that do not matter to a user, and below which a few runs show nothing.
_MATTERS, _MATTERS_OF_FEW = 1.03, 1.15


class Case(NamedTuple):
    """Something to compare.

    Attributes:
        backend: Name of a backend.
        max_workers: Number of workers.
    """

    backend: str
    max_workers: int

    def __str__(self) -> str:
        return f"{self.backend}, {self.max_workers}"


class Bar(NamedTuple):
    """One node on the time line of a run.

    Attributes:
        node: Its name.
        worker: Process id.
        begin: When it began, in seconds since the run was started.
        seconds: How long it took.
    """

    node: str
    worker: int
    begin: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run.

    Attributes:
        wall: Seconds from the call until the results are there.
        node_time: Seconds in nodes, of all workers.
        bound: Seconds that the run must take with nodes as long as these, whatever runs it: those
            of the longest path, or of all nodes divided by the number of workers.
        nodes: Number of nodes.
        workers: Number of workers that the pipeline can use.
        nbytes: Bytes that nodes have passed on in memory.
        peak_memory: Bytes; the sum of each process's own peak.
        digests: By output, a digest of the value; None for what cannot be compared.
        bars: The time line.
    """

    wall: float
    node_time: float
    bound: float
    nodes: int
    workers: int
    nbytes: int
    peak_memory: int
    digests: dict[str, str | None]
    bars: list[Bar]

    def overhead(self, useful: float) -> float:
        """Seconds a node that the run took longer than it must.

        Args:
            useful: Seconds that its nodes take with nothing beside them.
        """
        must = self.bound * useful / self.node_time if self.node_time else 0.0
        return max(0.0, self.wall - must) / max(1, self.nodes)

    def efficiency(self, useful: float) -> float:
        """Share of the workers' time that was of use.

        Args:
            useful: Seconds that its nodes take with nothing beside them.
        """
        return useful / (self.wall * self.workers)


class Interval(NamedTuple):
    """A median, and where the true one lies.

    Attributes:
        median: Of the values.
        low: Lower end.
        high: Upper end.
        sure: Whether it holds with 95 %; else it is all that was seen.
    """

    median: float
    low: float
    high: float
    sure: bool

    def is_below(self, other: Interval) -> bool:
        """Whether it is the lower one beyond doubt, and by an amount that matters."""
        least = _MATTERS if self.sure and other.sure else _MATTERS_OF_FEW
        return self.high < other.low and self.median * least < other.median


def interval(values: Sequence[float]) -> Interval:
    """Interval of 95 % for the median, from order statistics: it supposes no distribution.

    Args:
        values: At least one.

    Source: W. J. Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    ordered, count = sorted(values), len(values)
    # Chance that all but `outside` values at one end lie on the same side of the true median.
    chances = list(accumulate(comb(count, k) / 2**count for k in range(count)))
    outside = sum(2 * chance <= _DOUBT for chance in chances)
    low, high = max(0, outside - 1), count - max(1, outside)
    return Interval(statistics.median(ordered), ordered[low], ordered[high], sure=count >= ENOUGH)


@dataclass(slots=True)
class Record:
    """All that is known of one case.

    Attributes:
        case: What was run.
        cold: Runs that had to start their workers.
        warm: Runs whose workers were there.
        error: Why it cannot be run, or "".
    """

    case: Case
    cold: list[Measured] = field(default_factory=list)
    warm: list[Measured] = field(default_factory=list)
    error: str = ""

    def median_run(self) -> Measured:
        """The warm run whose time is the median, or the lower of the two in the middle."""
        return sorted(self.warm, key=lambda run: run.wall)[(len(self.warm) - 1) // 2]

    def walls(self, *, warm: bool) -> Interval:
        """Wall times, in seconds."""
        return interval([run.wall for run in (self.warm if warm else self.cold)])

    def median(self, name: str) -> float:
        """Median of an attribute of the warm runs."""
        values: list[float] = [getattr(run, name) for run in self.warm]
        return statistics.median(values)

    def overhead(self, useful: float) -> float:
        """Median of the warm runs, in seconds a node; see `Measured`."""
        return statistics.median(run.overhead(useful) for run in self.warm)

    def efficiency(self, useful: float) -> float:
        """Median of the warm runs; see `Measured`."""
        return statistics.median(run.efficiency(useful) for run in self.warm)


def useful_time(records: Sequence[Record]) -> float:
    """Seconds that the nodes take with nothing beside them: the least of all cases.

    A node that waits for a core, or for the interpreter's lock, seems to take longer.
    """
    return min(record.median("node_time") for record in records)


def ranked(records: Sequence[Record]) -> list[Record]:
    """Those that have run without a failure, fastest first."""
    good = [record for record in records if record.warm and not record.error]
    return sorted(good, key=lambda record: record.walls(warm=True).median)


def differing(records: Sequence[Record]) -> tuple[list[str], list[str], list[str]]:
    """Compare the outputs of all runs.

    Returns:
        Outputs that differ between cases, each of which always gives the same; outputs that
        differ between runs of one case; and outputs that cannot be compared.
    """
    between, within, unknown = [], [], []
    seen: dict[str, dict[Case, set[str | None]]] = {}
    for record in records:
        for run in (*record.cold, *record.warm):
            for name, digest in run.digests.items():
                seen.setdefault(name, {}).setdefault(record.case, set()).add(digest)
    for name, by_case in sorted(seen.items()):
        if any(None in found for found in by_case.values()):
            unknown.append(name)
        elif any(len(found) > 1 for found in by_case.values()):
            within.append(name)
        elif len(set.union(*by_case.values())) > 1:
            between.append(name)
    return between, within, unknown
