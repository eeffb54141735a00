"""One envelope in a worker: which of its nodes run, and what they hand to each other."""

from __future__ import annotations

import contextlib
import pickle
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._datasets.contract import confirm_dataset
from motorpool._protocol.messages import MANY, Load
from motorpool._store import Parcel
from motorpool._system.process import peak_memory
from motorpool.errors import MotorpoolError, NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from motorpool._protocol.messages import Outcome
    from motorpool._store import Payload
    from motorpool._worker.main import Session

# A trip that lasts longer (s) goes back to the driver as soon as others wait for a worker; what it
# has left is then run in the order of the whole pipeline.
_LONG = 0.02


class Handed(NamedTuple):
    """A value on its way to the next node.

    Attributes:
        value: The value, if nobody else has it.
        copy: Else where a copy is, which its reader unpickles.
    """

    value: Any
    copy: Payload | None


class Trip:
    """One envelope.

    Args:
        session: The run.

    Attributes:
        handed: Values that only the next node will read, as they are or as copies.
        stored: What earlier nodes have put into the store.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._began = time.perf_counter()
        self._outcomes: list[Outcome] = []
        self._told = 0
        self._done: set[int] = set()
        self.handed: dict[str, Handed] = {}
        self.stored: dict[str, Payload] = {}

    def run(self, loads: Iterable[tuple[Any, ...]]) -> bytes:
        """Run what can be run, one node after the other; return the outcomes."""
        outcomes, broken = self._outcomes, False
        before: Load | None = None
        for load in map(Load._make, loads):
            if not load.follows:
                if outcomes and self._is_long():
                    break
                broken = False
                if not self._done.issuperset(load.needs):
                    continue
            elif before is None or broken or not self._may_go_on(before, outcomes[-1]):
                broken = True
                continue
            untold = len(outcomes) - self._told
            if untold and (untold == MANY or not self._session.is_brisk(load.node)):
                self._tell()
            outcome = self._session.run(load, self)
            outcomes.append(outcome)
            before = load
            if outcome.failure is None and outcome.ran:
                self._done.add(load.node)
                self.stored |= outcome.outputs
        return self._packed(outcomes)

    def must_part(self) -> bool:
        """Whether nothing more should run here, so that values have to be stored."""
        return self._session.stopping or (self._is_long() and self._session.pressed)

    def _may_go_on(self, load: Load, outcome: Outcome) -> bool:
        """Whether the next node of the stretch has what it needs."""
        if outcome.failure is not None or not outcome.ran:
            return False
        return bool(self.handed) if load.handed else not self.must_part()

    def _is_long(self) -> bool:
        return time.perf_counter() - self._began > _LONG

    def _tell(self) -> None:
        """What is done must not wait for a node that may take long, nor be lost with it."""
        with contextlib.suppress(OSError):  # then it is told at the end
            self._session.tell(self._packed(self._outcomes[self._told :]))
        self._told = len(self._outcomes)

    def _packed(self, outcomes: list[Outcome]) -> bytes:
        """Outcomes as plain tuples; the last has the peak of memory."""
        if outcomes:
            outcomes[-1] = outcomes[-1]._replace(peak_memory=_gauge.read())
        return pickle.dumps([tuple(outcome) for outcome in outcomes])


class _Gauge:
    """Reads this process's peak of memory, in no more than a fiftieth of the time.

    It may take the system 40 us, and 2 ms when it is busy.
    """

    def __init__(self) -> None:
        self._peak = 0
        self._next = 0.0

    def read(self) -> int:
        """The peak in bytes, maybe of a moment ago."""
        began = time.perf_counter()
        if began >= self._next:
            self._peak = peak_memory()
            ended = time.perf_counter()
            self._next = ended + 50 * (ended - began)
        return self._peak


_gauge = _Gauge()


class NodeCatalog:
    """The catalog as one running node sees it.

    Args:
        session: The run.
        load: The node, and where its inputs are.
        trip: What has come before it.

    Attributes:
        outputs: What it has put into the store.
        shown: The catalog that hooks are shown.
    """

    takes_none = False

    def __init__(self, session: Session, load: Load, trip: Trip) -> None:
        self._session = session
        self._load = load
        self._trip = trip
        self._taken: dict[str, Handed] = {}
        self.outputs: dict[str, Payload] = {}

    @property
    def shown(self) -> NodeCatalog:
        """The catalog that hooks are shown."""
        return self

    def dataset(self, name: str) -> Any | None:
        """A dataset that this worker uses itself, or None if its value is in memory."""
        return self._session.dataset(name)

    def load(self, name: str) -> Any:
        """Load a dataset."""
        payload = self._load.inputs.get(name)
        if payload is not None:
            return self._session.get(payload)
        if self._load.follows:
            if name in self._trip.handed:
                self._taken[name] = self._trip.handed.pop(name)  # free when the node has ended
            if name in self._taken:
                value, copy = self._taken[name]
                return value if copy is None else self._session.get(copy)
        if name in self._trip.stored:
            return self._session.get(self._trip.stored[name])
        dataset = self._session.dataset(name)
        if dataset is None:
            raise NodeError(f"The dataset {name!r} is not among this node's.", dataset=name)
        return dataset.load()

    def save(self, name: str, data: Any) -> None:
        """Save a dataset; a chunk of a stream takes the place of the one before."""
        self.give(name, Parcel(data))

    def give(self, name: str, parcel: Parcel) -> None:
        """Save a dataset; the node has no use for the value any more."""
        dataset = self._session.dataset(name)
        if dataset is not None:
            dataset.save(parcel.value)
        elif name not in self._load.handed:
            payload = self._put(parcel)
            if name in self.outputs:  # the chunk before
                self._session.discard(self.outputs[name])
            self.outputs[name] = payload
        elif parcel.is_all():
            self._session.protect(parcel.value)
            self._trip.handed[name] = Handed(parcel.value, None)
        else:
            before = self._trip.handed.get(name)
            self._trip.handed[name] = Handed(None, self._put(parcel, handed=True))
            if before is not None and before.copy is not None:  # the chunk before
                self._session.discard(before.copy)

    def part(self) -> None:
        """Store what would go to the next node, which does not run here; or else let it run."""
        handed, stored = self._trip.handed, {}
        try:
            for name, (value, copy) in handed.items():
                stored[name] = self._put(Parcel(value)) if copy is None else copy
        except Exception:  # noqa: BLE001, whatever the reason, the next node can run here
            for name, payload in stored.items():
                if handed[name].copy is None:
                    self._session.discard(payload)
        else:
            self.outputs |= stored
            handed.clear()

    def end(self) -> None:
        """The node has ended: give up the copies that it has read."""
        for _, copy in self._taken.values():
            if copy is not None:
                self._session.discard(copy)
        self._taken.clear()

    def drop(self) -> None:
        """Give up everything: the node has failed."""
        for payload in self.outputs.values():
            self._session.discard(payload)
        for _, copy in self._trip.handed.values():
            if copy is not None:
                self._session.discard(copy)
        self.outputs.clear()
        self._trip.handed.clear()

    def is_empty(self, name: str) -> bool:
        """Whether an output lives in memory, and nothing was saved to it."""
        made = name in self.outputs or name in self._trip.handed
        return not made and self._session.dataset(name) is None

    def confirm(self, name: str) -> None:
        """Confirm a dataset."""
        confirm_dataset(name, self._session.dataset(name))

    def _put(self, parcel: Parcel, *, handed: bool = False) -> Payload:
        spend = parcel.may_be_spent()
        try:
            return self._session.put(parcel.value, self._load.node, spend=spend, handed=handed)
        except (MotorpoolError, MemoryError):
            raise
        except Exception as error:
            error.add_note(
                "In-memory values go to other processes as pickles. Return what can be pickled, "
                "or run on threads or sequential, where values stay as they are."
            )
            raise
