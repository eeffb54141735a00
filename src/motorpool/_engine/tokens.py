"""What there is of each resource, as tokens that units take while they are under way.

A node says what it takes: `node(..., resources={"cpu": 2, "memory": "4GiB", "gpu": 1})`. One that
says nothing of "cpu" takes one, if another node of the run says something of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CPU = "cpu"
# Part of what there is that a node may lack.
_SLACK = 1e-9


class Tokens:
    """The tokens of a run.

    Nodes that take the same are of one kind; those that say nothing are of kind 0.

    Args:
        needs: What nodes say that they take, by node; those that say nothing are not here.
        capacities: What there is of each resource that a node names.

    Attributes:
        kinds: For each node that says something, its kind.
        amounts: For each kind, what it takes.
    """

    def __init__(
        self, needs: Mapping[int, Mapping[str, float]], capacities: Mapping[str, float]
    ) -> None:
        self._free, self._capacities = dict(capacities), capacities
        usual = {CPU: 1.0} if any(CPU in each for each in needs.values()) else {}
        self.kinds: dict[int, int] = {}
        self.amounts: list[dict[str, float]] = [usual]
        numbers: dict[tuple[tuple[str, float], ...], int] = {}
        for node, each in needs.items():
            key = tuple(sorted({**usual, **each}.items()))
            self.kinds[node] = numbers.setdefault(key, len(self.amounts))
            if self.kinds[node] == len(self.amounts):
                self.amounts.append(dict(key))

    def fitting(self) -> list[int]:
        """The kinds of which there is enough for a node."""
        return [kind for kind in range(len(self.amounts)) if self._fits(kind)]

    def _fits(self, kind: int) -> bool:
        """Whether there is enough; sums of fractions are a little off."""
        return all(
            amount <= self._free[name] + _SLACK * self._capacities[name]
            for name, amount in self.amounts[kind].items()
        )

    def take(self, nodes: Sequence[int]) -> dict[str, float]:
        """Take what a unit needs, whose nodes run one after the other; return it, for `give`."""
        most: dict[str, float] = {}
        if self.kinds:
            for kind in {self.kinds.get(node, 0) for node in nodes}:
                for name, amount in self.amounts[kind].items():
                    most[name] = max(amount, most.get(name, 0.0))
            for name, amount in most.items():
                self._free[name] -= amount
        return most

    def give(self, taken: Mapping[str, float]) -> None:
        """Give back what a unit has taken."""
        for name, amount in taken.items():
            self._free[name] += amount
