"""Every check that is made before a run; nothing has started when one of them fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import dataset_exists, is_ephemeral, looks_like_dataset
from motorpool._system.imports import module_on_its_way
from motorpool._worker.task import is_generator
from motorpool.errors import MissingInputError, ValidationError, unknown_names
from motorpool.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from motorpool._run.compiled import CompiledPipeline
    from motorpool.backend import ExecutorBackend
    from motorpool.catalog import RunCatalog

# How many problems to report at once.
_MOST_PROBLEMS = 20

_ALSO_FOR_KEDRO = ("ParallelRunner", "ThreadRunner", "SequentialRunner")


def check_kinds(pipeline: Any, catalog: Any) -> None:
    """Check that a pipeline and a catalog are what they are passed as.

    Raises:
        ValidationError: If not; says what to pass.
    """
    parts = ("nodes", "node_dependencies", "inputs", "outputs")
    if type(pipeline) is not Pipeline and not all(hasattr(pipeline, part) for part in parts):
        raise ValidationError(
            f"{_short(pipeline)} is no pipeline. Pass Pipeline([node(...), ...]), or anything "
            "with nodes, node_dependencies, inputs() and outputs()."
        )
    if not (hasattr(catalog, "get") and hasattr(catalog, "__contains__")):
        raise ValidationError(
            f"{_short(catalog)} is no catalog. Pass a DataCatalog, a dict of names to values or "
            "datasets, or anything with get(name) and `in`."
        )


def check_hook_manager(manager: Any) -> None:
    """Check that a hook manager is one.

    Raises:
        ValidationError: If not; says what to pass.
    """
    if manager is not None and not hasattr(manager, "hook"):
        raise ValidationError(
            f"hook_manager must be a pluggy manager, not {_short(manager)}. Pass "
            "create_hook_manager(plugin) to have the hooks of an object called."
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"A {type(value).__name__}"  # noqa: PLR2004, a line


def check_inputs(pipeline: CompiledPipeline, run_catalog: RunCatalog, catalog: Any) -> None:
    """Check that everything that is read is registered, with data, or written by a node.

    Args:
        pipeline: The nodes.
        run_catalog: Their datasets.
        catalog: The user's.

    Raises:
        MissingInputError: Naming every dataset that is not, and who reads it.
    """
    registered = run_catalog.registered
    readers = {
        name: who
        for name, who in pipeline.given.items()
        if name not in registered or _is_empty(run_catalog[name])
    }
    if not readers:
        return
    lines = [
        f"  {name!r}, read by {', '.join(who[:3])}"
        + ("; it is registered, and holds no data: save some first" if name in registered else "")
        for name, who in sorted(readers.items())
    ]
    unknown = sorted(set(readers) - registered)
    if unknown:
        known = {*_names(catalog), *registered, *pipeline.written}
        lines.append(unknown_names("dataset", unknown, known))
    raise MissingInputError(
        f"Pipeline input(s) {sorted(readers)} not found in the {type(catalog).__name__}:\n"
        + "\n".join(lines)
    )


def _is_empty(dataset: Any) -> bool:
    """Whether a dataset is in memory, with nothing behind it, and nothing was saved to it."""
    caches = getattr(dataset, "_SINGLE_PROCESS", False)
    return is_ephemeral(dataset) and not caches and not dataset_exists(dataset)


def output_problems(pipeline: CompiledPipeline, catalog: RunCatalog) -> list[str]:
    """The outputs that are registered as what looks like a dataset, and is taken for data.

    Nothing would be saved to them.
    """
    problems = []
    for name in sorted(filter(pipeline.is_written, catalog.registered)):
        value = getattr(catalog[name], "held", None)
        if looks_like_dataset(value):
            kind = type(value).__name__
            problems.append(
                f"the output {name!r} is a {kind}, which has load and save, but does not say that "
                f"it is a dataset: derive it from motorpool.Dataset, or call "
                f"Dataset.register({kind})."
            )
    return problems


def _names(catalog: Any) -> Iterable[str]:
    """All names of a catalog; none if it has no `keys`."""
    keys = getattr(catalog, "keys", None)
    return list(keys()) if callable(keys) else []


def node_problems(
    nodes: Iterable[Any],
    backend: ExecutorBackend,
    *,
    is_async: bool,
    timeout: float | None,
    alternatives: Callable[[], str],
) -> list[str]:
    """What stands against running these nodes so, in words.

    Args:
        nodes: The nodes.
        backend: Where they are to run.
        is_async: Whether inputs and outputs are loaded and saved side by side.
        timeout: The run-wide deadline, in seconds.
        alternatives: Says which backends can end a running node; called if need be.
    """
    nodes = list(nodes)
    problems = []
    if not backend.capabilities.isolation.in_process:
        problems += _on_their_way(nodes)
    if is_async:
        problems += [
            f"node {node.name!r} is a generator, whose chunks have an order: run without is_async."
            for node in nodes
            if is_generator(node)
        ]
    if not backend.capabilities.ends_nodes:
        problems += _timed(nodes, backend.name, timeout, alternatives)
    return problems


def _on_their_way(nodes: Sequence[Any]) -> list[str]:
    """The nodes whose modules are being imported, in words."""
    functions = {id(node.func): node.func for node in nodes}
    modules = {key: module_on_its_way(function) for key, function in functions.items()}
    return [
        f"node {node.name!r} is of the module {module!r}, which is still being imported: workers "
        "would import it as well, and so run this pipeline again. Move the run into a function, "
        'or below `if __name__ == "__main__":`.'
        for node in nodes
        if (module := modules[id(node.func)]) is not None
    ]


def _timed(
    nodes: Iterable[Any], backend: str, timeout: float | None, alternatives: Callable[[], str]
) -> list[str]:
    """What has a timeout, in words."""
    timed = [f"node {node.name!r}" for node in nodes if getattr(node, "timeout", None) is not None]
    if timeout is not None:
        timed = ["every node of the run"]
    able = alternatives() if timed else ""
    return [
        f"{who} has a timeout, but the backend {backend!r} cannot end a running node. {able}"
        for who in timed
    ]


def raise_problems(problems: Sequence[str], backends: Sequence[str]) -> None:
    """Report all problems together.

    Raises:
        ValidationError: If there are any.
    """
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems[:_MOST_PROBLEMS])
        if len(problems) > _MOST_PROBLEMS:
            lines += f"\n  and {len(problems) - _MOST_PROBLEMS} more"
        names = ", ".join(map(repr, backends))
        where = f"the backend {names}" if len(backends) == 1 else f"the backends {names}"
        raise ValidationError(
            f"This pipeline cannot run on {where}:\n{lines}",
            backend=backends[0] if len(backends) == 1 else None,
        )


def refuse_command(runner: str, commands: str) -> None:
    """Say which runner `kedro run` needs, if it is that command that makes one of ours.

    Args:
        runner: Name of the runner's class.
        commands: The module with Kedro's commands.

    Raises:
        click.UsageError: If it is called from that module.
    """
    frame = sys._getframe(1)  # noqa: SLF001, the way to the caller's
    while frame.f_back is not None and frame.f_code.co_name == "__init__":
        frame = frame.f_back
    if frame.f_globals.get("__name__") != commands:
        return
    import click  # noqa: PLC0415, as Kedro has done

    name = runner if runner in _ALSO_FOR_KEDRO else _ALSO_FOR_KEDRO[0]
    raise click.UsageError(
        f"{runner} is a runner of Motorpool's, and none of Kedro's: say "
        f"--runner=motorpool.kedro.{name}"
    )
