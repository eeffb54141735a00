"""The command line: `motorpool run`, `motorpool graph`, `motorpool backends`."""

from __future__ import annotations

import sys

import click

from motorpool.cli._backends import backends
from motorpool.cli._graph import graph
from motorpool.cli._run import run
from motorpool.cli._signals import INTERRUPTED
from motorpool.errors import MotorpoolError

__all__ = ["main"]

_USAGE = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="motorpool")
def _motorpool() -> None:
    """Run a graph of Python functions in parallel, on any executor."""


_motorpool.add_command(run)
_motorpool.add_command(graph)
_motorpool.add_command(backends)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 for success, 1 for a failed node, 2 for a user's mistake."""
    try:
        code = _motorpool.main(arguments, prog_name="motorpool", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except MotorpoolError as error:
        click.echo(f"Error: {error}", err=True)
        code = _USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        code = INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)
