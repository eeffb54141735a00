"""The settings of a runner, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from motorpool._journal.folder import runs_folder
from motorpool._pipeline.retry import Retry
from motorpool._system.amounts import parse_bytes, parse_resources
from motorpool.errors import PipelineError, ValidationError

if TYPE_CHECKING:
    from motorpool.events import Observer  # noqa: TC004, no option: its type is never looked up


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The settings of a runner, checked; the runner's arguments describe the fields."""

    is_async: bool
    on_failure: str
    retries: int | Retry
    timeout: float | None
    observers: Iterable[Observer]
    runs_folder: str | os.PathLike[str] | bool | None = None
    checkpoint: str | os.PathLike[str] | None = None
    memory_limit: int | str | None = None
    readonly_inputs: bool = False
    fuse: bool = True
    progress: bool | Literal["auto"] = False
    resources: Mapping[str, float | str] | None = None

    def changed(self) -> list[str]:
        """The settings that are not the default ones, as keyword arguments."""
        usual = {"is_async": False, "on_failure": "stop", "retries": 0, "timeout": None}
        usual |= {"observers": ()}
        names = [(field.name, usual.get(field.name, field.default)) for field in fields(self)]
        return [f"{n}={getattr(self, n)!r}" for n, usual in names if getattr(self, n) != usual]

    @property
    def amounts(self) -> dict[str, float]:
        """What there is of each resource, as far as the runner was told."""
        return {} if self.resources is None else parse_resources(self.resources)

    @property
    def memory_bytes(self) -> int | None:
        """The limit of memory, as a number."""
        return None if self.memory_limit is None else parse_bytes(self.memory_limit)

    def __post_init__(self) -> None:
        """Check every field, and report all problems together."""
        problems = []
        if self.on_failure not in {"stop", "continue", "kill"}:
            problems.append(
                f"on_failure must be 'stop', 'continue' or 'kill', not {self.on_failure!r}."
            )
        try:
            Retry.of(self.retries)
        except PipelineError:
            problems.append(
                f"retries must be a whole number of at least 0, or a Retry, not {self.retries!r}."
            )
        number = isinstance(self.timeout, int | float) and not isinstance(self.timeout, bool)
        if self.timeout is not None and not (number and self.timeout > 0):
            problems.append(f"timeout must be a positive number of seconds, not {self.timeout!r}.")
        problems += self._path_problems()
        problems += [
            f"{name} must be True or False, not {getattr(self, name)!r}."
            for name in ("is_async", "readonly_inputs", "fuse")
            if not isinstance(getattr(self, name), bool)
        ]
        if self.progress not in {True, False, "auto"}:
            problems.append(f"progress must be True, False or 'auto', not {self.progress!r}.")
        problems += self._observer_problems()
        problems += self._amount_problems()
        if problems:
            raise ValidationError(" ".join(problems))

    def _amount_problems(self) -> list[str]:
        problems = []
        if self.memory_limit is not None and parse_bytes(self.memory_limit) is None:
            problems.append(
                "memory_limit must be a number of bytes, or a text such as '4GiB' or '500MB', not "
                f"{self.memory_limit!r}."
            )
        try:
            parse_resources({} if self.resources is None else self.resources)
        except ValueError as error:
            problems.append(str(error))
        return problems

    def _observer_problems(self) -> list[str]:
        if not isinstance(self.observers, Iterable):
            return [f"observers must be a list of observers, not {self.observers!r}."]
        object.__setattr__(self, "observers", tuple(self.observers))
        return [
            f"{observer!r} is no observer: it has no method on_event(event)."
            for observer in self.observers
            if not callable(getattr(observer, "on_event", None))
        ]

    def _path_problems(self) -> list[str]:
        problems = [
            f"{name} must be a path, not {value!r}."
            for name, value, fits in (
                ("runs_folder", self.runs_folder, str | os.PathLike | bool | None),
                ("checkpoint", self.checkpoint, str | os.PathLike | None),
            )
            if not isinstance(value, fits)
        ]
        if not problems and self.checkpoint is not None and runs_folder(self.runs_folder) is None:
            problems.append("checkpoint needs journals to find values by: set runs_folder.")
        return problems
