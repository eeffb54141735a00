"""Runs a pipeline, or standard graphs, on each backend in turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from motorpool import registry
from motorpool._system.process import usable_cores
from motorpool.backend import Isolation
from motorpool.bench._measures import Bar, Case, Measured, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from motorpool.bench._trials import Trials


def cases(backends: Sequence[str], workers: Sequence[int]) -> list[Case]:
    """What to compare: each backend with each number of workers that it can have.

    Args:
        backends: Names; all installed ones if there are none.
        workers: Numbers; as many as there are cores to use if there are none.

    Raises:
        BackendError: If there is no backend of a name.
    """
    infos = {info.name: info for info in registry.listing()}
    found = []
    for name in backends or infos:
        backend = infos[name].backend if name in infos else registry.get(name)  # which says so
        alone = backend is not None and backend.capabilities.isolation is Isolation.NONE
        counts = [1] if alone else workers or [usable_cores()]
        found += [Case(name, count) for count in counts]
    return list(dict.fromkeys(found))


class Comparison:
    """Measurements of one pipeline.

    Args:
        trials: Where they are made.
        order: The order of each trial, but for backend and number of workers.
        chosen: What to compare.

    Attributes:
        records: What is known so far, in the order of the cases.
    """

    def __init__(self, trials: Trials, order: dict[str, Any], chosen: Sequence[Case]) -> None:
        self._trials = trials
        self._order = order
        self.records = [Record(case) for case in chosen]

    def run(self, repeat: int, advance: Callable[[str], None]) -> None:
        """Measure each case so many times; each time all of them, one after the other.

        So a change of the machine's mood hits all alike. A case that fails is not tried again.

        Args:
            repeat: How often.
            advance: Called with what is measured next.
        """
        for _ in range(repeat):
            for record in self.records:
                advance(str(record.case))
                if not record.error:
                    self._measure(record)

    def _measure(self, record: Record) -> None:
        case = record.case
        answer = self._trials.run(
            {**self._order, "backend": case.backend, "max_workers": case.max_workers}
        )
        record.error = answer.get("error", "")
        if not record.error:
            record.cold += [_measured(run) for run in answer["cold"]]
            record.warm += [_measured(run) for run in answer["warm"]]


def _measured(fields: dict[str, Any]) -> Measured:
    bars = [Bar(*bar) for bar in fields.pop("bars")]
    return Measured(bars=bars, **fields)


@dataclass(slots=True)
class Cell:
    """What is known of a graph on a backend.

    Attributes:
        values: METG(50 %), in seconds, of each round.
        error: Why it cannot be run, or "".
    """

    values: list[float] = field(default_factory=list)
    error: str = ""


class Suite:
    """Measurements of standard graphs.

    Args:
        trials: Where they are made.
        chosen: What to compare.
        graphs: Names of graphs.
        payloads: Numbers of bytes that a node passes on.

    Attributes:
        found: What is known so far, by case; by graph and payload.
    """

    def __init__(
        self, trials: Trials, chosen: Sequence[Case], graphs: Sequence[str],
        payloads: Sequence[int],
    ) -> None:  # fmt: skip
        self._trials = trials
        self._todo = [(g, p, case) for p in payloads for g in graphs for case in chosen]
        self.found: dict[tuple[str, int], dict[str, Cell]] = {}

    @property
    def total(self) -> int:
        """Number of measurements in a round."""
        return len(self._todo)

    def run(self, repeat: int, advance: Callable[[str], None]) -> None:
        """Measure each graph on each backend so many times; one that fails is not tried again.

        Args:
            repeat: Number of rounds.
            advance: Called with what is measured next.
        """
        for _ in range(repeat):
            for pattern, nbytes, case in self._todo:
                advance(f"{pattern}, {nbytes} B, {case}")
                cell = self.found.setdefault((pattern, nbytes), {}).setdefault(str(case), Cell())
                if cell.error:
                    continue
                answer = self._trials.run({
                    "kind": "suite", "backend": case.backend, "max_workers": case.max_workers,
                    "pattern": pattern, "nbytes": nbytes,
                })  # fmt: skip
                cell.error = answer.get("error", "")
                cell.values += [] if cell.error else [answer["metg"]]

    def reasons(self) -> list[str]:
        """What went wrong, a line each."""
        return [
            f"{pattern}, {nbytes} B, {case}: failed: {cell.error}"
            for (pattern, nbytes), row in self.found.items()
            for case, cell in row.items()
            if cell.error
        ]
