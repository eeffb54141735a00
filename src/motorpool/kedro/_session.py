"""A Kedro project's own session, on an engine that is set up elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kedro.runner
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from motorpool.kedro._engine_runner import EngineRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import motorpool
    from motorpool._run.result import RunResult

_DEFAULT = "__default__"


class Project:
    """A Kedro project; this process is configured for it, with its source on the path.

    Args:
        folder: Where it is.
        env: The environment of its configuration, or None for what Kedro takes.
        parameters: Parameters by name, nested, beside those of its configuration.
        names: Of the pipelines to run together; None for `__default__`.

    Raises:
        Exception: Whatever is wrong with the project, as Kedro words it.

    Attributes:
        names: Of the pipelines to run.
    """

    def __init__(
        self, folder: Path, env: str | None, parameters: dict[str, Any], names: list[str] | None
    ) -> None:
        self._path = bootstrap_project(folder).project_path
        self._env, self._parameters = env, parameters
        self.names = names or [_DEFAULT]
        self._request(names)

    @staticmethod
    def _request(names: list[str] | None) -> None:
        """Let only these pipelines be loaded; older versions of Kedro load all."""
        if hasattr(pipelines, "set_requested"):
            pipelines.set_requested(names)

    def pipelines(self) -> dict[str, Any]:
        """The project's pipelines by name; all of them if one that is wanted is not there."""
        if not set(self.names) <= set(pipelines):
            self._request(None)
        return dict(pipelines)

    def catalog(self) -> Any:
        """The project's catalog, with its parameters."""
        session, parameters = self._session()
        return session.load_context(**parameters).catalog

    def run(self, runner: AdoptingRunner, **conditions: Any) -> None:
        """Run the pipelines in a new session.

        Args:
            runner: What to run them with; has the results then.
            **conditions: As for `KedroSession.run`.
        """
        names = None if self.names == [_DEFAULT] else self.names
        session, parameters = self._session()
        with session:
            session.run(pipeline_names=names, runner=runner, **conditions, **parameters)

    def _session(self) -> tuple[Any, dict[str, Any]]:
        """A session of the project's class, and what its methods want of the parameters."""
        kind: Any = getattr(settings, "SESSION_CLASS", KedroSession)
        given = {"runtime_params": self._parameters}
        first, later = (given, {}) if issubclass(kind, KedroSession) else ({}, given)
        return kind.create(project_path=self._path, env=self._env, **first), later


class AdoptingRunner(EngineRunner):
    """Runs on an engine that it is given, and says nothing of how to resume.

    Args:
        engine: The engine.
        look: Is shown the pipeline and the catalog before anything starts, and returns the
            catalog, or the datasets to run with, by name.
        resume: As for `motorpool.ParallelRunner.run`.
        only_missing: Whether to run only what is needed for outputs that do not exist.
        hooks_in_driver: Whether hooks of nodes and datasets are called in this process.

    Attributes:
        has_started: Whether the checks are behind it, so that nodes may have run.
        result: What the run has left.
    """

    result: RunResult

    def __init__(
        self, engine: motorpool.ParallelRunner, look: Callable[[Any, Any], Any],
        resume: str | bool, *, only_missing: bool, hooks_in_driver: bool,
    ) -> None:  # fmt: skip
        is_async = engine._settings.is_async  # noqa: SLF001, ours as well
        self._adopt(engine, is_async=is_async, hooks_in_driver=hooks_in_driver)
        self._look, self._resume, self._only_missing = look, resume, only_missing
        self._raises_one = False  # each failure is shown

    @property
    def has_started(self) -> bool:
        """Whether the checks are behind it."""
        return hasattr(self, "_narrator") and self._narrator.started

    def _run(self, pipeline: Any, catalog: Any, *arguments: Any, **named: Any) -> None:
        chosen = self._look(pipeline, catalog)
        if chosen is not catalog:  # Kedro's own stays, for it logs, validates and words errors
            for name, dataset in chosen.items():
                if dataset is not catalog.get(name):
                    catalog[name] = dataset
        super()._run(pipeline, catalog, *arguments, **named)

    def _keep(self, outcome: Any) -> None:
        self.result = outcome

    def _renew(self) -> None:
        """Nothing: how workers start is chosen already."""

    def _suggest_resume_scenario(self, *_args: Any) -> None:
        """Nothing: the command line has a better way."""


class _InProcesses(AdoptingRunner, kedro.runner.ParallelRunner):
    """For backends with workers elsewhere."""

    _kedro_class = kedro.runner.ParallelRunner


class _InThreads(AdoptingRunner, kedro.runner.ThreadRunner):
    """For backends in this process."""

    _kedro_class = kedro.runner.ThreadRunner
    _knows_async = False


def adopting(
    engine: motorpool.ParallelRunner, look: Callable[[Any, Any], Any], resume: str | bool,
    **settings: bool,
) -> AdoptingRunner:  # fmt: skip
    """A runner for sessions, of the class for which a session has the catalog that fits."""
    in_process = engine._backend.capabilities.isolation.in_process  # noqa: SLF001, ours as well
    kind = _InThreads if in_process else _InProcesses
    return kind(engine, look, resume, **settings)
