"""Which node reads and writes which dataset, and waits for which node: all as numbers.

Workers know nodes and datasets by number. Names, of which a worker needs those of the nodes that
fail or that are more than a function, are unpickled when they are asked for, and so are parents.
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from motorpool._pipeline.form import Form

#: For each node some numbers.
Rows = Sequence[tuple[int, ...]]


class Wiring:
    """Who reads and writes what. Pickles in no time: it was packed when it was made.

    Args:
        rows: For each node its inputs, its outputs, and the nodes that it waits for; each packed.
        names: The names of the nodes, and of the datasets; packed.
        forms: The forms of nodes that are no more than a function, but for the usual one.

    Attributes:
        forms: The same.
    """

    def __init__(
        self, rows: tuple[bytes, bytes, bytes], names: bytes, forms: Sequence[Form]
    ) -> None:
        self._rows, self._names, self.forms = rows, names, forms

    @classmethod
    def of(
        cls, nodes: Sequence[Any], names: Sequence[str], datasets: Sequence[str],
        parents: tuple[tuple[int, ...], ...], forms: Sequence[Form],
    ) -> Wiring:  # fmt: skip
        """Find it out.

        Args:
            nodes: The nodes, in a topological order.
            names: Their names.
            datasets: Names of all datasets; their positions are their numbers.
            parents: For each node the nodes that it waits for.
            forms: As above.
        """
        numbers = {name: i for i, name in enumerate(datasets)}
        number = numbers.__getitem__
        kept: dict[tuple[int, ...], tuple[int, ...]] = {}
        once = kept.setdefault  # of equal rows one is kept
        reads = [once(row, row) for row in (tuple(map(number, node.inputs)) for node in nodes)]
        writes = [once(row, row) for row in (tuple(map(number, node.outputs)) for node in nodes)]
        packed = (marshal.dumps(reads), marshal.dumps(writes), marshal.dumps(parents))
        made = cls(packed, pickle.dumps((names, datasets), 5), forms)
        made.reads, made.writes, made.parents = reads, writes, parents
        made.names, made.numbers = (names, datasets), numbers
        return made

    @cached_property
    def reads(self) -> Rows:
        """For each node the numbers of its inputs, in order."""
        return _loaded(self._rows[0])

    @cached_property
    def writes(self) -> Rows:
        """Likewise, of its outputs."""
        return _loaded(self._rows[1])

    @cached_property
    def parents(self) -> Rows:
        """For each node the nodes that it waits for."""
        return _loaded(self._rows[2])

    @cached_property
    def names(self) -> tuple[Sequence[str], Sequence[str]]:
        """The names of the nodes, and of the datasets."""
        found: tuple[Sequence[str], Sequence[str]] = pickle.loads(self._names)
        return found

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The numbers of the datasets, by name."""
        return {name: i for i, name in enumerate(self.names[1])}

    def numbered(self, names: Iterable[str]) -> list[int]:
        """The numbers of those datasets that nodes read or write."""
        return [self.numbers[name] for name in names if name in self.numbers]

    def __reduce__(self) -> tuple[type[Wiring], tuple[Any, ...]]:
        return Wiring, (self._rows, self._names, self.forms)


def _loaded(packed: bytes) -> Rows:
    rows: Rows = marshal.loads(packed)  # noqa: S302, of the same interpreter, as all pickles
    return rows
