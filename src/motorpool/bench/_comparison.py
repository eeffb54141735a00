"""Runs a pipeline, or standard graphs, on each backend in turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from motorpool import registry
from motorpool._report.bars import Bar
from motorpool._system.process import usable_cores
from motorpool.backend import Isolation
from motorpool.bench._kept import kept_apart
from motorpool.bench._measures import Case, Measured, Record, differing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

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
        order: The order of each trial, but for its kind, backend and number of workers.
        chosen: What to compare.

    Attributes:
        records: What is known so far, in the order of the cases.
        apart: Of outputs that are not the same everywhere, how far they are apart; see `distance`.
        target: What is measured.
    """

    def __init__(self, trials: Trials, order: dict[str, Any], chosen: Sequence[Case]) -> None:
        self._trials = trials
        self._order = order
        self.target: str = order["target"]
        self.records = [Record(case) for case in chosen]
        self.apart: dict[str, float] = {}

    def run(self, repeat: int, advance: Callable[[str], None]) -> None:
        """Measure each case so many times; each time all of them, one after the other.

        So a change of the machine's mood hits all alike. Before that, each runs once to see what
        comes out, and how much memory that takes, which is not measured beside the time. A case
        that fails is not tried again.

        Args:
            repeat: How often.
            advance: Called with what is measured next.

        Raises:
            OutOfTimeError: If the time is up before all is done; what is known stays.
        """
        for record in self.records:
            advance(f"{record.case}: outputs and memory")
            answer = self._answer(record, "check")
            if not record.error:
                record.checked.append(_measured(answer["check"]))
                record.peak_memory = answer["peak_memory"]
        self.apart = self._apart()
        for turn in range(repeat):
            for record in self.records:
                advance(f"{record.case}: round {turn + 1} of {repeat}")
                answer = {} if record.error else self._answer(record, "target")
                if not record.error:
                    record.cold += [_measured(run) for run in answer["cold"]]
                    record.warm += [_measured(run) for run in answer["warm"]]

    def _answer(self, record: Record, kind: str) -> dict[str, Any]:
        backend, workers = record.case
        answer = self._trials.run({
            **self._order, "kind": kind, "backend": backend, "max_workers": workers,
            "memory": kind == "check", "values": str(self._values(record)),
        })  # fmt: skip
        record.error = answer.get("error", "")
        return answer

    def _values(self, record: Record) -> Path:
        """Where the outputs of its first run are kept."""
        return self._trials.folder / "values" / str(self.records.index(record))

    def _apart(self) -> dict[str, float]:
        done = [record for record in self.records if record.checked]
        folders = [self._values(record) for record in done]
        return {name: kept_apart(folders, name) for name in differing(done).between}


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

        Raises:
            OutOfTimeError: If the time is up before all is done; what is known stays.
        """
        for turn in range(repeat):
            for pattern, nbytes, case in self._todo:
                advance(f"{pattern}, {nbytes} B, {case}: round {turn + 1} of {repeat}")
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
