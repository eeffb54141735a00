"""`motorpool bench`."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from motorpool._report.bars import Shape
from motorpool._report.page import command_line
from motorpool._run.prepare import Preparation
from motorpool.bench._advice import advise, warnings
from motorpool.bench._comparison import Comparison, Suite, cases
from motorpool.bench._graphs import PATTERNS
from motorpool.bench._measures import ranked
from motorpool.bench._page import page
from motorpool.bench._pyperf import comparison_json, suite_json
from motorpool.bench._scratch import in_scratch
from motorpool.bench._statistics import ENOUGH
from motorpool.bench._tables import comparison_table, failures, suite_table
from motorpool.bench._trials import OutOfTimeError, Trials
from motorpool.cli import _completion as completion
from motorpool.cli._open import open_target
from motorpool.cli._parameters import Names, Numbers, OutputFile
from motorpool.cli._signals import INTERRUPTED, TERMINATED, Signals, Terminated
from motorpool.cli._target_options import TargetOptions, target_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.bench._measures import Case, Record

_TRIAL = "motorpool.cli._bench_trial"
_PAYLOADS = (16, 131072)
# Narrower, the table would break its lines.
_WIDTH = 160


@click.command()
@target_options(required=False)
@click.option("--backends", type=Names(), help="By default all that are installed.",
              shell_complete=completion.backends)  # fmt: skip
@click.option("-w", "--max-workers", type=Numbers(),
              help="Numbers of workers; by default one a core.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(min=1), metavar="N",
              help=f"How often; by default {ENOUGH}, the least for an interval of 95 %, and 3 "
              "for the suite.")  # fmt: skip
@click.option("--suite", is_flag=True, help="Measure standard graphs instead of a pipeline.")
@click.option("--graphs", type=Names(), help="Of the suite: " + ", ".join(PATTERNS) + ".")
@click.option("--payloads", type=Numbers(),
              help="Of the suite: bytes that each node passes on; by default "
              f"{','.join(map(str, _PAYLOADS))}.")  # fmt: skip
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Measure no longer than so many seconds, and show what there is.")  # fmt: skip
@click.option("--yes-overwrite", is_flag=True,
              help="Let runs write over what cannot go elsewhere.")  # fmt: skip
@click.option("--json", "json_file", type=OutputFile(), metavar="FILE",
              help="Write what was measured, as pyperf does.")  # fmt: skip
@click.option("--html", "html_file", type=OutputFile(), metavar="FILE",
              help="Write a page with plots.")  # fmt: skip
def bench(  # noqa: PLR0913, one argument an option
    *, target: TargetOptions | None, backends: list[str] | None,
    max_workers: list[int] | None, repeat: int | None, suite: bool,
    graphs: list[str] | None, payloads: list[int] | None, time_limit: float | None,
    yes_overwrite: bool, json_file: Path | None, html_file: Path | None,
) -> int:  # fmt: skip
    """Run the pipeline in TARGET on each backend, and say which one is best for it.

    Each measurement is a process of its own: it runs the pipeline once while workers have yet to
    start (cold), and once more (warm). What its datasets write goes to a temporary folder; what
    cannot, such as tables of a database, needs --yes-overwrite. With --suite, standard graphs are
    measured, and no target is named.
    """
    if suite is (target is not None):
        raise click.UsageError("Name a TARGET, or --suite, and not both.")
    if not suite and (graphs or payloads):
        raise click.UsageError("--graphs and --payloads go with --suite.")
    if suite and yes_overwrite:
        raise click.UsageError("--yes-overwrite goes with a TARGET.")
    if suite and html_file:
        raise click.UsageError("--html shows the runs of a pipeline; for --suite there is --json.")
    chosen = cases(backends or [], max_workers or [])
    with Trials(_TRIAL, time_limit) as trials:
        if target is None:
            sizes = payloads or list(_PAYLOADS)
            return _bench_suite(trials, chosen, graphs, sizes, repeat or 3, json_file)
        shape = _check_target(target, overwrite=yes_overwrite)
        order = {"target": target.target, "options": dataclasses.asdict(target)}
        comparison = Comparison(trials, order, chosen)
        return _bench_target(comparison, shape, repeat or ENOUGH, json_file, html_file)


def _bench_target(
    comparison: Comparison, shape: Shape, repeat: int, json_file: Path | None,
    html_file: Path | None,
) -> int:  # fmt: skip
    total = (1 + repeat) * len(comparison.records)
    code = _supervise(total, lambda tell: comparison.run(repeat, tell))
    records, apart = comparison.records, comparison.apart
    done = ranked(records)
    _show(records, done, warnings(done, apart))
    if done and json_file:
        json_file.write_text(json.dumps(comparison_json(records, apart)))
    if html_file and (done or not code):
        html_file.write_text(page(comparison, shape, command_line()), encoding="utf-8")
    return code or (0 if done else 1)


def _check_target(target: TargetOptions, *, overwrite: bool) -> Shape:
    """A mistake is one now, and not once a trial; and no run may write over what is there."""
    found = open_target(target)
    pipeline = found.pipeline
    if not list(pipeline.nodes):
        raise click.UsageError(
            f"{target.target}: the pipeline has no nodes, so there is no difference."
        )
    data = found.catalog()
    Preparation(
        pipeline, data, only_missing_outputs=False, run_id=None, resume=False, runs=False,
        wants_results=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="motorpool-bench-") as folder:
        _, refused = in_scratch(pipeline, data, Path(folder))
    if refused and not overwrite:
        raise click.UsageError(
            f"Each run would write to {', '.join(refused)}, which cannot be moved to a temporary "
            "folder. Name another catalog with --catalog, or say --yes-overwrite."
        )
    return Shape.of(pipeline)


def _show(records: list[Record], done: list[Record], texts: list[str]) -> None:
    """What differs, the table, what failed, and the advice."""
    console = _console()
    for text in texts:
        console.print(text, style="red", soft_wrap=True, markup=False)
    if done:
        console.print(comparison_table(done))
    for line in failures(records):
        console.print(line, soft_wrap=True, markup=False)
    if done and not texts:
        console.print("All runs gave the same outputs.")
    console.print(advise(records), soft_wrap=True, markup=False)


def _bench_suite(
    trials: Trials, chosen: list[Case], graphs: list[str] | None, payloads: list[int],
    repeat: int, json_file: Path | None,
) -> int:  # fmt: skip
    unknown = sorted(set(graphs or ()) - set(PATTERNS))
    if unknown:
        raise click.UsageError(f"There are no graphs {unknown}; there are {', '.join(PATTERNS)}.")
    suite = Suite(trials, chosen, graphs or list(PATTERNS), payloads)
    code = _supervise(repeat * suite.total, lambda tell: suite.run(repeat, tell))
    console = _console()
    console.print("METG(50 %): the shortest node for which half of the workers' time is useful")
    console.print(suite_table(suite.found))
    for reason in suite.reasons():
        console.print(reason, soft_wrap=True, markup=False)
    figures = suite_json(suite.found)
    if json_file and figures["benchmarks"]:
        json_file.write_text(json.dumps(figures))
    return code


def _console() -> Console:
    """One that breaks no line of a table, however wide the terminal is."""
    return Console(highlight=False, width=max(_WIDTH, Console().width), soft_wrap=True)


def _supervise(total: int, work: Callable[[Callable[[str], None]], None]) -> int:
    """Work with a progress bar, or lines; an interrupt ends it early, with what there is."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with Signals() as signals, bar:
        task: Any = bar.add_task("starting", total=total)
        begun = False

        def tell(what: str) -> None:
            nonlocal begun
            bar.update(task, description=what, advance=1 if begun else 0)
            if bar.disable:
                click.echo(what, err=True)
            begun = True

        try:
            work(tell)
            bar.update(task, completed=total)
        except OutOfTimeError:
            click.echo("The time is up.", err=True)
        except (KeyboardInterrupt, Terminated) as error:
            signals.ignore()
            interrupted = isinstance(error, KeyboardInterrupt)
            click.echo("Interrupted." if interrupted else "Terminated.", err=True)
            return INTERRUPTED if interrupted else TERMINATED
    return 0
