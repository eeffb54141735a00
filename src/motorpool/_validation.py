"""Every check that is made before a run; nothing has started when one of them fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._suggest import unknown_names
from motorpool._task import is_generator
from motorpool.errors import MissingInputError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from motorpool.backend import Capabilities


def check_kinds(pipeline: Any, catalog: Any) -> None:
    """Check that a pipeline and a catalog are what they are passed as.

    Raises:
        ValidationError: If not; says what to pass.
    """
    if not all(hasattr(pipeline, n) for n in ("nodes", "node_dependencies", "inputs", "outputs")):
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


def check_inputs(nodes: Sequence[Any], registered: set[str], catalog: Any) -> None:
    """Check that everything that is read is registered or written by a node.

    Raises:
        MissingInputError: Naming every dataset that is not, and who reads it.
    """
    written = {name for node in nodes for name in node.outputs}
    readers: dict[str, list[str]] = {}
    for node in nodes:
        for name in node.inputs:
            if name not in registered and name not in written:
                readers.setdefault(name, []).append(node.name)
    if not readers:
        return
    lines = [f"  {name!r}, read by {', '.join(who[:3])}" for name, who in sorted(readers.items())]
    raise MissingInputError(
        f"Pipeline input(s) {sorted(readers)} not found in the {type(catalog).__name__}:\n"
        + "\n".join(lines)
        + "\n"
        + unknown_names("dataset", sorted(readers), {*_names(catalog), *registered, *written})
    )


def _names(catalog: Any) -> Iterable[str]:
    """All names of a catalog, as far as it tells them."""
    keys = getattr(catalog, "keys", None)
    return list(keys()) if callable(keys) else []


def node_problems(
    nodes: Iterable[Any],
    capabilities: Capabilities,
    *,
    is_async: bool,
    timeout: float | None,
    alternatives: Callable[[], list[str]],
) -> list[str]:
    """What stands against running these nodes so, in words.

    Args:
        nodes: The nodes.
        capabilities: What the backend can do.
        is_async: Whether inputs and outputs are loaded and saved side by side.
        timeout: The run-wide deadline, in seconds.
        alternatives: Names the backends that can end a running node; called if need be.
    """
    nodes = list(nodes)
    problems = []
    if is_async:
        problems += [
            f"node {node.name!r} is a generator, whose chunks have an order: run without is_async."
            for node in nodes
            if is_generator(node)
        ]
    if not capabilities.ends_nodes:
        timed = [node.name for node in nodes if getattr(node, "timeout", None) is not None]
        if timeout is not None:
            timed.insert(0, "every node of the run")
        if timed:
            problems.append(
                f"a timeout is set for {', '.join(timed[:10])}, but this backend cannot end a "
                f"running node. These can: {', '.join(alternatives())}."
            )
    return problems


def raise_problems(problems: Sequence[str], backend: str) -> None:
    """Report all problems together.

    Raises:
        ValidationError: If there are any.
    """
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise ValidationError(
            f"This pipeline cannot run on the backend {backend!r}:\n{lines}", backend=backend
        )
