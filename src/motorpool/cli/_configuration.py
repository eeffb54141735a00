"""Catalogs and parameters in files of YAML, as Kedro's projects have them, without a project."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motorpool.catalog import DataCatalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SUFFIXES = frozenset({".yml", ".yaml"})


class Layers:
    """Two catalogs as one.

    Args:
        upper: Data by name, which come first.
        lower: Anything with `get(name)` and `in`.
        path: The file that this comes from, if it comes from one.
    """

    def __init__(self, upper: Mapping[str, Any], lower: Any, path: Path | None = None) -> None:
        self._upper, self._lower, self._path = DataCatalog(upper), lower, path

    def get(self, name: str) -> Any:
        """The dataset of a name, or None.

        Raises:
            click.UsageError: If it cannot be made of what the file says.
        """
        if name in self._upper:
            return self._upper.get(name)
        try:
            return self._lower.get(name)
        except Exception as error:
            if self._path is None:
                raise
            raise click.UsageError(f"{self._path}: {error}") from error

    def __contains__(self, name: object) -> bool:
        return name in self._upper or name in self._lower

    def keys(self) -> Iterable[str]:
        """The names of both, as far as they have any to tell."""
        others = getattr(self._lower, "keys", list)
        return {*self._upper.keys(), *others()}


def read_catalog(path: Path) -> Any:
    """The catalog that a file describes: a dataset's name, its `type`, and its arguments.

    Types are those of Kedro and kedro-datasets, if these are installed, and any class by its full
    name. Patterns are Kedro's. Credentials are in `credentials.yml` beside the file.

    Raises:
        click.UsageError: If it cannot be read so; names the file, and the dataset.
    """
    config, own, others = _read(path), {}, {}
    for name, entry in config.items():
        if name.startswith("_"):  # what others are made of, by Kedro's rule
            continue
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            raise click.UsageError(
                f"{path}: the dataset {name!r} needs a `type`, such as pandas.CSVDataset or "
                "motorpool.PickleDataset."
            )
        kind = _class_of(entry["type"])
        if kind is None or "{" in name or _is_kedros(kind):
            others[name] = entry
        else:
            own[name] = _made(path, name, kind, entry)
    if not others:
        return Layers(own, {})
    beside = path.with_name("credentials.yml")
    return Layers(own, _kedros(path, others, _read(beside) if beside.is_file() else None), path)


def parameters_from(text: str | None) -> dict[str, Any]:
    """Parameters by name, nested.

    Args:
        text: A file of YAML, or `name=value,group.name:value`, or None for none.

    Raises:
        click.UsageError: If it is neither; says which part of it.
    """
    if text is None:
        return {}
    path = Path(text)
    if path.suffix in SUFFIXES or path.is_file():
        return _read(path)
    pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
    for pair in pairs:
        if not re.match(r"[^\s:=][^:=]*[:=]", pair):
            raise click.UsageError(
                f"--params: {pair!r} is neither a file of YAML nor of the form name=value."
            )
    from_pairs = _omegaconf(f"--params {text}").from_dotlist
    try:
        found = from_pairs([re.sub("[:=]", "=", pair, count=1) for pair in pairs])
        return {str(name): value for name, value in _plain(found).items()}
    except Exception as error:
        raise click.UsageError(f"--params: {text!r} cannot be read: {error}") from error


def with_parameters(catalog: Any, text: str | None) -> Any:
    """A catalog with the datasets of Kedro's for parameters: `parameters` and `params:a.b`.

    Args:
        catalog: Anything with `get(name)` and `in`.
        text: As for `parameters_from`.

    Raises:
        click.UsageError: If the parameters cannot be read.
    """
    if text is None:
        return catalog
    parameters = parameters_from(text)
    found: dict[str, Any] = {"parameters": parameters}

    def add(prefix: str, values: dict[str, Any]) -> None:
        for key, value in values.items():
            found[f"params:{prefix}{key}"] = value
            if isinstance(value, dict):
                add(f"{prefix}{key}.", value)

    add("", parameters)
    return Layers(found, catalog)


def _read(path: Path) -> dict[str, Any]:
    try:
        import yaml  # type: ignore[import-untyped]  # noqa: PLC0415, not everyone has it
    except ImportError as error:
        raise click.UsageError(
            f"To read {path}, YAML has to be installed: pip install pyyaml."
        ) from error
    try:
        text = path.read_text(encoding="utf-8")
        found = _resolved(path, text) if "${" in text else yaml.safe_load(text)
    except FileNotFoundError:
        raise click.UsageError(f"There is no file {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise click.UsageError(f"{path} holds a {type(found).__name__}, not names with values.")
    return {str(name): value for name, value in (found or {}).items()}


def _resolved(path: Path, text: str) -> Any:
    """YAML with ${...} in it, which OmegaConf fills in."""
    create = _omegaconf(f"{path} with ${{...}} in it").create
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415, not everyone has it

    try:
        return _plain(create(text))
    except OmegaConfBaseException as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from error


def _omegaconf(what: str) -> Any:
    """The class that reads what plain YAML has no way to say."""
    try:
        from omegaconf import OmegaConf  # noqa: PLC0415, not everyone has it
    except ImportError as error:
        raise click.UsageError(
            f"To read {what}, OmegaConf has to be installed: pip install omegaconf."
        ) from error
    return OmegaConf


def _plain(found: Any) -> Any:
    from omegaconf import OmegaConf  # noqa: PLC0415, as above

    return OmegaConf.to_container(found, resolve=True)


def _class_of(name: str) -> Any:
    """The class of a full name, or None."""
    for full in (name, f"motorpool.{name}"):
        module, _, attribute = full.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except (ImportError, ValueError):
            continue
        except Exception as error:
            raise click.UsageError(
                f"The module {module!r} of the type {name!r} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if isinstance(found, type):
            return found
    return None


def _is_kedros(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] == "kedro" for base in kind.__mro__)


def _made(path: Path, name: str, kind: type, entry: dict[str, Any]) -> Any:
    arguments = {key: value for key, value in entry.items() if key not in {"type", "metadata"}}
    try:
        return kind(**arguments)
    except Exception as error:
        raise click.UsageError(
            f"{path}: the dataset {name!r} cannot be made: {type(error).__name__}: {error}"
        ) from error


def _kedros(path: Path, config: dict[str, Any], credentials: dict[str, Any] | None) -> Any:
    try:
        from kedro.io import DataCatalog as KedroCatalog  # noqa: PLC0415, takes a second
    except ImportError as error:
        types = ", ".join(sorted({entry["type"] for entry in config.values()}))
        raise click.UsageError(
            f"{path}: there is no class {types}. Datasets of Kedro need pip install kedro "
            "kedro-datasets; others need their full name."
        ) from error
    try:
        return KedroCatalog.from_config(config, credentials)
    except Exception as error:
        raise click.UsageError(f"{path}: {error}") from error
