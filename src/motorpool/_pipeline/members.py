"""What a pipeline is made of, and that nothing is in it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._pipeline.foreign import is_node, is_pipeline
from motorpool._pipeline.graph import untranscoded
from motorpool.errors import PipelineError

if TYPE_CHECKING:
    from motorpool._pipeline.node import Node


def nodes_of(items: Any) -> list[Node]:
    """The nodes of nodes and pipelines, each once.

    Raises:
        PipelineError: If something else is among them.
    """
    flat: dict[Node, None] = {}
    for item in [items] if is_node(items) or is_pipeline(items) else items:
        if is_node(item):
            flat[item] = None
        elif is_pipeline(item):
            flat.update(dict.fromkeys(item.nodes))
        else:
            raise PipelineError(
                f"A pipeline is made of nodes, and {item!r} is none: write node(function, "
                "inputs, outputs)."
            )
    return list(flat)


def check_unique(nodes: list[Node]) -> None:
    """Names and outputs belong to one node each; all offenders are reported together.

    Raises:
        PipelineError: If they do not.
    """
    by_name: dict[str, list[Node]] = {}
    by_output: dict[str, list[Node]] = {}
    for item in nodes:
        by_name.setdefault(item.name, []).append(item)
        for output in item.outputs:
            by_output.setdefault(untranscoded(output), []).append(item)
    problems = [
        f"{len(same)} nodes have the name {name!r}: give each a name of its own."
        for name, same in by_name.items()
        if len(same) > 1
    ] + [
        f"The dataset {output!r} is written by {' and '.join(repr(n.name) for n in same)}: "
        "let each write a dataset of its own."
        for output, same in by_output.items()
        if len(same) > 1
    ]
    if problems:
        raise PipelineError("\n".join(problems))
