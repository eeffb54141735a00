"""`motorpool run`."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from motorpool import ParallelRunner, Retry, registry
from motorpool._journal.folder import runs_folder
from motorpool._protocol.failure import format_error, remote_traceback
from motorpool._system.imports import need_modules
from motorpool._system.libraries import libraries_of
from motorpool.cli import _completion as completion
from motorpool.cli._observers import Files, Outcome
from motorpool.cli._open import folder_of, open_target
from motorpool.cli._outputs import Outputs
from motorpool.cli._parameters import Amount, Assignment, OutputFile
from motorpool.cli._signals import INTERRUPTED, TERMINATED, Signals, Terminated
from motorpool.cli._target_options import TargetOptions, target_options
from motorpool.cli._watching import Watching
from motorpool.errors import (
    BackendError,
    MissingInputError,
    MotorpoolError,
    ResumeError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool._run.result import RunResult
    from motorpool.events import RunSummary

_BY_NAME = ("node_names", "from_nodes", "to_nodes")


@click.command()
@target_options()
@click.option("-b", "--backend", default="direct", show_default=True, help="Where to run.",
              shell_complete=completion.backends)  # fmt: skip
@click.option("-w", "--max-workers", type=int, help="Number of workers; by default one a core.")
@click.option("-o", "--backend-option", "options", type=Assignment(), multiple=True,
              help="An option of the backend; may be given several times.")  # fmt: skip
@click.option("--async", "is_async", is_flag=True, help="Load and save with threads.")
@click.option("--only-missing-outputs", is_flag=True, help="Leave out what exists already.")
@click.option("--resume", is_flag=False, flag_value="", metavar="[RUN_ID]",
              help="Run only what an earlier run of this pipeline has not done; the latest one, "
              "if no id is given.")  # fmt: skip
@click.option("--checkpoint", type=click.Path(file_okay=False), metavar="DIR",
              help="Keep in-memory values in DIR, for a resumed run.")  # fmt: skip
@click.option("--memory-limit", metavar="SIZE",
              help="Shared memory that values may take before they go to disk, such as 4GiB; by "
              "default half of what is free.")  # fmt: skip
@click.option("--resource", "resources", type=Amount(), multiple=True,
              help="What there is of a resource that nodes take, such as gpu=1; may be given "
              "several times.")  # fmt: skip
@click.option("--readonly-inputs", is_flag=True,
              help="Let nodes read large inputs, but not change their copies.")  # fmt: skip
@click.option("--no-fuse", is_flag=True,
              help="Let every value go through the store.")  # fmt: skip
@click.option("--on-failure", type=click.Choice(["stop", "continue", "kill"]), default="stop",
              show_default=True, help="What to do after a node has failed.")  # fmt: skip
@click.option("--retries", type=click.IntRange(min=0), default=0, help="Tries after the first.")
@click.option("--retry-delay", type=click.FloatRange(min=0), default=0.0, metavar="S",
              help="Seconds before the first retry; doubled for each further one.")  # fmt: skip
@click.option("--timeout", type=float, metavar="S", help="Seconds until a node is ended.")
@click.option(
    "--events", type=click.File("w", lazy=False), help="Write each event as a line of JSON."
)
@click.option("--summary-json", type=click.File("w", lazy=False), metavar="FILE",
              help="Write the summary, with the times of each node, as JSON.")  # fmt: skip
@click.option("--report", type=OutputFile(), metavar="FILE",
              help="Write a page about the run: a time line, and what took how long.")  # fmt: skip
@click.option("--trace", type=OutputFile(), metavar="FILE",
              help="Write Trace Event JSON, for Perfetto or chrome://tracing.")  # fmt: skip
@click.option("--print", "printed", metavar="NAME", multiple=True,
              shell_complete=completion.outputs,
              help="Print an output after the run; may be given several times.")  # fmt: skip
@click.option("--progress/--no-progress", default=None,
              help="Show a progress bar; by default on a terminal.")  # fmt: skip
def run(  # noqa: PLR0913, one argument an option
    *, target: TargetOptions, backend: str, max_workers: int | None,
    options: tuple[tuple[str, str], ...], is_async: bool, only_missing_outputs: bool,
    resume: str | None, checkpoint: str | None, memory_limit: str | None,
    resources: tuple[tuple[str, float | str], ...], readonly_inputs: bool, no_fuse: bool,
    on_failure: Any, retries: int,
    retry_delay: float, timeout: float | None,
    events: IO[str] | None, summary_json: IO[str] | None, report: Path | None,
    trace: Path | None, printed: tuple[str, ...], progress: bool | None,
) -> int:  # fmt: skip
    """Run the pipeline in TARGET.

    TARGET is package.module:attr, file.py, file.py:attr, a folder that holds pipeline.py, or a
    Kedro project.
    """
    place = registry.resolve(backend, dict(options))
    need_modules(libraries_of(target.target))
    place.warm_up()  # while the pipeline and the rest of this are imported
    outcome = Outcome()
    watching = Watching(target.target, show_bar=progress)
    files = Files(events, summary_json, report, trace, target.target)
    observers: list[Any] = [outcome, *watching.bars, *files.observers]
    runner = ParallelRunner(
        place, max_workers, is_async, on_failure=on_failure, timeout=timeout,
        retries=Retry(retries, retry_delay), observers=observers, checkpoint=checkpoint,
        runs_folder=runs_folder(base=folder_of(target.target)) or False,
        memory_limit=memory_limit, resources=dict(resources) or None,
        readonly_inputs=readonly_inputs, fuse=not no_fuse,
    )  # fmt: skip
    found = open_target(target)
    watching.move_logs()
    outputs = Outputs(printed)
    runner._wants_results = bool(printed)  # noqa: SLF001, else none are loaded

    def look(pipeline: Any, catalog: Any) -> Any:
        files.pipeline = pipeline
        return outputs.look(pipeline, catalog)

    def work() -> RunResult:
        return found.run(
            runner, look, only_missing_outputs=only_missing_outputs,
            resume=False if resume is None else resume or True,
        )  # fmt: skip

    return _supervise(work, outcome, outputs)


def _supervise(work: Callable[[], RunResult], outcome: Outcome, outputs: Outputs) -> int:
    """Run, say what became of it, and return the exit code."""
    with Signals() as signals:
        result, code = _exit_code(work, outcome, signals)
        left = code in {INTERRUPTED, TERMINATED} and _threads_are_left()
        if outcome.finished is not None:
            summary = outcome.finished.summary
            _show([*summary.rows(outcome.skipped), *outputs.rows(result, summary)])
            if left and _runs_in_this_process(outcome.finished.summary.backend):
                click.echo("Nodes that still ran in threads were left where they were.", err=True)
            _show_hint(list(outcome.finished.resume_from), outcome.finished.summary)
        if left:  # they cannot be ended, and Python would wait
            logging.shutdown()
            sys.stdout.flush()
            os._exit(code)
    if result is not None:
        outputs.show(result)
    return code


def _exit_code(
    work: Callable[[], RunResult], outcome: Outcome, signals: Signals
) -> tuple[RunResult | None, int]:
    """Run, and print what went wrong; return the results, if there are any, and the exit code."""
    code = 0
    try:
        return _interruptible(work, signals), code
    except KeyboardInterrupt:
        signals.ignore()
        click.echo("Interrupted.", err=True)
        code = INTERRUPTED
    except Terminated:
        signals.ignore()
        click.echo("Terminated.", err=True)
        code = TERMINATED
    except (MissingInputError, ResumeError, ValidationError, SystemExit):
        raise
    except BackendError as error:
        if outcome.finished is None or not outcome.finished.summary.completed:
            raise
        click.echo(f"Error: {error}", err=True)
        code = 2
    except BaseException as error:  # whatever a node raises
        if outcome.finished is None:
            raise
        _show_failure(error)
        code = 1
    return None, code


def _interruptible(work: Callable[[], RunResult], signals: Signals) -> RunResult:
    """Run; a signal is raised as such, whatever the code that it hit has made of it."""
    try:
        return work()
    except BaseException as error:
        signal = signals.behind(error)
        if signal is None or signal is error:
            raise
        raise signal from None


def _runs_in_this_process(backend: str) -> bool:
    return registry.get(backend).capabilities.isolation.in_process


def _threads_are_left() -> bool:
    return any(not t.daemon for t in threading.enumerate() if t is not threading.main_thread())


def _show_failure(error: BaseException) -> None:
    """Show each failed node's own traceback, without our frames."""
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else [error]:
        notes = getattr(each, "__notes__", [])
        cause = remote_traceback(each)
        if (
            isinstance(each, MotorpoolError) and each.__cause__ is None
        ):  # raised here, not in a worker
            text = f"{type(each).__name__}: {each}"
        elif cause is not None:
            text = str(cause.args[0]).rstrip() + "".join(
                f"\n{n}" for n in notes if n not in str(cause)
            )
        else:
            text = format_error(each).rstrip()
        click.echo(text + "\n", err=True)


def _show(rows: list[tuple[str, str]]) -> None:
    for name, text in rows:
        click.echo(f"{name:<13}  {text}", err=True)


def _show_hint(start: list[str], summary: RunSummary) -> None:
    """A command to paste that runs what has not run."""
    if not start:
        return
    command, *arguments = _without("--resume", sys.argv[1:])
    if summary.journal is not None:
        arguments = ["--resume", Path(summary.journal).stem, *arguments]
    elif summary.completed:
        arguments = ["--from-nodes", ",".join(start), *_without("--from-nodes", arguments)]
    words = shlex.join([*_program(), command, *arguments])
    click.echo(f"To run the rest:\n  {words}", err=True)


def _program() -> list[str]:
    """How this command was called, or can be."""
    if "UV_RUN_RECURSION_DEPTH" in os.environ:  # what uv finds, a shell need not find
        return ["uv", "run", "motorpool"]
    return ["motorpool"] if shutil.which("motorpool") else [sys.executable, "-m", "motorpool"]


def _without(flag: str, arguments: list[str]) -> list[str]:
    """Command line arguments without an option and its value, if it has one."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == flag:
            following = next(rest, None)
            kept += [following] if following is not None and following.startswith("-") else []
        elif not argument.startswith(f"{flag}="):
            kept.append(argument)
    return kept
