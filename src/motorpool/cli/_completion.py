"""What a shell offers for an argument that is not whole yet."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

from click.shell_completion import CompletionItem

from motorpool import registry

if TYPE_CHECKING:
    import click


def backends(_context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """Names of the installed backends; with commas in between, of the last one."""
    return _last(begun, registry.names())


def targets(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Files and folders, which shells know best."""
    return [CompletionItem(begun, type="file")]


def nodes(context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """Names of the nodes of the target, if that stands before."""
    return _last(begun, [node.name for node in _nodes_of(context)])


def tags(context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """Tags of the nodes of the target."""
    return _last(begun, {tag for node in _nodes_of(context) for tag in node.tags})


def outputs(context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """Names of what the nodes of the target write."""
    return _last(begun, [name for node in _nodes_of(context) for name in node.outputs])


def _nodes_of(context: click.Context) -> list[Any]:
    from motorpool.cli._target import load_pipeline  # noqa: PLC0415, where a target is there

    # An option without its value, which is what is completed, leaves the others unread.
    others = (word for word in context.args if not word.startswith("-"))
    target = context.params.get("target") or next(others, None)
    if target is None:
        return []
    # Whatever is wrong with it is said when it is run; what it prints is no choice.
    with contextlib.suppress(Exception, SystemExit), contextlib.redirect_stdout(io.StringIO()):
        return list(load_pipeline(target)[0].nodes)
    return []


def _last(begun: str, known: Any) -> list[str]:
    """The names that begin so, after those that stand before a comma."""
    before, comma, last = begun.rpartition(",")
    taken = before.split(",")
    found = sorted(n for n in known if n.startswith(last) and n not in taken)
    return [f"{before}{comma}{name}" for name in found]
