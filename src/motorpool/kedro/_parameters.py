"""What `--runner-params` and a `runner_params:` block say, as the engine takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from motorpool import registry
from motorpool._options import convert, option_types
from motorpool._pipeline.retry import Retry
from motorpool._run.abstract import OnFailure
from motorpool.errors import PipelineError, ValidationError, unknown_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a run that may come as text; `motorpool.ParallelRunner` describes them."""

    max_workers: int | None = None
    is_async: bool = False
    hooks: Literal["workers", "driver"] = "workers"
    on_failure: OnFailure = "stop"
    retries: int | Retry = 0
    timeout: float | None = None
    runs_folder: bool | str | None = False
    checkpoint: str | None = None
    memory_limit: int | str | None = None
    readonly_inputs: bool = False
    fuse: bool = True


def read(backend: Any, values: dict[str, Any]) -> tuple[Any, Settings, dict[str, Any]]:
    """Tell settings of the run from options of the backend, and read both.

    Args:
        backend: Its name, a backend or an executor; or a dict of the name and of options.
        values: Name to value. `backend_options` may hold a dict of options.

    Returns:
        The backend, the settings, and the backend's options.

    Raises:
        ValidationError: If a value is not of its setting's type; all together.
    """
    options = dict(values)
    if isinstance(backend, dict):
        nested = dict(backend)
        if "name" not in nested:
            raise ValidationError(f"The backend {backend!r} has no name: add backend.name=direct.")
        backend = nested.pop("name")
        options |= nested
    options |= options.pop("backend_options", None) or {}
    kinds, given, problems = option_types(Settings), {}, _unknown(backend, options)
    for name in kinds.keys() & options.keys():
        try:
            given[name] = _read(name, options.pop(name), kinds[name])
        except (TypeError, ValueError, PipelineError) as error:
            problems.append(f"{name}: {error}.")
    if problems:
        raise ValidationError(" ".join(sorted(problems)))
    return backend, Settings(**given), options


def _unknown(backend: Any, options: dict[str, Any]) -> list[str]:
    """Names that are neither a setting nor an option of the backend, in words."""
    if not isinstance(backend, str):
        return []
    known = {*option_types(Settings), *option_types(registry.get(backend).options_type)}
    unknown = [name for name in options if name not in known]
    return [unknown_names("parameter", unknown, {*known, "backend"})] if unknown else []


def _read(name: str, value: Any, kind: Any) -> Any:
    if name == "retries" and isinstance(value, dict):
        return Retry(**value)
    if isinstance(value, str) and name == "runs_folder":
        return convert(value, bool) if value.lower() in {"true", "false"} else value
    return convert(value, kind)
