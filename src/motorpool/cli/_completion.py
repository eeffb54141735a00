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


def namespaces(context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """Namespaces of the nodes of the target."""
    found = {getattr(node, "namespace", None) for node in _nodes_of(context)}
    return _last(begun, found - {None})


def pipelines(context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """Names of the pipelines of a Kedro project."""
    target = _loaded(context, whole=True)
    return _last(begun, getattr(target, "names", ()))


def outputs(context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """Names of what the nodes of the target write."""
    return _last(begun, [name for node in _nodes_of(context) for name in node.outputs])


def _nodes_of(context: click.Context) -> list[Any]:
    found = _loaded(context)
    return [] if found is None else list(found.pipeline.nodes)


def _loaded(context: click.Context, *, whole: bool = False) -> Any:
    """The target, with the pipeline that is chosen so far; None if there is none yet."""
    from motorpool.cli._open import open_target  # noqa: PLC0415, where a target is there
    from motorpool.cli._target_options import TargetOptions  # noqa: PLC0415, as above

    # An option without its value, which is what is completed, leaves the others unread.
    others = (word for word in context.args if not word.startswith("-"))
    target = context.params.get("target") or next(others, None)
    if target is None:
        return None
    pipeline = None if whole else context.params.get("pipeline")
    # Whatever is wrong with it is said when it is run; what it prints is no choice.
    with contextlib.suppress(Exception, SystemExit), contextlib.redirect_stdout(io.StringIO()):
        return open_target(TargetOptions(target=target, pipeline=pipeline))
    return None


def _last(begun: str, known: Any) -> list[str]:
    """The names that begin so, after those that stand before a comma."""
    before, comma, last = begun.rpartition(",")
    taken = before.split(",")
    found = sorted(n for n in known if n.startswith(last) and n not in taken)
    return [f"{before}{comma}{name}" for name in found]
