"""What there is of each resource, as tokens that units take while they are under way.

A node says what it takes: `node(..., resources={"cpu": 2, "memory": "4GiB", "gpu": 1})`. One that
says nothing of "cpu" takes one, if another node of the run says something of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CPU = "cpu"


class Tokens:
    """The tokens of a run.

    Args:
        needs: What nodes say that they take, by node; those that say nothing are not here.
        capacities: What there is of each resource that a node names.

    Attributes:
        needs: The same.
    """

    def __init__(
        self, needs: Mapping[int, Mapping[str, float]], capacities: Mapping[str, float]
    ) -> None:
        self.needs = needs
        self._free = dict(capacities)
        counted = any(CPU in each for each in needs.values())
        self._usual: Mapping[str, float] = {CPU: 1.0} if counted else {}

    def __bool__(self) -> bool:
        """Whether any node says that it takes something."""
        return bool(self.needs)

    def fit(self, node: int | None = None) -> bool:
        """Whether there is enough for a node; for None, for one that says nothing."""
        return all(self._free[name] >= amount for name, amount in self._of(node).items())

    def _of(self, node: int | None) -> Mapping[str, float]:
        if node is None or node not in self.needs:
            return self._usual
        return {**self._usual, **self.needs[node]}

    def take(self, nodes: Sequence[int]) -> dict[str, float]:
        """Take what a unit needs, whose nodes run one after the other; return it, for `give`."""
        most: dict[str, float] = {}
        if self.needs:
            for node in nodes:
                for name, amount in self._of(node).items():
                    most[name] = max(amount, most.get(name, 0.0))
            for name, amount in most.items():
                self._free[name] -= amount
        return most

    def give(self, taken: Mapping[str, float]) -> None:
        """Give back what a unit has taken."""
        for name, amount in taken.items():
            self._free[name] += amount
