"""The values that the nodes of a unit read and leave, by number of the dataset."""

from __future__ import annotations

import pickle
from sys import getsizeof
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._store import OwnedValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from motorpool._store import Payload
    from motorpool._worker.session import Session

# Values of these types cannot be changed, and a reader may have the very object; if they are small
# (bytes), for what is large goes to the store.
IMMUTABLE = frozenset({bool, bytes, complex, float, int, str})
_SMALL = 4096


class Handoff(NamedTuple):
    """A value on its way to the next node of a stretch.

    Attributes:
        value: The value, if no one else has it.
        copy: Else where a copy is, which its reader unpickles.
    """

    value: Any
    copy: Payload | None


class UnitValues:
    """The values that the nodes of a unit read and leave.

    Args:
        session: The run.
        inputs: What was made elsewhere, by number.

    Attributes:
        as_is: Small values that cannot be changed, as they are.
        stored: Others, as payloads.
        handed: Those that only the next node reads, and that are nowhere else.
        large: Numbers of those that the store keeps, and that have not been told of.
        node: The present node.
        made: Numbers of those that it has made.
        touched: Whether there is something to give up when it ends.
    """

    def __init__(self, session: Session, inputs: dict[int, Payload]) -> None:
        self._session, self._immutable = session, session.immutable
        self.as_is: dict[int, Any] = {}
        self.stored = inputs
        self.handed: dict[int, Handoff] = {}
        self.large: list[int] = []
        self.made: dict[int, None] = {}
        self._taken: dict[int, Handoff] = {}
        self.node, self._handing = -1, frozenset[int]()
        self.touched = False

    def begin(self, node: int, handing: frozenset[int] = frozenset()) -> None:
        """A node begins.

        Args:
            node: Which one.
            handing: What it makes for the next node alone.
        """
        self.node, self._handing = node, handing
        self.made, self.touched = {}, True

    def goes_as_it_is(self, value: Any) -> bool:
        """Whether readers in this worker may have the very object."""
        return type(value) in self._immutable and getsizeof(value) < _SMALL

    def has(self, number: int) -> bool:
        """Whether there is a value that the present node may load."""
        places = (self.as_is, self.stored, self.handed, self._taken)
        return any(number in place for place in places)

    def are_small(self, numbers: Iterable[int]) -> bool:
        """Whether values can be had without the store."""
        stored = self.stored
        return all(n in self.as_is or type(stored.get(n)) is bytes for n in numbers)

    def load(self, number: int) -> Any:
        """A value for the present node, to change as it likes."""
        if number in self.as_is:
            return self.as_is[number]
        if number in self.stored:
            return self._session.client.get(self.stored[number])
        if number in self.handed:
            self._taken[number] = self.handed.pop(number)  # free when the node has ended
        value, copy = self._taken[number]
        return value if copy is None else self._session.client.get(copy)

    def save(self, number: int, owned: OwnedValue) -> None:
        """Keep a value that the present node has made; a chunk takes the place of the one before.

        Raises:
            Exception: Whatever pickling it raises.
        """
        before = self._take_back(number)
        try:
            if self.goes_as_it_is(owned.value):
                self.as_is[number] = owned.value
            elif number not in self._handing:
                self._store(number, self._put(owned))
            elif owned.is_unique():
                self._session.protect(owned.value)
                self.handed[number] = Handoff(owned.value, None)
            else:
                self.handed[number] = Handoff(None, self._put(owned, handed=True))
        finally:
            if before is not None:
                self._session.client.discard(before)
        self.made[number] = None

    def part(self) -> None:
        """Store what would go to the next node, which does not run here; or else let it run."""
        stored = {}
        try:
            for number, (value, copy) in self.handed.items():
                stored[number] = self._put(OwnedValue(value)) if copy is None else copy
        except Exception:  # noqa: BLE001, whatever the reason, the next node can run here
            for number, payload in stored.items():
                if self.handed[number].copy is None:
                    self._session.client.discard(payload)
        else:
            for number, payload in stored.items():
                self._store(number, payload)
            self.handed.clear()

    def end(self) -> None:
        """The node has ended: give up the copies that it has read."""
        for _, copy in self._taken.values():
            if copy is not None:
                self._session.client.discard(copy)
        self._taken.clear()
        self.touched = False

    def drop(self) -> None:
        """Give up what the present node has made: it has failed."""
        for number in self.made:
            if (payload := self._take_back(number)) is not None:
                self._session.client.discard(payload)
        for _, copy in self.handed.values():
            if copy is not None:
                self._session.client.discard(copy)
        self.handed.clear()
        self.made.clear()

    def payloads(self, numbers: Iterable[int]) -> dict[int, Payload]:
        """Values as they travel, but for what is not there, or on its way to the next node."""
        as_is, stored, dumps = self.as_is, self.stored, pickle.dumps
        return {
            number: dumps(as_is[number], 5) if number in as_is else stored[number]
            for number in numbers
            if number in as_is or number in stored
        }

    def _store(self, number: int, payload: Payload) -> None:
        self.stored[number] = payload
        if type(payload) is not bytes:
            self.large.append(number)

    def _take_back(self, number: int) -> Payload | None:
        """Forget a value that the present node has made; return what has to be discarded of it."""
        if number not in self.made:
            return None
        self.as_is.pop(number, None)
        payload = self.stored.pop(number, None)
        if payload is not None and type(payload) is not bytes:
            self.large.remove(number)
        handed = self.handed.pop(number, None)
        return payload if handed is None else handed.copy

    def _put(self, owned: OwnedValue, *, handed: bool = False) -> Payload:
        consume = owned.is_consumable()
        return self._session.put(owned.value, self.node, consume=consume, handed=handed)
