"""What is under way: envelopes, each with one future and the nodes that have no outcome yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

# The nodes of an envelope that have no outcome yet, in the order in which they run; and the ticket
# of each, for an outcome may come late, when the node is on its way once more.
Flight = dict[int, int]


class Flights:
    """Who travels with whom."""

    def __init__(self) -> None:
        self._flights: dict[Future[Any], Flight] = {}
        self._of_node: dict[int, Flight] = {}

    def __len__(self) -> int:
        """Number of envelopes."""
        return len(self._flights)

    @property
    def most(self) -> int:
        """Number of nodes of the envelope that has most of them left."""
        return max(map(len, self._flights.values()), default=0)

    def add(self, future: Future[Any], flight: Flight) -> None:
        """An envelope was sent."""
        self._flights[future] = flight
        self._of_node.update(dict.fromkeys(flight, flight))

    def futures(self) -> list[Future[Any]]:
        """The futures of all envelopes."""
        return list(self._flights)

    def nodes(self) -> list[int]:
        """All nodes without an outcome, in topological order."""
        return sorted(self._of_node)

    def each(self) -> list[list[int]]:
        """The nodes of each envelope that have no outcome, in the order in which they run."""
        return list(map(list, self._flights.values()))

    def get(self, future: Future[Any]) -> Flight | None:
        """The nodes of an envelope that have no outcome, or None if it is not under way."""
        return self._flights.get(future)

    def of(self, node: int) -> Future[Any]:
        """The future of the envelope that a node is in."""
        return next(future for future, flight in self._flights.items() if node in flight)

    def land(self, future: Future[Any]) -> list[int]:
        """An envelope is over; return the nodes of it that have no outcome."""
        nodes = list(self._flights.pop(future))
        for node in nodes:
            del self._of_node[node]
        return nodes

    def settle(self, node: int, ticket: int) -> bool:
        """Note an outcome; false if it is of a try that is over, so that it is of no interest."""
        flight = self._of_node.get(node)
        if flight is None or flight[node] != ticket:
            return False
        del flight[node], self._of_node[node]
        return True

    def clear(self) -> list[int]:
        """Forget everything; return the nodes that have no outcome, in topological order."""
        nodes = self.nodes()
        self._flights.clear()
        self._of_node.clear()
        return nodes
