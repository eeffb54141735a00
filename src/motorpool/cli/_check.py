"""`motorpool check`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from motorpool.cli import _completion as completion
from motorpool.cli._parameters import Assignment

if TYPE_CHECKING:
    from motorpool.testing._check import CheckReport
    from motorpool.testing._timings import Timing

_LEVELS = ("core", "data", "faults", "distributed")
_FAILED = 1
_PLAIN: dict[str, Any] = {"box": None, "pad_edge": False, "padding": (0, 3, 0, 0)}
_NEEDED = ("psutil", "pytest")


@click.command()
@click.argument("name", shell_complete=completion.backends)
@click.option("--level", type=click.Choice(_LEVELS), default="faults", show_default=True,
              help="Run the tests of this level and of those before it.")  # fmt: skip
@click.option("-o", "--backend-option", "options", type=Assignment(), multiple=True,
              help="An option of the backend; may be given several times.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(name: str, level: str, options: tuple[tuple[str, str], ...], as_json: bool) -> int:
    """Run the conformance kit on the installed backend NAME.

    Prints what it declares and what is proven, what basic operations take, and each test that
    fails. The exit code is 1 if any does.
    """
    try:
        from motorpool.testing import _check as kit  # noqa: PLC0415, needs an extra
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        raise click.ClickException(
            f"The kit needs {error.name}: pip install pytest psutil"
        ) from error
    with os.fdopen(os.dup(2), "w") as terminal:  # pytest takes the other
        bar = Progress(
            TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[test]}"), console=Console(file=terminal), transient=True,
        )  # fmt: skip
        task = bar.add_task("tests", total=None, test="")

        def progress(done: int, total: int, test: str) -> None:
            bar.update(task, completed=done, total=total, test=test)

        with bar:
            report = kit.check(name, level=level, options=dict(options), progress=progress)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        _show(report)
    return _FAILED if report.of(kit.FAILED) else 0


def _show(report: CheckReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    origin = ", ".join(report.distributions)
    console.print(f"[bold]{escape(report.backend)}[/]  {escape(origin)}, level {report.level}")
    console.print(f"{report.where}\n")
    able = Table("capability", "declared", "proven", **_PLAIN)
    able.add_row("isolation", report.isolation, _yes(report.proven["isolation"]))
    for name, declared in report.declared.items():
        able.add_row(name, _yes(declared), _yes(report.proven[name]))
    console.print(able)
    console.print()
    taken = Table("operation", "median", **_PLAIN)
    for timing in report.timings:
        taken.add_row(timing.operation, _time(timing))
    console.print(taken)
    console.print(f"\n{_counts(report)}")
    for found in report.of("failed"):
        console.print(f"[red]failed[/] {escape(found.test)}: {escape(found.message)}")
    if report.may_declare:
        names = ", ".join(report.may_declare)
        console.print(f"It may declare {names}: all tests that need it pass.")


def _yes(value: bool | None) -> str:
    return "not tested" if value is None else "yes" if value else "no"


def _time(timing: Timing) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if timing.seconds >= size:
            return f"{timing.seconds / size:.3g} {unit}"
    return f"{timing.seconds / 1e-6:.3g} us"


def _counts(report: CheckReport) -> str:
    counts: dict[str, Any] = {}
    for found in report.found:
        counts[found.outcome] = counts.get(found.outcome, 0) + 1
    order = ("passed", "failed", "not declared", "not run")
    return ", ".join(f"{counts[name]} {name}" for name in order if name in counts)
