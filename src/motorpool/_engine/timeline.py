"""When each node ran, and what its worker did meanwhile; small, and only looked at when asked."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from motorpool._summary import NodeSummary, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from motorpool._protocol.messages import Outcome

# Worker, start (s since the epoch), seconds; of these, to import, load, call, save.
_ROW = struct.Struct("=i6d")


class Timeline(Sequence[NodeSummary]):
    """The nodes of a run that have run, in topological order.

    Args:
        names: Names of all nodes.
        parents: For each the nodes that it waits for.
    """

    def __init__(self, names: Sequence[str], parents: Sequence[Sequence[int]]) -> None:
        self._names, self._parents = names, parents
        self._began = time.time()
        self._rows = bytearray(_ROW.size * len(names))

    def add(self, outcome: Outcome) -> None:
        """Note a try of a node; the last one counts."""
        _ROW.pack_into(
            self._rows, _ROW.size * outcome.node, outcome.pid, outcome.started, outcome.seconds,
            *outcome.times,
        )  # fmt: skip

    def wait(self, node: int) -> float:
        """Seconds from when a node could have run until it did, earlier tries included."""
        _, started, *_ = self._row(node)
        ready = self._began
        for parent in self._parents[node]:
            pid, begin, seconds, *_ = self._row(parent)
            if pid:
                ready = max(ready, begin + seconds)
        return max(0.0, started - ready)

    def critical_path(self) -> list[str]:
        """Names of the nodes of the chain that took the longest, in order."""
        lengths, before = [0.0] * len(self._names), [-1] * len(self._names)
        for node, parents in enumerate(self._parents):
            longest = max(parents, key=lengths.__getitem__, default=-1)
            before[node] = longest
            lengths[node] = self._row(node)[2] + (lengths[longest] if longest >= 0 else 0.0)
        node = max(range(len(lengths)), key=lengths.__getitem__, default=-1)
        found = []
        while node >= 0:
            if self._row(node)[0]:
                found.append(self._names[node])
            node = before[node]
        return found[::-1]

    def __len__(self) -> int:
        """Number of nodes that have run."""
        return len(self._ran())

    @overload
    def __getitem__(self, index: int) -> NodeSummary: ...

    @overload
    def __getitem__(self, index: slice) -> list[NodeSummary]: ...

    def __getitem__(self, index: int | slice) -> NodeSummary | list[NodeSummary]:
        ran = self._ran()[index]
        return self._summary(ran) if isinstance(ran, int) else list(map(self._summary, ran))

    def __iter__(self) -> Iterator[NodeSummary]:
        return map(self._summary, self._ran())  # by index, each would look at all of them

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'node')}>"

    def _ran(self) -> list[int]:
        return [node for node in range(len(self._names)) if self._row(node)[0]]

    def _row(self, node: int) -> tuple[int, float, float, float, float, float, float]:
        return _ROW.unpack_from(self._rows, _ROW.size * node)

    def _summary(self, node: int) -> NodeSummary:
        worker, started, seconds, imports, load, call, save = self._row(node)
        return NodeSummary(
            node=self._names[node], worker=worker, started=started, seconds=seconds,
            imports=imports, load=load, call=call, save=save, wait=self.wait(node),
        )  # fmt: skip
