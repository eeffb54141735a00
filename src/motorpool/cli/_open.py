"""From what people have typed to something that runs: a pipeline of a module, or a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import click

from motorpool._system.kedro_project import project_of
from motorpool.cli._configuration import with_parameters
from motorpool.cli._target import load_catalog, load_pipeline
from motorpool.errors import MotorpoolError, unknown_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool import ParallelRunner
    from motorpool._run.result import RunResult
    from motorpool.cli._target_options import TargetOptions

_BY_NAME = ("nodes", "from_nodes", "to_nodes")


class Target(Protocol):
    """A pipeline with its data.

    Attributes:
        pipeline: The part of it that was asked for.
    """

    pipeline: Any

    def catalog(self) -> Any:
        """A catalog for it, with the parameters."""

    def run(
        self, runner: ParallelRunner, look: Callable[[Any, Any], Any], *,
        only_missing_outputs: bool = False, resume: str | bool = False,
    ) -> RunResult:  # fmt: skip
        """Run it.

        Args:
            runner: The runner.
            look: Is shown the pipeline and the catalog before anything starts, and returns the
                catalog, or the datasets to run with, by name.
            only_missing_outputs: As for `ParallelRunner.run`.
            resume: Likewise.
        """


def open_target(options: TargetOptions) -> Target:
    """Load what a command is about.

    Raises:
        click.UsageError: If there is no such thing; says what there is.
    """
    if project_of(options.target) is not None:
        from motorpool.cli._kedro_target import KedroTarget  # noqa: PLC0415, few are of Kedro

        return KedroTarget(options)
    return ModuleTarget(options)


def folder_of(target: str) -> str:
    """The folder that journals of a target go to: a Kedro project's own, or the working one."""
    project = project_of(target)
    return "" if project is None else str(project.path)


class ModuleTarget:
    """A pipeline in a module, or in a file.

    Args:
        options: What was typed.

    Raises:
        click.UsageError: If there is no such thing; says what there is.
    """

    def __init__(self, options: TargetOptions) -> None:
        for name in ("pipeline", "env", "hooks"):
            if getattr(options, name):
                raise click.UsageError(
                    f"--{name} goes with a Kedro project; {options.target} is none."
                )
        whole, self._module = load_pipeline(options.target)
        self.pipeline = part_of(whole, options)
        self._options = options

    def catalog(self) -> Any:
        """A catalog for it, with the parameters."""
        found = load_catalog(self._options.catalog, self._module)
        return with_parameters(found, self._options.params)

    def run(
        self, runner: ParallelRunner, look: Callable[[Any, Any], Any], *,
        only_missing_outputs: bool = False, resume: str | bool = False,
    ) -> RunResult:  # fmt: skip
        """Run it; see `Target`."""
        catalog = look(self.pipeline, self.catalog())
        return runner.run(
            self.pipeline, catalog, only_missing_outputs=only_missing_outputs, resume=resume
        )


def part_of(pipeline: Any, options: TargetOptions) -> Any:
    """The part of a pipeline that was asked for, ours or Kedro's.

    Raises:
        click.UsageError: If a node is unknown; says which ones are meant.
    """
    wanted: dict[str, Any] = {
        "node_names": options.nodes, "from_nodes": options.from_nodes,
        "to_nodes": options.to_nodes, "tags": options.tags,
        "node_namespaces": options.namespaces,
    }  # fmt: skip
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if not wanted:
        return pipeline
    if options.namespaces and not any(hasattr(node, "namespace") for node in pipeline.nodes):
        raise click.UsageError("--namespaces goes with pipelines of Kedro; this is none.")
    try:
        return pipeline.filter(**wanted)
    except MotorpoolError:
        raise
    except Exception as error:
        named = {n for key in _BY_NAME for n in getattr(options, key) or ()}
        unknown = sorted(named - {node.name for node in pipeline.nodes})
        text = unknown_names("node", unknown, (n.name for n in pipeline.nodes)) if unknown else ""
        raise click.UsageError(text or str(error)) from error
