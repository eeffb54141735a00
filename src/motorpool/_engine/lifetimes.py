"""How long values are needed: until the last task that reads them is through."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Lifetimes:
    """Counts who still needs each dataset: who makes it, and who reads it.

    Args:
        inputs: For each node, the names of the datasets that it reads.
        outputs: For each node, the names of the datasets that it writes.
        kept: Names that are never released: the pipeline's own inputs and outputs.
    """

    def __init__(
        self,
        inputs: Sequence[Sequence[str]],
        outputs: Sequence[Sequence[str]],
        kept: Iterable[str],
    ) -> None:
        self._users: dict[str, int] = {}
        for names in itertools.chain(inputs, outputs):
            for name in names:
                self._users[name] = self._users.get(name, 0) + 1
        for name in kept:  # one user more, who is never through
            self._users[name] = self._users.get(name, 0) + 1
        self._inputs, self._outputs = inputs, outputs

    def settle(self, node: int) -> list[str]:
        """Note that a node is through; return the datasets that no node needs now."""
        free, users = [], self._users
        for names in (self._inputs[node], self._outputs[node]):
            for name in names:
                left = users[name] = users[name] - 1
                if not left:
                    free.append(name)
        return free
