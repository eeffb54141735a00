"""One measurement of `motorpool bench`, in a process of its own.

Reads what to do from standard input, as JSON, and writes the answer to the file that it names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool import ParallelRunner, registry
from motorpool._protocol.failure import summary_of
from motorpool._report.bars import Bar, Shape, longest
from motorpool._system.imports import need_modules
from motorpool._system.libraries import libraries_of
from motorpool._system.process import watch_parent
from motorpool.bench._digest import digest_of
from motorpool.bench._kept import keep_value
from motorpool.bench._measures import Measured
from motorpool.bench._scratch import digest_of_files, in_scratch
from motorpool.bench._suite import measure_graph
from motorpool.cli._open import Target, open_target
from motorpool.cli._signals import INTERRUPTED, TERMINATED, Signals, Terminated
from motorpool.cli._target_options import TargetOptions
from motorpool.events import NodeCompleted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from motorpool.events import Event

# A run that has taken longer (s) has found work for all of its workers.
_SHORT = 1.0


class _TimeLine:
    """Keeps when which node ran where; and, of the last run, what each process had at most."""

    def __init__(self) -> None:
        self.events: list[NodeCompleted] = []
        self.peak_memory = 0

    def on_event(self, event: Event) -> None:
        """Remember what has run."""
        if isinstance(event, NodeCompleted):
            self.events.append(event)


def _check_target(order: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline once, whatever that takes: is it what other backends come to?"""
    with _runs(order) as (run, line):
        return {"check": run(Path(order["values"])), "peak_memory": line.peak_memory}


def _measure_target(order: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline once with workers yet to start, and once more with these."""
    with _runs(order) as (run, _):
        cold, left = run(), order["max_workers"]
        while left and cold["wall"] < _SHORT:  # it may not have got to every worker
            run()
            left -= 1
        return {"cold": [cold], "warm": [run()]}


@contextlib.contextmanager
def _runs(order: dict[str, Any]) -> Iterator[tuple[Callable[..., dict[str, Any]], _TimeLine]]:
    """What runs the pipeline once more, and what is known of the last run.

    The former takes a folder to keep the outputs in, if they are to be kept.
    """
    backend = registry.resolve(order["backend"])
    need_modules(libraries_of(order["target"]))
    backend.warm_up()  # as `motorpool run` does
    target = open_target(TargetOptions(**order["options"]))
    line, scratch = _TimeLine(), Path(order["scratch"])
    with ParallelRunner(
        backend, order["max_workers"], observers=[line], runs_folder=order["runs"]
    ) as runner:

        def run(values: Path | None = None) -> dict[str, Any]:
            shutil.rmtree(scratch, ignore_errors=True)
            return _measure_run(runner, target, scratch, line, values)

        yield run, line


def _measure_run(
    runner: ParallelRunner, target: Target, scratch: Path, line: _TimeLine, values: Path | None
) -> dict[str, Any]:
    line.events.clear()
    began, pipeline = time.time(), target.pipeline
    result = target.run(runner, lambda found, catalog: in_scratch(found, catalog, scratch)[0])
    summary = result.summary
    line.peak_memory = summary.peak_memory
    workers = min(summary.max_workers, runner._get_required_workers_count(pipeline))  # noqa: SLF001
    bars = [Bar.of(event, began) for event in line.events]
    critical = Shape.of(pipeline).critical_path(bars)
    return dataclasses.asdict(
        Measured(
            wall=summary.wall_time,
            node_time=summary.node_time,
            path=sum(bar.seconds for bar in bars if bar.node in critical),
            nodes=summary.completed,
            workers=workers,
            nbytes=sum(bar.nbytes for bar in bars),
            digests={name: _digest_of(result[name], name, values) for name in sorted(result)},
            bars=longest(bars),
        )
    )


def _digest_of(dataset: Any, name: str, values: Path | None) -> str | None:
    """Of the data, or, if these can only be written, of the file."""
    try:
        value = dataset.load()
    except Exception:  # noqa: BLE001, such as a dataset of pictures raises
        return digest_of_files(dataset)
    if values is not None:
        keep_value(values, name, value)
    return digest_of(value)


def _reason(error: BaseException) -> str:
    """Why it failed; of several failures the first."""
    if not isinstance(error, BaseExceptionGroup):
        notes = [n.partition(",")[0] for n in getattr(error, "__notes__", []) if "in node" in n]
        return ", ".join([summary_of(error), *notes])
    return f"{_reason(error.exceptions[0])} (and {len(error.exceptions) - 1} more)"


_KINDS = {"check": _check_target, "target": _measure_target, "suite": measure_graph}


def main() -> int:
    """Do what was asked for; what goes wrong is the answer."""
    order = json.load(sys.stdin)
    watch_parent(order["driver"], ())
    try:
        with Signals():
            answer = _KINDS[order["kind"]](order)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except BaseException as error:  # noqa: BLE001, whatever a node or a backend raises
        answer = {"error": _reason(error)}
    Path(order["answer"]).write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
