"""The command line: `motorpool run`, `bench`, `check` and so on."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from motorpool._system.streams import forgive_closed_pipes, take_any_text
from motorpool.errors import MotorpoolError

__all__ = ["load", "main"]

_USAGE = 2
_INTERRUPTED = 130


class _Commands(click.Group):
    """Imports a command when it is called for: `motorpool run` needs no plots."""

    names = ("backends", "bench", "check", "graph", "new-backend", "run", "runs")

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002, click's signature
        """Names of the commands."""
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """A command, or None if there is none of that name."""
        if cmd_name not in self.names:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"motorpool.cli._{name}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="motorpool")
def _motorpool() -> None:
    """Run a graph of Python functions in parallel, on any executor."""


def load(arguments: list[str]) -> None:
    """Import the command that is called."""
    for argument in arguments:
        if argument in _Commands.names:
            import_module(f"motorpool.cli._{argument.replace('-', '_')}")
            break


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 for success, 1 for a failed node, 2 for a user's mistake."""
    forgive_closed_pipes()
    take_any_text()
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
        code = _INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)
