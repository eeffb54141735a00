"""A backend's options: one frozen dataclass, filled from keywords or from a command line."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal, Union

from motorpool.errors import BackendOptionError, BrokenBackendError, unknown_names

# With one type for all items; others are too special to check here.
_CONTAINERS = (list, tuple, set, frozenset)
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def build_options(cls: type[Any] | None, values: dict[str, Any], backend: str) -> Any:
    """Fill a backend's options.

    Args:
        cls: The dataclass, or None for a backend without options.
        values: Name to value; a string is read as the type that the option has.
        backend: Name of the backend, for messages.

    Raises:
        BrokenBackendError: If the class is no dataclass, or its annotations do not resolve.
        BackendOptionError: If names are unknown, or values are missing or of the wrong type; all
            together. Or if the dataclass raises anything.
    """
    if flaw := flaw_of_type(cls):
        raise BrokenBackendError(f"The backend {backend!r} {flaw}.", backend=backend)
    fields = option_types(cls)
    unknown = [name for name in values if name not in fields]
    problems = [unknown_names("option", unknown, fields)] if unknown else []
    given = {}
    for name, value in values.items():
        if name in fields:
            try:
                given[name] = convert(value, fields[name])
            except ValueError as error:
                problems.append(f"Option {name!r}: {error}.")
    problems += [
        f"Option {name!r} is required, {describe(kind)}."
        for name, kind in fields.items() if is_required(cls, name) and name not in values
    ]  # fmt: skip
    cause: BaseException | None = None
    if not problems and cls is not None:
        try:
            return cls(**given)
        except (Exception, SystemExit) as error:  # noqa: BLE001, a plug-in's code runs here
            expected = isinstance(error, TypeError | ValueError)
            problems.append(f"{error}" if expected else f"{type(error).__name__}: {error}")
            cause = error
    if problems:
        text = f"Backend {backend!r}: " + " ".join(problems)
        raise BackendOptionError(text, backend=backend) from cause
    return None


def flaw_of_type(cls: Any) -> str | None:
    """What is wrong with an `options_type`, in words that follow the backend's name; or None."""
    if cls is None:
        return None
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        return f"has the options_type {cls!r}; write a frozen dataclass, or None"
    try:
        option_types(cls)
    except Exception as error:  # noqa: BLE001, annotations are evaluated here
        return (
            f"has an options_type, {cls.__name__}, whose annotations do not resolve "
            f"({type(error).__name__}: {error}); import what they name where the module is run, "
            "not only for type checkers"
        )
    return None


def is_required(cls: Any, name: str) -> bool:
    """Whether an option has no default."""
    (field,) = (field for field in dataclasses.fields(cls) if field.name == name)
    missing = dataclasses.MISSING
    return field.init and field.default is missing and field.default_factory is missing


def option_types(cls: type[Any] | None) -> dict[str, Any]:
    """Name to type of each option, in the order of declaration."""
    if cls is None:
        return {}
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def convert(value: Any, kind: Any) -> Any:
    """Read a value as a type; strings as a command line gives them.

    Raises:
        ValueError: If it cannot be read so.
    """
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value in choices:
            return value
        raise ValueError(f"{value!r} is none of {', '.join(map(repr, choices))}")
    if origin in {Union, types.UnionType}:
        return _convert_union(value, choices)
    if origin in _CONTAINERS:
        return _convert_container(value, origin, choices)
    if origin is not None or not isinstance(kind, type) or kind is object:
        return value  # too special to check here; the backend does
    if isinstance(value, str) and kind is not str:
        value = _read(value, kind)
    if kind is float and type(value) is int:
        value = float(value)
    if not isinstance(value, kind) or (type(value) is bool and kind is not bool):
        raise ValueError(f"expected {describe(kind)}, not {value!r}")
    return value


def describe(kind: Any) -> str:
    """A type as people write it: `int | None`, `'fork' | 'spawn'`."""
    choices = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        return " | ".join(map(repr, choices))
    if typing.get_origin(kind) in _CONTAINERS:
        return str(kind)
    if choices:
        return " | ".join(describe(choice) for choice in choices)
    return "None" if kind is types.NoneType else getattr(kind, "__name__", str(kind))


def _convert_union(value: Any, choices: tuple[Any, ...]) -> Any:
    if types.NoneType in choices and (value is None or value in {"", "none", "None"}):
        return None
    others = [choice for choice in choices if choice is not types.NoneType]
    for kind in others:
        try:
            return convert(value, kind)
        except ValueError:
            continue
    expected = " or ".join(map(describe, choices))
    raise ValueError(f"expected {expected}, not {value!r}")


def _convert_container(value: Any, origin: type[Any], kinds: tuple[Any, ...]) -> Any:
    """Items with commas in between on a command line; every item is checked."""
    if isinstance(value, str):
        value = origin(item.strip() for item in value.split(",") if item.strip())
    if not isinstance(value, origin):
        raise ValueError(f"expected {describe(origin)}, not {value!r}")  # noqa: TRY004, as promised
    return origin(convert(item, kinds[0]) for item in value)


def _read(text: str, kind: type[Any]) -> Any:
    if kind is bool and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    if kind in {int, float}:
        try:
            return kind(text)
        except ValueError:
            pass
    raise ValueError(f"expected {describe(kind)}, not {text!r}")
