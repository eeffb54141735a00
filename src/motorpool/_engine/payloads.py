"""The values of a run that workers in other processes read and make, as the driver has them.

They are payloads, which the driver does not look into: small ones are pickles that it carries
along, large ones lie in a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import is_ephemeral, release_dataset
from motorpool._datasets.describe import with_size
from motorpool._engine.outputs import save_output
from motorpool._protocol.problem import unpicklable_value
from motorpool._store import StoredValue, payload_size
from motorpool.catalog import MemoryDataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motorpool._engine.transport import Transport
    from motorpool._protocol.messages import UnitResult
    from motorpool._protocol.problem import Problem
    from motorpool._store import Collector, Payload, Store
    from motorpool.catalog import RunCatalog


class Payloads:
    """The values that workers read and make. Datasets are known by number, or by name.

    Args:
        catalog: The run's datasets.
        number: The number of each.
        own: Names of those that workers load and save themselves.
        store: Where large values wait.
        script: The names of `__main__` that the nodes refer to; those of inputs are added.
        peers: The run's other ways, of which some may use the same store.

    Attributes:
        values: Those that are here, by number.
        makers: Of large ones the worker that may have them mapped, by number.
    """

    def __init__(
        self, catalog: RunCatalog, number: Mapping[str, int], own: frozenset[str], store: Store,
        script: Collector, peers: Sequence[Transport],
    ) -> None:  # fmt: skip
        self._catalog, self._number, self._own = catalog, number, own
        self._store, self._script, self._peers = store, script, peers
        self._client: Any = store.client
        self.values: dict[int, Payload] = {}
        self.makers: dict[int, int] = {}
        self._about: dict[int, str] = {}
        self._borrowed: list[Any] = []  # kept, so that they are not released meanwhile

    def borrow(self, name: str) -> list[Problem]:
        """Bring an input of the pipeline to where workers can read it; return what hinders it."""
        problems = self.share(name, known_names=False)
        self._borrowed.append(getattr(self._catalog[name], "source", None))
        return problems

    def share(self, name: str, *, known_names: bool) -> list[Problem]:
        """Bring an in-memory value to where workers can read it; return what hinders it.

        Args:
            name: Of the dataset.
            known_names: Whether workers have the names of the script already, and no others.
        """
        dataset, number = self._catalog[name], self._number[name]
        found = [peer.payload(name, self._store) for peer in self._peers]
        found.append(self._store.find(getattr(dataset, "source", None)))
        known = next((payload for payload in found if payload is not None), None)
        if known is not None:
            self._script.want_sent()
            self.values[number] = known
            self._retain(known)
            return []
        value = dataset.peek() if isinstance(dataset, MemoryDataset) else dataset.load()
        try:
            with self._script.collecting(shares=False):
                self.values[number] = self.put(value)
            if known_names and self._script.waits:
                self.values[number] = self._put_with_names(number, value)
        except Exception as error:  # noqa: BLE001, whatever pickling raises is the reason
            return [unpicklable_value(name, value, error)]
        return []

    def payload(self, name: str, store: Store) -> Payload | None:
        """What a value is in a store, if it is there."""
        return self.values.get(self._number[name]) if store is self._store else None

    def lend(self, name: str) -> StoredValue:
        """A value of the store; it is kept there for as long as the loader."""
        payload = self.values[self._number[name]]
        self._retain(payload)
        return self._store.pin(payload)

    def near(self, numbers: Iterable[int]) -> int | None:
        """The worker that has made the largest of some values, and may have it mapped."""
        known = self.makers.keys() & numbers
        largest = max(known, key=lambda number: payload_size(self.values[number]), default=None)
        return None if largest is None else self.makers[largest]

    def register(self, result: UnitResult) -> None:
        """Take over what a unit has made."""
        values = self.values
        for number, payload in result.outputs.items():
            if number in values:  # of an earlier try that had to be taken back
                self._release(number)
            if type(payload) is not bytes:
                self._retain(payload)
                self.makers[number] = result.pid
        values.update(result.outputs)
        self._about.update(result.about)

    def release(self, names: Sequence[str]) -> list[str]:
        """Remove values from the store; let datasets of the user's free what they hold here."""
        released = []
        for name in names:
            if self._release(self._number[name]):
                released.append(name)
            elif name in self._catalog.registered and not is_ephemeral(self._catalog[name]):
                release_dataset(self._catalog[name])
        return released

    def _retain(self, payload: Payload) -> None:
        if type(payload) is not bytes:
            self._store.retain(payload)

    def _release(self, number: int) -> bool:
        payload = self.values.pop(number, None)
        if payload is not None and type(payload) is not bytes:
            self.makers.pop(number, None)
            self._store.release(payload)
        return payload is not None

    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The catalog's own datasets; in-memory ones now load from the store.

        Raises:
            DatasetError: If one does not take its value. All others have theirs.
        """
        found, problems = {}, []
        number_of, values = self._number, self.values
        for name in sorted(names):
            dataset = found[name] = self._catalog[name]
            number = number_of.get(name)
            if number in values and name not in self._own and not self._is_bound(dataset, number):
                self.makers.pop(number, None)
                payload = values.pop(number)
                source = self._store.pin(payload)
                if isinstance(dataset, MemoryDataset):
                    kind = self._about.get(number, "a value")
                    dataset.bind(source, with_size(kind, payload_size(payload)))
                else:  # an in-memory dataset of another library has no `bind`
                    problems += save_output(name, dataset, source)
        if problems:
            raise problems[0]
        return found

    def close(self) -> None:
        """Give up every value that is not a result."""
        for number in list(self.values):
            self._release(number)

    def put(self, value: Any, *, inline: bool = True, owner: str = "") -> Payload:
        """Keep a value; see `StoreClient.put`."""
        payload: Payload = self._client.put(value, inline=inline, owner=owner)
        self._client.end_node()
        self._retain(payload)
        return payload

    def _put_with_names(self, number: int, value: Any) -> Payload:
        """Put a value that is of classes which the plan, sent before, does not have."""
        self._release(number)
        for undefined in self._script.define_all(self._client.dumps):
            raise undefined.error
        with self._script.collecting(shares=False):
            return self.put(self._script.carrier(value))

    def _is_bound(self, dataset: Any, number: int) -> bool:
        """Whether a dataset loads a value of this store already: an input, or for another lane."""
        source = getattr(dataset, "source", None)
        return isinstance(source, StoredValue) and source.payload == self.values[number]
