"""A Kedro project as what a command is about."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from motorpool._system.kedro_project import project_of
from motorpool.cli._configuration import parameters_from
from motorpool.cli._open import part_of
from motorpool.cli._target import where
from motorpool.errors import MotorpoolError, unknown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from motorpool import ParallelRunner
    from motorpool._run.result import RunResult
    from motorpool.cli._target_options import TargetOptions


class KedroTarget:
    """A pipeline of a Kedro project, with the project's catalog and hooks.

    Args:
        options: What was typed.

    Raises:
        click.UsageError: If Kedro is not installed, the project cannot be loaded, or has no such
            pipeline.

    Attributes:
        pipeline: The part of it that was asked for.
        names: Of the project's pipelines that are loaded.
    """

    def __init__(self, options: TargetOptions) -> None:
        folder = project_of(options.target)
        assert folder is not None  # noqa: S101, else it were no target for this class
        self._name, self._hooks_in_driver = options.target, options.hooks == "driver"
        if options.catalog is not None:
            raise click.UsageError(
                "--catalog: a Kedro project has its own catalog, which --env chooses."
            )
        with self._worded():
            _session = _kedros(options.target)
            self._adopting = _session.adopting
            self._project = _session.Project(
                folder.path, options.env, parameters_from(options.params), options.pipeline
            )
            known = self._project.pipelines()
        if unknown := [name for name in self._project.names if name not in known]:
            raise click.UsageError(f"--pipeline: {unknown_names('pipeline', unknown, known)}")
        self.names = sorted(known)
        first, *others = (known[name] for name in self._project.names)
        self.pipeline = part_of(sum(others, first), options)
        self._conditions = {
            "node_names": options.nodes, "from_nodes": options.from_nodes,
            "to_nodes": options.to_nodes, "tags": options.tags, "namespaces": options.namespaces,
        }  # fmt: skip

    def catalog(self) -> Any:
        """A catalog for it, with the parameters."""
        with self._worded():
            return self._project.catalog()

    def run(
        self, runner: ParallelRunner, look: Callable[[Any, Any], Any], *,
        only_missing_outputs: bool = False, resume: str | bool = False,
    ) -> RunResult:  # fmt: skip
        """Run it in a session of the project's; see `Target`."""
        both = only_missing_outputs and bool(resume)  # Kedro's own way would hide the run
        adopting = self._adopting(
            runner, look, resume, only_missing=both, hooks_in_driver=self._hooks_in_driver
        )
        try:
            self._project.run(
                adopting, only_missing_outputs=only_missing_outputs and not both,
                **self._conditions,
            )  # fmt: skip
        except (MotorpoolError, click.ClickException):
            raise
        except Exception as error:
            if adopting.has_started:
                raise
            raise self._refusal(error) from error
        found: RunResult = adopting.result
        return found

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        """Let what Kedro logs go to standard error, and what it raises be a line."""
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except (MotorpoolError, click.ClickException):
            raise
        except Exception as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> click.UsageError:
        """What keeps the project from being run, on one line."""
        return click.UsageError(f"{self._name}: {where(error)}")


def _kedros(target: str) -> Any:
    """What a project needs of Kedro, which takes a second to import."""
    try:
        from motorpool.kedro import _session  # noqa: PLC0415, as above
    except ModuleNotFoundError as error:
        if error.name != "kedro":
            raise
        raise click.UsageError(
            f"{target} is a Kedro project, and Kedro is not installed: pip install kedro"
        ) from error
    return _session
