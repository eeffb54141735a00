"""The options that say what a command is about."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click

from motorpool.cli import _completion as completion
from motorpool.cli._parameters import Names

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """What a command is about, as people have typed it.

    Attributes:
        target: `package.module:attr`, `file.py`, `file.py:attr`, a folder with `pipeline.py`, or
            a Kedro project.
        pipeline: Of a project: names of its pipelines.
        env: Of a project: the environment of its configuration.
        hooks: Of a project: "driver" to call its hooks in this process, where nodes run elsewhere.
        catalog: Like a target, or a file of YAML.
        params: A file of YAML, or `name=value,...`.
        nodes, from_nodes, to_nodes, tags, namespaces: Which nodes are meant.
    """

    target: str
    pipeline: list[str] | None = None
    env: str | None = None
    hooks: str | None = None
    catalog: str | None = None
    params: str | None = None
    nodes: list[str] | None = None
    from_nodes: list[str] | None = None
    to_nodes: list[str] | None = None
    tags: list[str] | None = None
    namespaces: list[str] | None = None


def _of_pipeline(command: Command) -> Command:
    for flag, text, choices in (
        ("--nodes", "Only these nodes.", completion.nodes),
        ("--from-nodes", "Only these nodes and everything after them.", completion.nodes),
        ("--to-nodes", "Only these nodes and everything before them.", completion.nodes),
        ("--tags", "Only nodes with one of these tags.", completion.tags),
        ("--namespaces", "Only nodes in one of these namespaces of Kedro.", completion.namespaces),
        ("--pipeline", "Of a Kedro project: the pipeline, or several; by default __default__.",
         completion.pipelines),
    ):  # fmt: skip
        option = click.option(flag, type=Names(), help=text, shell_complete=choices)
        command = option(command)
    return command


def _of_data(command: Command) -> Command:
    for option in (
        click.option("--hooks", type=click.Choice(["workers", "driver"]),
                     help="Of a Kedro project: where hooks of nodes and datasets are called; by "
                     "default where the node runs."),
        click.option("--env", metavar="NAME", help="Of a Kedro project: which configuration."),
        click.option("--params", metavar="FILE|NAME=VALUE,...",
                     help="Parameters: YAML with the datasets `parameters` and `params:...`, or "
                     "names with values."),
        click.option("--catalog", metavar="REF", help="Where the catalog is, if not beside the "
                     "pipeline; a TARGET or YAML."),
    ):  # fmt: skip
        command = option(command)
    return command


def target_options(*, required: bool = True, data: bool = True) -> Callable[[Command], Command]:
    """Give a command the argument `target` and its options, as one `TargetOptions`.

    Args:
        required: Whether there has to be a target; without one it is None, and no option is taken.
        data: Whether the command is about data as well.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def collected(**values: Any) -> Any:
            names = [field.name for field in fields(TargetOptions)]
            found = {name: values.pop(name) for name in names if name in values}
            if found["target"] is None and (given := [n for n, v in found.items() if v]):
                flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
                raise click.UsageError(f"{flags}: without a TARGET there is nothing to choose.")
            target = None if found["target"] is None else TargetOptions(**found)
            return command(target=target, **values)

        whole = _of_pipeline(_of_data(collected) if data else collected)
        argument = click.argument("target", required=required, shell_complete=completion.targets)
        return argument(whole)

    return decorate
