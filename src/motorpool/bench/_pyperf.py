"""Measurements as pyperf writes them, for `python -m pyperf compare_to` and the like.

Source: https://pyperf.readthedocs.io/en/latest/api.html
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from motorpool._system.process import usable_cores
from motorpool.bench._advice import warnings
from motorpool.bench._measures import ranked
from motorpool.bench._tables import failures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from motorpool.bench._comparison import Cell
    from motorpool.bench._measures import Measured, Record

_VERSION = "1.0"


def comparison_json(records: Sequence[Record], apart: Mapping[str, float]) -> dict[str, Any]:
    """Two benchmarks a case, cold and warm, with a run for each value; failures as metadata."""
    benchmarks = []
    for record in ranked(records):
        for kind, runs in (("cold", record.cold), ("warm", record.warm)):
            name = f"{record.case.backend}-{record.case.max_workers}-{kind}"
            benchmarks.append(_benchmark(name, [(run.wall, _figures(run)) for run in runs]))
    notes = {
        "motorpool_failures": failures(records),
        "motorpool_warnings": warnings(records, apart),
    }
    return _suite(benchmarks, {key: " | ".join(texts) for key, texts in notes.items() if texts})


def suite_json(found: Mapping[tuple[str, int], Mapping[str, Cell]]) -> dict[str, Any]:
    """A benchmark for each graph, payload and case; its values are METG, in seconds."""
    benchmarks = []
    for (pattern, nbytes), row in found.items():
        for case, cell in row.items():
            values: list[tuple[Any, dict[str, Any]]] = [
                (value, {}) for value in cell.values if 0 < value < float("inf")
            ]
            if values and not cell.error:
                name = f"metg-{pattern}-{nbytes}-{case.replace(', ', '-')}"
                benchmarks.append(_benchmark(name, values))
    return _suite(benchmarks, {})


def _figures(run: Measured) -> dict[str, Any]:
    names = ("node_time", "nodes", "workers", "nbytes", "bound")
    return {f"motorpool_{name}": getattr(run, name) for name in names}


def _benchmark(name: str, values: Sequence[tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    now: Any = datetime.now(tz=UTC).replace(tzinfo=None).isoformat(sep=" ")
    runs = [{"metadata": {"date": now, **figures}, "values": [value]} for value, figures in values]
    return {"metadata": {"name": name, "unit": "second", "loops": 1}, "runs": runs}


def _suite(benchmarks: list[dict[str, Any]], notes: dict[str, str]) -> dict[str, Any]:
    metadata = {
        "python_version": platform.python_version(),
        "python_implementation": platform.python_implementation().lower(),
        "platform": platform.platform(),
        "cpu_count": usable_cores(),
        "motorpool_version": version("motorpool"),
        **notes,
    }
    return {"benchmarks": benchmarks, "metadata": metadata, "version": _VERSION}
