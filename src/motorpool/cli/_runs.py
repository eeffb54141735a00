"""`motorpool runs`."""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from motorpool._journal.folder import runs_folder
from motorpool._journal.reader import path_of, run_ids
from motorpool._journal.records import list_runs, read_run
from motorpool._wording import counted
from motorpool.cli._open import folder_of
from motorpool.errors import unknown_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._journal.records import RunRecord

_FEW = 5
_COLOURS = {"complete": "green", "failed": "red", "killed": "red", "running": "cyan"}


@click.group(invoke_without_command=True)
@click.option("--folder", type=click.Path(file_okay=False), metavar="DIR",
              help="Where journals are; default .motorpool/runs, in a Kedro project that of the "
              "project, or $MOTORPOOL_RUNS.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def runs(context: click.Context, folder: str | None, as_json: bool) -> None:
    """List earlier runs: what became of them, and what they can be resumed by."""
    chosen = runs_folder(folder, folder_of("."))
    if chosen is None:
        raise click.UsageError("Runs keep no journals here: MOTORPOOL_RUNS says so. Use --folder.")
    context.obj = Path(chosen)
    if context.invoked_subcommand is not None:
        return
    found = list_runs(context.obj)
    if as_json:
        click.echo(json.dumps([_plain(run) for run in found], indent=2))
    elif found:
        _show(_table(found))
    else:
        click.echo(f"There are no runs in {context.obj}.")


@runs.command()
@click.argument("run_id", required=False, shell_complete=lambda c, _p, i: _complete(c, i))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(folder: Path, run_id: str | None, as_json: bool) -> None:
    """Show what became of each node of a run, by default of the latest.

    The beginning of its id will do.
    """
    known = run_ids(folder)
    if run_id is None and not known:
        raise click.UsageError(f"There are no runs in {folder}.")
    name = known[-1] if run_id is None else _resolved(folder, run_id)
    run = read_run(path_of(folder, name))
    if as_json:
        click.echo(json.dumps(asdict(run), indent=2))
        return
    _show(_table([run]))
    table = _bare("node", "outcome", "seconds", "tries", "error")
    for node in run.nodes:
        taken = "" if node.seconds is None else f"{node.seconds:.2f}"
        tries = str(node.attempts) if node.attempts else ""
        table.add_row(*map(Text, (node.node, node.outcome, taken, tries, node.error)))
    _show(table)
    if run.checkpoint is not None:
        click.echo(f"Values are kept in {run.checkpoint}")
    if run.outcome in {"failed", "stopped", "killed"}:
        click.echo(f"To run the rest: motorpool run TARGET --resume {run.run_id}")


@runs.command()
@click.argument(
    "chosen", metavar="[RUN_ID]...", nargs=-1, shell_complete=lambda c, _p, i: _complete(c, i)
)
@click.option("--all", "everything", is_flag=True, help="Also those that could be resumed.")
@click.pass_obj
def clean(folder: Path, chosen: Sequence[str], everything: bool) -> None:
    """Remove journals: of these runs, or of all that are complete.

    A run that is under way is left alone. Values that runs have kept with --checkpoint stay.
    """
    wanted = [_resolved(folder, run_id) for run_id in chosen]
    removed = []
    for run in list_runs(folder):
        meant = run.run_id in wanted if wanted else everything or run.outcome == "complete"
        if meant and run.outcome == "running":
            click.echo(f"{run.run_id} is under way, and stays.", err=True)
        elif meant:
            path_of(folder, run.run_id).unlink(missing_ok=True)
            removed.append(run.run_id)
    left = len(run_ids(folder))
    click.echo(f"{counted(len(removed), 'run')} removed, {left} left.")


def _resolved(folder: Path, run_id: str) -> str:
    """The id of which this is the beginning.

    Raises:
        click.UsageError: If there is none, or more than one.
    """
    known = run_ids(folder)
    found = [run_id] if run_id in known else [name for name in known if name.startswith(run_id)]
    if not found:
        raise click.UsageError(f"{unknown_names('run', [run_id], known[-_FEW:])} See {folder}.")
    if len(found) > 1:
        more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
        last = ", ".join(found[-_FEW:])
        raise click.UsageError(f"{run_id!r} is the beginning of {last}{more}.")
    return found[0]


def _complete(context: click.Context, beginning: str) -> list[str]:
    parent = context.parent.params.get("folder") if context.parent is not None else None
    chosen = runs_folder(parent, folder_of("."))
    ids = [] if chosen is None else run_ids(Path(chosen))
    return [run_id for run_id in ids if run_id.startswith(beginning)]


def _plain(run: RunRecord) -> dict[str, object]:
    return {
        "run_id": run.run_id, "started": run.started, "seconds": run.seconds,
        "backend": run.backend, "outcome": run.outcome, "done": run.done,
        "nodes": len(run.nodes), "failed": run.failed,
    }  # fmt: skip


def _table(found: Sequence[RunRecord]) -> Table:
    table = _bare("run", "started", "backend", "outcome", "nodes", "seconds")
    for run in found:
        when = "" if run.started is None else time.strftime("%F %T", time.localtime(run.started))
        taken = "" if run.seconds is None else f"{run.seconds:.2f}"
        outcome = Text(run.outcome, _COLOURS.get(run.outcome, ""))
        done = f"{run.done}/{len(run.nodes)}"
        table.add_row(Text(run.run_id), when, Text(run.backend), outcome, done, taken)
    return table


def _bare(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="left")
    return table


def _show(table: Table) -> None:
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(file=io.StringIO(), width=10_000, highlight=False)  # programs read lines
    console.print(table)
    click.echo("\n".join(map(str.rstrip, console.file.getvalue().splitlines())))  # type: ignore[attr-defined]
