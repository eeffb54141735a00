"""What is measured of a pipeline, case by case, and what follows from it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from motorpool._report.bars import Bar
from motorpool.bench._statistics import Interval, interval

if TYPE_CHECKING:
    from collections.abc import Sequence


#: The backend that runs one node after the other, here.
ONE_WORKER = "sequential"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run.

    Attributes:
        wall: Seconds from the call until the results are there.
        node_time: Seconds in nodes, of all workers.
        path: Seconds of the longest path: no number of workers beats it.
        nodes: Number of nodes.
        workers: Number of workers that the pipeline can use.
        nbytes: Bytes that nodes have passed on in memory.
        digests: By output, a digest of the value; None for what cannot be compared.
        bars: The time line.
    """

    wall: float
    node_time: float
    path: float
    nodes: int
    workers: int
    nbytes: int
    digests: dict[str, str | None]
    bars: list[Bar]

    @property
    def bound(self) -> float:
        """Seconds that it must take with nodes as long as these, whatever runs it."""
        return max(self.path, self.node_time / self.workers)

    @property
    def most(self) -> float:
        """How many times faster than one worker so many can be: longest path, and all work."""
        return self.node_time / self.bound if self.node_time and self.bound else 1.0

    @property
    def overhead(self) -> float:
        """Seconds a node that the run took longer than nodes as long as these must take."""
        return max(0.0, self.wall - self.bound) / max(1, self.nodes)

    def losses(self, useful: float) -> dict[str, float]:
        """Where the workers' time has gone that was of no use, in seconds of all workers.

        Args:
            useful: Seconds that its nodes take with nothing beside them.

        Returns:
            `slower`: nodes took longer than that; `narrow`: there was too little to do at a
            time; `engine`: all the rest.
        """
        return {
            "slower": self.node_time - useful,
            "narrow": self.workers * self.bound - self.node_time,
            "engine": self.workers * max(0.0, self.wall - self.bound),
        }

    @property
    def moving(self) -> float:
        """Share of the nodes' time that went into loading and saving, of those on the line."""
        whole = sum(bar.seconds for bar in self.bars)
        return sum(bar.load + bar.save for bar in self.bars) / whole if whole else 0.0

    def efficiency(self, useful: float) -> float:
        """Share of the workers' time that was of use.

        Args:
            useful: Seconds that its nodes take with nothing beside them.
        """
        return useful / (self.wall * self.workers)


@dataclass(slots=True)
class Record:
    """All that is known of one case.

    Attributes:
        case: What was run.
        cold: Runs that had to start their workers.
        warm: Runs whose workers were there.
        checked: Runs of which only the outputs count.
        peak_memory: Bytes; of one run, the most that its processes had at a time. Pages that they
            share count once, where the system tells them apart.
        error: Why it cannot be run, or "".
    """

    case: Case
    cold: list[Measured] = field(default_factory=list)
    warm: list[Measured] = field(default_factory=list)
    checked: list[Measured] = field(default_factory=list)
    peak_memory: int = 0
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

    def efficiency(self, useful: float) -> float:
        """Median of the warm runs; see `Measured`."""
        return statistics.median(run.efficiency(useful) for run in self.warm)


def useful_time(records: Sequence[Record]) -> float:
    """Seconds that the nodes take with nothing beside them: the least of all cases.

    A node that waits for a core, or for the interpreter's lock, seems to take longer.
    """
    return min(record.median("node_time") for record in records)


def one_worker_time(records: Sequence[Record]) -> float:
    """Seconds of one worker: of the backend `sequential` if it was measured, else of the nodes."""
    alone = [r.walls(warm=True).median for r in records if r.case.backend == ONE_WORKER]
    return alone[0] if alone else useful_time(records)


def ranked(records: Sequence[Record]) -> list[Record]:
    """Those that have run without a failure, fastest first."""
    good = [record for record in records if record.warm and not record.error]
    return sorted(good, key=lambda record: record.walls(warm=True).median)


class Differing(NamedTuple):
    """Outputs that are not known to be the same in all runs, by name.

    Attributes:
        between: They differ between cases, each of which always gives the same.
        within: They differ between runs of one case.
        unknown: They cannot be compared.
    """

    between: list[str]
    within: list[str]
    unknown: list[str]


def differing(records: Sequence[Record]) -> Differing:
    """Compare the outputs of all runs."""
    found = Differing([], [], [])
    seen: dict[str, dict[Case, set[str | None]]] = {}
    for record in records:
        for run in (*record.checked, *record.cold, *record.warm):
            for name, digest in run.digests.items():
                seen.setdefault(name, {}).setdefault(record.case, set()).add(digest)
    for name, by_case in sorted(seen.items()):
        if any(None in digests for digests in by_case.values()):
            found.unknown.append(name)
        elif any(len(digests) > 1 for digests in by_case.values()):
            found.within.append(name)
        elif len(set.union(*by_case.values())) > 1:
            found.between.append(name)
    return found
