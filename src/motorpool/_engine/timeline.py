"""When each node ran, and what its worker did meanwhile; small, and only looked at when asked."""

from __future__ import annotations

import itertools
import struct
import time
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from motorpool._pipeline.graph import longest_chain
from motorpool._store import payload_size
from motorpool._summary import NodeSummary
from motorpool._wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from motorpool._protocol.messages import Times, UnitResult

# Worker, start (s since the epoch), seconds; of these, to import, load, call, save; bytes.
_ROW = struct.Struct("=i6dq")
_Row = tuple[int, float, float, float, float, float, float, int]


# Node, start, seconds, what these were for, seconds for which it could have run before, bytes.
Completion = tuple[int, float, float, "Times", float, int]


class Timeline(Sequence[NodeSummary]):
    """The nodes of a run that have run, in topological order.

    Args:
        names: Names of all nodes.
        parents: For each the nodes that it waits for.
        writes: For each the numbers of its outputs.
    """

    def __init__(
        self, names: Sequence[str], parents: Sequence[Sequence[int]],
        writes: Sequence[Sequence[int]],
    ) -> None:  # fmt: skip
        self._names, self._parents, self._writes = names, parents, writes
        self._began = time.time()
        self._new: list[tuple[UnitResult, array[int], array[int]]] = []
        self._rows = bytearray()
        self._ends: array[float] | None = None

    def add(self, result: UnitResult) -> None:
        """Note tries of nodes; of each node the last one counts."""
        outputs = result.outputs
        sizes = array("q", map(payload_size, outputs.values()))
        rest = result._replace(outputs={}, failures={}, kept={}, about={})
        self._new.append((rest, array("i", outputs), sizes))

    def _unfold(self) -> bytearray:
        """All rows, of units that were added since as well."""
        if not self._rows:
            self._rows = bytearray(_ROW.size * len(self._names))
        new, self._new = self._new, []
        for result, numbers, nbytes in new:
            sizes = dict(zip(numbers, nbytes, strict=True))
            columns = zip(result.nodes, result.started, result.seconds, strict=True)
            for node, started, seconds in columns:
                _ROW.pack_into(
                    self._rows, _ROW.size * node, result.pid, started, seconds,
                    *result.times_of(node, seconds),
                    sum(sizes.get(number, 0) for number in self._writes[node]),
                )  # fmt: skip
        return self._rows

    def completions(self, result: UnitResult) -> Iterator[Completion]:
        """Those nodes of a result that have not failed; quicker than to unfold it.

        Args:
            result: What was added last.

        Yields:
            Node, start and seconds; what these were for; the seconds from when it could have run
            until it did, earlier tries included; and the bytes of its outputs.
        """
        if self._ends is None:
            self._ends = array("d", [row[1] + row[2] for row in self._all_rows()])
        ends, end_of, failures = self._ends, self._ends.__getitem__, result.failures
        outputs, writes, ready = result.outputs, self._writes, self._ready
        for node, started, seconds in zip(
            result.nodes, result.started, result.seconds, strict=True
        ):
            ends[node] = started + seconds
            if node in failures:
                continue
            nbytes = 0
            for number in writes[node]:
                if number in outputs:
                    nbytes += payload_size(outputs[number])
            wait, times = started - ready(node, end_of), result.times_of(node, seconds)
            yield node, started, seconds, times, max(0.0, wait), nbytes

    def _ready(self, node: int, end_of: Callable[[int], float]) -> float:
        """When a node could have run: after the run had begun, and its last parent had ended."""
        parents = self._parents[node]
        return max(self._began, *map(end_of, parents)) if parents else self._began

    def _all_rows(self) -> list[_Row]:
        """Of each node its row; zeros if it has not run."""
        return list(_ROW.iter_unpack(self._unfold()))

    def rows(self) -> list[tuple[str, float, _Row]]:
        """Of each node that has run: its name, since when it waited, and its row; quickly.

        A row has the worker, the start and the seconds; of these, those to import, to load, to
        call and to save; and the bytes of its outputs. Moments are in seconds since the epoch.
        """
        rows = self._all_rows()
        end_of = [row[1] + row[2] for row in rows].__getitem__
        return [
            (name, self._ready(node, end_of), row)
            for node, (name, row) in enumerate(zip(self._names, rows, strict=True))
            if row[0]
        ]

    def critical_path(self) -> list[str]:
        """Names of the nodes of the chain that took the longest, in order."""
        rows = self._all_rows()
        chain = longest_chain(self._parents, [row[2] for row in rows])
        return [self._names[node] for node in chain if rows[node][0]]

    def __len__(self) -> int:
        """Number of nodes that have run."""
        return sum(1 for row in self._all_rows() if row[0])

    @overload
    def __getitem__(self, index: int) -> NodeSummary: ...

    @overload
    def __getitem__(self, index: slice) -> list[NodeSummary]: ...

    def __getitem__(self, index: int | slice) -> NodeSummary | list[NodeSummary]:
        rows = self.rows()[index]
        return _summary(*rows) if isinstance(rows, tuple) else [_summary(*row) for row in rows]

    def __iter__(self) -> Iterator[NodeSummary]:
        return itertools.starmap(_summary, self.rows())  # by index, each would look at all

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'node')}>"


def _summary(name: str, since: float, row: _Row) -> NodeSummary:
    worker, started, seconds, imports, load, call, save, nbytes = row
    return NodeSummary(
        node=name, worker=worker, started=started, seconds=seconds, imports=imports, load=load,
        call=call, save=save, wait=max(0.0, started - since), nbytes=nbytes,
    )  # fmt: skip
