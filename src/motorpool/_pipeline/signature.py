"""From dataset names to the arguments of a call, and from what it returned to named outputs."""

from __future__ import annotations

import functools
import inspect
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from motorpool.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    # One name, several names in the order of the arguments, or argument to name.
    Names = str | list[str] | dict[str, str] | None

# A default name is read by people and typed in --nodes; longer ones are cut and hashed.
_LONGEST_DEFAULT_NAME = 100


def names_of(spec: Names, what: str, owner: str) -> tuple[str, ...]:
    """Flatten the inputs or outputs of a node into dataset names.

    Raises:
        PipelineError: If the spec is of another type, or holds an empty or non-string name.
    """
    if spec is None:
        return ()
    if isinstance(spec, str):
        names: tuple[Any, ...] = (spec,)
    elif isinstance(spec, dict):
        names = tuple(spec.values())
    elif isinstance(spec, list | tuple):
        names = tuple(spec)
    else:
        raise PipelineError(
            f"Node {owner!r}: {what} must be a dataset name, a list of names, a dict of argument "
            f"to name, or None, not {type(spec).__name__}.",
            node=owner,
        )
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise PipelineError(
                f"Node {owner!r}: {what} holds {name!r}; every dataset needs a name that is a "
                "non-empty string.",
                node=owner,
            )
    return names


def function_name(func: Callable[..., Any]) -> str:
    """Name of a function, seen through partials; lambdas are called `lambda`."""
    while isinstance(func, functools.partial):
        func = func.func
    name = getattr(func, "__name__", None) or type(func).__name__
    return str(name).strip("<>")


def default_name(
    func: Callable[..., Any], inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> str:
    """Name a node after its function and what it makes, or, making nothing, what it reads."""
    name = "__".join([function_name(func), *(outputs or inputs)])
    if len(name) <= _LONGEST_DEFAULT_NAME:
        return name
    import hashlib  # noqa: PLC0415, takes 3 ms that few names need

    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[:_LONGEST_DEFAULT_NAME]}__{digest}"


@functools.lru_cache(maxsize=1024)
def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    # Reading a signature takes 20 us; pipelines use the same function for many nodes.
    try:
        return inspect.signature(func, follow_wrapped=False)
    except (TypeError, ValueError):  # some builtins have none
        return None


def check_arguments(func: Callable[..., Any], inputs: Names, owner: str) -> None:
    """Check that the function can be called with these inputs.

    Raises:
        PipelineError: If it takes fewer, more or other arguments.
    """
    try:
        signature = _signature(func)
    except TypeError:  # not hashable, so not cached
        signature = _signature.__wrapped__(func)
    if signature is None:
        return
    names = names_of(inputs, "inputs", owner)
    args, kwargs = arguments(inputs, dict(zip(names, names, strict=True)))
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        given = kwargs or args
        raise PipelineError(
            f"Node {owner!r}: {function_name(func)}{signature} cannot be called with the inputs "
            f"{given}: {error}. Make the inputs match the function's arguments.",
            node=owner,
        ) from None


def arguments(inputs: Names, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of a call, from values by name of the dataset."""
    if inputs is None:
        return [], {}
    if isinstance(inputs, str):
        return [values[inputs]], {}
    if isinstance(inputs, dict):
        return [], {argument: values[name] for argument, name in inputs.items()}
    return [values[name] for name in inputs], {}


def outputs_by_name(outputs: Names, returned: Any, owner: str) -> dict[str, Any]:
    """Say which output is which part of what the function returned.

    A generator's outputs are generators as well, one a dataset, read in step.

    Raises:
        PipelineError: If what was returned does not have the declared form.
    """
    if outputs is None:
        return {}
    if isinstance(outputs, str):
        return {outputs: returned}
    names = tuple(outputs.values()) if isinstance(outputs, dict) else tuple(outputs)
    if isinstance(returned, GeneratorType):
        rows = (_row(outputs, chunk, owner) for chunk in returned)
        return dict(zip(names, _columns(rows, len(names)), strict=True))
    return dict(zip(names, _row(outputs, returned, owner), strict=True))


def _row(outputs: Names, returned: Any, owner: str) -> tuple[Any, ...]:
    """One value an output, in the order of declaration."""
    if isinstance(outputs, dict):
        if not isinstance(returned, dict) or set(returned) != set(outputs):
            got: Any = sorted(map(str, returned)) if isinstance(returned, dict) else type(returned)
            raise PipelineError(
                f"Node {owner!r} must return a dict with the keys {sorted(outputs)}, but "
                f"returned {got}.",
                node=owner,
            )
        return tuple(returned[key] for key in outputs)
    count = len(outputs or ())
    if not isinstance(returned, list | tuple) or len(returned) != count:
        got = (
            f"{len(returned)} values"
            if isinstance(returned, list | tuple)
            else f"one {type(returned).__name__}"
        )
        raise PipelineError(
            f"Node {owner!r} must return a list or tuple of {count} values, one for each of "
            f"{list(outputs or ())}, but returned {got}.",
            node=owner,
        )
    return tuple(returned)


def _columns(rows: Iterator[tuple[Any, ...]], count: int) -> list[Iterator[Any]]:
    """Split an iterator of rows into one generator a column; each holds what others have not."""
    pending: list[list[Any]] = [[] for _ in range(count)]

    def column(k: int) -> Iterator[Any]:
        while True:
            if not pending[k]:
                row = next(rows, None)
                if row is None:
                    return
                for queue, value in zip(pending, row, strict=True):
                    queue.append(value)
            yield pending[k].pop(0)

    return [column(k) for k in range(count)]
