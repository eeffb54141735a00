"""The transports of a run that uses several backends, as one.

    made by one lane            the run's catalog               read by another
    a file in its store ------> a dataset that loads it -----> the other's store, if it has one
    the object itself  -------> the dataset that holds it ---> or the catalog as it is

A value moves when a node that reads it is sent off, once for each lane. Lanes that have a store in
common pass on a reference, and copy nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from motorpool._datasets.contract import is_ephemeral, release_dataset
from motorpool._system.exceptions import add_note
from motorpool.catalog import MemoryDataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from motorpool._engine.transport import Transport
    from motorpool.catalog import RunCatalog


class Values(Protocol):
    """What a run needs of the holder of its data: a transport, or all of them."""

    def release(self, names: Sequence[str]) -> list[str]:
        """Give back the memory of datasets; return those of which there was any here."""

    def abandon(self, node: int, *, handed: bool = False) -> None:
        """Give up what a try of a node has left."""

    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The datasets of these names, able to load after everything here is closed."""

    def poll(self) -> Any:
        """Hand on what workers have logged."""

    def close(self) -> None:
        """Give back what is not a result."""


class Exchange:
    """Holds the values of all lanes.

    Args:
        catalog: The run's datasets.
        nodes: The nodes.
        lanes: For each node its lane.
        transports: The way to the workers of each lane.
    """

    def __init__(
        self, catalog: RunCatalog, nodes: Sequence[Any], lanes: Sequence[int],
        transports: list[Transport],
    ) -> None:  # fmt: skip
        self._catalog, self._nodes = catalog, nodes
        self._lanes, self._transports = lanes, transports
        self._maker = {
            name: lane for node, lane in zip(nodes, lanes, strict=True) for name in node.outputs
        }
        self._shown: set[str] = set()  # in the catalog, and made in a store

    def fetch(self, nodes: Iterable[int]) -> tuple[int, Exception] | None:
        """Bring the in-memory inputs of nodes to their lane.

        Returns:
            A node for which that fails, and why.
        """
        for node in nodes:
            lane = self._lanes[node]
            for name in self._nodes[node].inputs:
                maker = self._maker.get(name, lane)
                if maker == lane or not is_ephemeral(self._catalog[name]):
                    continue
                try:
                    self._bring(name, maker, lane)
                except Exception as error:  # noqa: BLE001, whatever pickling raises
                    add_note(error, f"while bringing {name!r} from one backend to another")
                    return node, error
        return None

    def _bring(self, name: str, maker: int, lane: int) -> None:
        if name not in self._shown:
            source, dataset = self._transports[maker].lend(name), self._catalog[name]
            if source is not None and isinstance(dataset, MemoryDataset):
                dataset.bind(source)
            elif source is not None:  # a dataset of another library has no `bind`
                dataset.save(source())
            self._shown.add(name)
        self._transports[lane].receive(name)

    def release(self, names: Sequence[str]) -> list[str]:
        """Give back the memory of datasets, wherever it is."""
        for name in self._shown.intersection(names):
            release_dataset(self._catalog[name])
        released = {n for transport in self._transports for n in transport.release(names)}
        return [name for name in names if name in released]

    def abandon(self, node: int, *, handed: bool = False) -> None:
        """Give up what a try of a node has left that never came to an outcome."""
        self._transports[self._lanes[node]].abandon(node, handed=handed)

    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The datasets of these names, able to load after everything here is closed.

        Raises:
            DatasetError: If one does not take its value. All others have theirs.
        """
        found: dict[str, Any] = {}
        problems: list[Exception] = []
        by_lane: dict[int, list[str]] = {}
        for name in sorted(names):
            by_lane.setdefault(self._maker.get(name, 0), []).append(name)
        for lane, made in by_lane.items():
            try:
                found |= self._transports[lane].results(made)
            except Exception as error:  # noqa: BLE001, raised below
                problems.append(error)
        if problems:
            raise problems[0]
        return dict(sorted(found.items()))

    def poll(self) -> None:
        """Hand on what workers have logged."""
        for transport in self._transports:
            transport.poll()

    def close(self) -> None:
        """Give back what is not a result."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()  # they know of each other, and would keep the stores open
