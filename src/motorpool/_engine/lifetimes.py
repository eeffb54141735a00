"""How long values are needed: until the last task that reads them is through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Lifetimes:
    """Counts who still needs each dataset: who makes it, and who reads it.

    Args:
        nodes: The nodes.
        users: For each dataset the number of nodes that make it or read it.
        kept: Names that are never released: the pipeline's own inputs and outputs.
    """

    def __init__(
        self, nodes: Sequence[Any], users: Mapping[str, int], kept: Iterable[str]
    ) -> None:
        self._nodes, self._users = nodes, dict(users)
        for name in kept:  # one user more, who is never through
            self._users[name] = self._users.get(name, 0) + 1

    def settle(self, through: Iterable[int]) -> list[str]:
        """Note that nodes are through; return the datasets that no node needs now."""
        free, users, nodes = [], self._users, self._nodes
        for index in through:
            node = nodes[index]
            for names in (node.inputs, node.outputs):
                for name in names:
                    left = users[name] = users[name] - 1
                    if not left:
                        free.append(name)
        return free
