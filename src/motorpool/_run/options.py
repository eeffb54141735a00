"""The settings of a runner, checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from motorpool._journal.folder import runs_folder
from motorpool._pipeline.retry import Retry
from motorpool.errors import PipelineError, ValidationError

if TYPE_CHECKING:
    from motorpool.events import Observer  # noqa: TC004, no option: its type is never looked up


_UNITS = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def parse_bytes(value: object) -> int | None:
    """A number of bytes, from a number or a text such as "4GiB"; None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", str(value).strip().lower())
    if not isinstance(value, str) or match is None or (match[2] or "b") not in _UNITS:
        return None
    return int(float(match[1]) * _UNITS[match[2] or "b"])


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

    def changed(self) -> list[str]:
        """The settings that are not the default ones, as keyword arguments."""
        usual = {"is_async": False, "on_failure": "stop", "retries": 0, "timeout": None}
        usual |= {"observers": ()}
        names = [(field.name, usual.get(field.name, field.default)) for field in fields(self)]
        return [f"{n}={getattr(self, n)!r}" for n, usual in names if getattr(self, n) != usual]

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
        if self.memory_limit is not None and parse_bytes(self.memory_limit) is None:
            problems.append(
                "memory_limit must be a number of bytes, or a text such as '4GiB' or '500MB', not "
                f"{self.memory_limit!r}."
            )
        if self.progress not in {True, False, "auto"}:
            problems.append(f"progress must be True, False or 'auto', not {self.progress!r}.")
        problems += self._observer_problems()
        if problems:
            raise ValidationError(" ".join(problems))

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
