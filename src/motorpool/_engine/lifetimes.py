"""How long values are needed: until the last task that reads them is through."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from motorpool._protocol.wiring import Wiring


class Lifetimes:
    """Counts who still needs each dataset: who makes it, and who reads it.

    Args:
        wiring: Who makes and reads what.
        users: For each dataset the number of nodes that make it or read it.
        kept: Names that are never released: the pipeline's own inputs and outputs.
    """

    def __init__(self, wiring: Wiring, users: Sequence[int], kept: Iterable[str]) -> None:
        self._wiring, self._users = wiring, array("i", users)
        for number in wiring.numbered(kept):  # one user more, who is never through
            self._users[number] += 1

    def settle(self, through: Iterable[int]) -> list[str]:
        """Note that nodes are through; return the datasets that no node needs now."""
        free, users, names = [], self._users, self._wiring.names[1]
        reads, writes = self._wiring.reads, self._wiring.writes
        for node in through:
            for numbers in (reads[node], writes[node]):
                for number in numbers:
                    left = users[number] = users[number] - 1
                    if not left:
                        free.append(names[number])
        return free
