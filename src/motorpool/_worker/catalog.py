"""The catalog as one running node sees it, in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._datasets.contract import confirm_dataset
from motorpool._datasets.describe import describe
from motorpool._store import OwnedValue
from motorpool._system.exceptions import add_note
from motorpool.errors import MotorpoolError, NodeError

if TYPE_CHECKING:
    from motorpool._protocol.messages import Load
    from motorpool._store import Payload
    from motorpool._worker.session import Session


class Handoff(NamedTuple):
    """A value on its way to the next node of an envelope.

    Attributes:
        value: The value, if no one else has it.
        copy: Else where a copy is, which its reader unpickles.
    """

    value: Any
    copy: Payload | None


class EnvelopeValues(NamedTuple):
    """Values that nodes of an envelope have left for later ones.

    Attributes:
        handed: Those that only the next node reads, by name.
        stored: Those that are in the store, by name.
    """

    handed: dict[str, Handoff]
    stored: dict[str, Payload]


class TaskCatalog:
    """The catalog as one running node sees it.

    Args:
        session: The run.
        load: The node, and where its inputs are.
        values: What the nodes before it in its envelope have left.

    Attributes:
        outputs: What it has put into the store.
        about: What that is, in a few words, of what the caller of the run will get.
        shown: The catalog that hooks are shown.
    """

    takes_none = False

    def __init__(self, session: Session, load: Load, values: EnvelopeValues) -> None:
        self._session = session
        self._load = load
        self._values = values
        self._taken: dict[str, Handoff] = {}
        self.outputs: dict[str, Payload] = {}
        self.about: dict[str, str] = {}

    @property
    def shown(self) -> TaskCatalog:
        """The catalog that hooks are shown."""
        return self

    def dataset(self, name: str) -> Any | None:
        """A dataset that this worker uses itself, or None if its value is in memory."""
        return self._session.dataset(name)

    def load(self, name: str) -> Any:
        """Load a dataset."""
        payload = self._load.inputs.get(name)
        if payload is not None:
            return self._session.client.get(payload)
        if self._load.follows:
            if name in self._values.handed:
                self._taken[name] = self._values.handed.pop(name)  # free when the node has ended
            if name in self._taken:
                value, copy = self._taken[name]
                return value if copy is None else self._session.client.get(copy)
        if name in self._values.stored:
            return self._session.client.get(self._values.stored[name])
        dataset = self._session.dataset(name)
        if dataset is None:
            raise NodeError(f"The dataset {name!r} is not among this node's.", dataset=name)
        return dataset.load()

    def save(self, name: str, data: Any) -> None:
        """Save a dataset; a chunk of a stream takes the place of the one before."""
        self.save_owned(name, OwnedValue(data))

    def save_owned(self, name: str, owned: OwnedValue) -> None:
        """Save a dataset; the node has no use for the value any more."""
        dataset = self._session.dataset(name)
        if dataset is not None:
            dataset.save(owned.value)
        elif name not in self._load.handed:
            if name in self._session.settings.results:
                self.about[name] = describe(owned.value)
            payload = self._put(owned)
            if name in self.outputs:  # the chunk before
                self._session.client.discard(self.outputs[name])
            self.outputs[name] = payload
        elif owned.is_unique():
            self._session.protect(owned.value)
            self._values.handed[name] = Handoff(owned.value, None)
        else:
            before = self._values.handed.get(name)
            self._values.handed[name] = Handoff(None, self._put(owned, handed=True))
            if before is not None and before.copy is not None:  # the chunk before
                self._session.client.discard(before.copy)

    def part(self) -> None:
        """Store what would go to the next node, which does not run here; or else let it run."""
        handed, stored = self._values.handed, {}
        try:
            for name, (value, copy) in handed.items():
                stored[name] = self._put(OwnedValue(value)) if copy is None else copy
        except Exception:  # noqa: BLE001, whatever the reason, the next node can run here
            for name, payload in stored.items():
                if handed[name].copy is None:
                    self._session.client.discard(payload)
        else:
            self.outputs |= stored
            handed.clear()

    def end(self) -> None:
        """The node has ended: give up the copies that it has read."""
        for _, copy in self._taken.values():
            if copy is not None:
                self._session.client.discard(copy)
        self._taken.clear()

    def drop(self) -> None:
        """Give up everything: the node has failed."""
        for payload in self.outputs.values():
            self._session.client.discard(payload)
        for _, copy in self._values.handed.values():
            if copy is not None:
                self._session.client.discard(copy)
        self.outputs.clear()
        self._values.handed.clear()

    def is_empty(self, name: str) -> bool:
        """Whether an output lives in memory, and nothing was saved to it."""
        made = name in self.outputs or name in self._values.handed
        return not made and self._session.dataset(name) is None

    def confirm(self, name: str) -> None:
        """Confirm a dataset."""
        confirm_dataset(name, self._session.dataset(name))

    def _put(self, owned: OwnedValue, *, handed: bool = False) -> Payload:
        consume = owned.is_consumable()
        try:
            return self._session.put(owned.value, self._load.node, consume=consume, handed=handed)
        except (MotorpoolError, MemoryError):
            raise
        except Exception as error:
            add_note(
                error,
                "In-memory values go to other processes as pickles. Return what can be pickled, "
                "or run on threads or sequential, where values stay as they are.",
            )
            raise
