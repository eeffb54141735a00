"""How long nodes have taken before: in this process, or else by the journal of an earlier run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from motorpool._journal.reader import SUFFIX, durations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Journals to look into for this pipeline, newest first.
_MOST_JOURNALS = 5


class History:
    """What a runner knows of the nodes that it has run; a node whose code has changed is new."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float]] = {}  # by node: hash of its code, and seconds
        # Of the last run, as it was remembered; to sort it by name takes longer than short nodes.
        self._last: tuple[Sequence[Sequence[Any]], Sequence[str], Sequence[float]] = ([], [], [])

    def expected(
        self, manifest: Sequence[Sequence[Any]], names: Sequence[str], folder: Path | None
    ) -> list[float | None]:
        """Seconds that each node will take; None for those that are new.

        Args:
            manifest: Of each node its name, inputs, outputs and a hash of its code.
            names: The nodes that will run.
            folder: Folder of all runs, or None.
        """
        last_manifest, last_names, seconds = self._last
        if last_manifest is manifest and last_names is names:  # the same pipeline again
            return [taken if taken >= 0.0 else None for taken in seconds]
        self._fold()
        code = {row[0]: row[3] for row in manifest}
        if folder is not None and self._known.keys().isdisjoint(code):
            self._known = self._read(folder, code)
        known = self._known
        return [
            known[name][1] if name in known and known[name][0] == code.get(name) else None
            for name in names
        ]

    def remember(
        self, manifest: Sequence[Sequence[Any]], names: Sequence[str], seconds: Sequence[float]
    ) -> None:
        """Keep what a run has measured.

        Args:
            manifest: The pipeline.
            names: The nodes that were to run.
            seconds: Of each of these; negative for one that has not run.
        """
        self._last = (manifest, names, seconds)

    def _fold(self) -> None:
        """Sort the last run's seconds by name, now that another pipeline runs."""
        (manifest, names, seconds), self._last = self._last, ([], [], [])
        if any(taken >= 0.0 for taken in seconds):
            code = {row[0]: row[3] for row in manifest}
            self._known = {
                name: (code[name], taken)
                for name, taken in zip(names, seconds, strict=True)
                if taken >= 0.0 and name in code
            }

    @staticmethod
    def _read(folder: Path, code: Mapping[str, str]) -> dict[str, tuple[str, float]]:
        """What the newest journal that knows these nodes says of them."""
        try:
            runs = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))  # noqa: PTH208, names will do
        except OSError:
            return {}
        for run in reversed(runs[-_MOST_JOURNALS:]):
            if found := durations(folder / run, code):
                return found
        return {}
