"""To go on where a run has ended: what need not run again, and where its values are."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any

import cloudpickle

from motorpool._datasets.contract import dataset_exists, is_ephemeral
from motorpool._run.subset import remaining_nodes
from motorpool._store import FileClient, Ref, Segments, StoredValue, is_whole
from motorpool._wording import counted
from motorpool.catalog import MemoryDataset

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from motorpool._journal.reader import PastRun
    from motorpool.catalog import RunCatalog

_logger = logging.getLogger("motorpool")
# What parameters are made of; hashing these takes less than a node does.
_PLAIN = (bool, bytes, dict, float, int, list, str, tuple)
_SMALL = 64 * 1024


def input_hashes(names: Iterable[str], catalog: RunCatalog) -> dict[str, str]:
    """A hash of each in-memory input that is plain and small, such as parameters."""
    hashes = {}
    for name in names:
        dataset = catalog[name]
        value = dataset.peek() if isinstance(dataset, MemoryDataset) and dataset.exists() else None
        if isinstance(value, _PLAIN) and sys.getsizeof(value) < _SMALL:
            with contextlib.suppress(Exception):  # it holds something that cannot be pickled
                data = pickle.dumps(value, 5)
                if len(data) < _SMALL:
                    hashes[name] = hashlib.sha256(data).hexdigest()[:16]
    return hashes


class ResumePlan:
    """What a past run spares this one.

    Args:
        past: The run.
        nodes: All nodes of the pipeline, in a topological order.
        catalog: The datasets of this run.
        wanted: Names of the outputs that are to be there in the end.

    Attributes:
        run_id: The past run.
        rerun: Indices of the nodes that still have to run.
        reused: Of the others, the names, and where their in-memory outputs are kept.
    """

    def __init__(
        self, past: PastRun, nodes: Sequence[Any], catalog: RunCatalog, wanted: Collection[str]
    ) -> None:
        self.run_id = past.run_id
        self._inputs: dict[str, str] = past.head.get("inputs", {})
        self._manifest = {row[0]: row for row in past.manifest}
        self._kept = {
            name: path
            for files in past.completed.values()
            for name, path in files.items()
            if is_whole(path)
        }
        self.rerun = remaining_nodes(
            nodes, past.completed, wanted, lambda name: self._is_there(name, catalog[name])
        )
        again = set(self.rerun)
        self.reused = {
            node.name: past.completed[node.name] for i, node in enumerate(nodes) if i not in again
        }
        _logger.info(
            "Resuming the run %s: %d of %s done", past.run_id, len(self.reused),
            counted(len(nodes), "node"),
        )  # fmt: skip

    def _is_there(self, name: str, dataset: Any) -> bool:
        return name in self._kept if is_ephemeral(dataset) else dataset_exists(dataset)

    def warn_of_changes(self, manifest: list[list[Any]], inputs: dict[str, str]) -> None:
        """Say what has changed since: code of nodes that do not run again, and inputs."""
        changed = [
            name
            for name, _, _, code in manifest
            if name in self.reused and code != self._manifest[name][3]
        ]
        if changed:
            _logger.warning(
                "The code of %s has changed since the run %s, whose results are used all the "
                "same. Run without resume to make them anew.",
                ", ".join(map(repr, changed[:10])), self.run_id,
            )  # fmt: skip

        others = [n for n, value in inputs.items() if self._inputs.get(n, value) != value]
        if others:
            _logger.warning(
                "The input %s is another than in the run %s, whose results are used all the same. "
                "Run without resume to make them anew.",
                ", ".join(map(repr, others[:10])), self.run_id,
            )  # fmt: skip

    def bind(
        self, catalog: RunCatalog, nodes: Sequence[Any], outputs: Collection[str]
    ) -> set[str]:
        """Let datasets that the past run has made load what was kept of them.

        Args:
            catalog: The datasets of this run.
            nodes: The nodes that run.
            outputs: The outputs of the pipeline.

        Returns:
            Their names: no node of this run writes them.
        """
        made = {name for node in nodes for name in node.outputs}
        read = {name for node in nodes for name in node.inputs}
        bound = set()
        for name in {*read, *outputs} - made:
            dataset = catalog[name]
            if is_ephemeral(dataset) and name in self._kept:
                _bind(dataset, _stored(self._kept[name]))
                bound.add(name)
        return bound


def _stored(path: str) -> StoredValue:
    client = FileClient(Segments(None, "", None), cloudpickle.dumps, pickle.loads)
    return StoredValue(Ref(path, os.path.getsize(path)), client, None)  # noqa: PTH202, as short


def _bind(dataset: Any, source: StoredValue) -> None:
    if isinstance(dataset, MemoryDataset):
        dataset.bind(source)
    else:  # a dataset of another library has no `bind`
        dataset.save(source())
