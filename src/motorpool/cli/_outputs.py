"""What a run has left: files that it wrote, and values in memory, which end with the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from motorpool._datasets.contract import is_ephemeral
from motorpool._datasets.describe import describe_dataset, place_of
from motorpool._run.result import NOT_KEPT
from motorpool.catalog import RunCatalog
from motorpool.errors import unknown_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool.events import RunSummary

_MOST = 10


class Outputs:
    """The outputs of a pipeline.

    Args:
        wanted: Names of those to print.
    """

    def __init__(self, wanted: Sequence[str]) -> None:
        self._wanted = wanted

    def look(self, pipeline: Any, catalog: Any) -> Any:
        """See what there will be.

        Args:
            pipeline: Ours or Kedro's.
            catalog: The user's.

        Returns:
            The catalog.

        Raises:
            UsageError: If something that is to be printed is not to be had when the run is over.
        """
        self._makers = {name: node.name for node in pipeline.nodes for name in node.outputs}
        self._catalog = RunCatalog(catalog, self._makers)
        kept = {n for n, d in self._catalog.given.items() if not is_ephemeral(d)}
        known = kept | set(pipeline.outputs())
        if unknown := [name for name in self._wanted if name not in known]:
            inner = [name for name in unknown if name in self._makers]
            text = unknown_names("output", unknown, known)
            hint = f" {NOT_KEPT}" if inner else ""
            raise click.UsageError(f"--print: {text}{hint}")
        self._kept = sorted(kept)
        return catalog

    def rows(self, result: dict[str, Any] | None, summary: RunSummary) -> list[tuple[str, str]]:
        """Lines for the summary.

        Args:
            result: What the run has returned, or None if it has failed.
            summary: What it came to.
        """
        ran = {node.node for node in summary.nodes} - set(summary.failed)
        written = [name for name in self._kept if self._makers[name] in ran]
        held = [n for n, d in (result or {}).items() if is_ephemeral(d)]
        found = [("written", f"{n}: {place_of(self._catalog[n])}") for n in written[:_MOST]]
        found += [("in memory", f"{n}: {_held(result, n)}") for n in held[:_MOST]]
        for label, names in (("written", written), ("in memory", held)):
            if len(names) > _MOST:
                found.append((label, f"and {len(names) - _MOST} more"))
        if held:
            hint = (
                "What is in memory ends with this command: --print NAME shows it, and a dataset "
            )
            found.append(("", f"{hint}in the catalog keeps it."))
        return found

    def show(self, result: dict[str, Any]) -> None:
        """Print those that were asked for."""
        for name in self._wanted:
            dataset = result[name] if name in result else self._catalog[name]
            click.echo(str(dataset.load()))


def _held(result: dict[str, Any] | None, name: str) -> str:
    return describe_dataset((result or {})[name]).removesuffix(", in memory")
