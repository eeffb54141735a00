"""What is sent: units of tries of nodes to workers, and what became of them back."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import cloudpickle

from motorpool._protocol.logs import handle_taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._protocol.failure import Failure
    from motorpool._store import Payload, StoreClient

_clients: WeakKeyDictionary[StoreClient, bytes] = WeakKeyDictionary()
# A worker that has news of nodes publishes them about so often (s): not before the end of a unit
# that lasts as long as it should, for that takes 0.1 ms.
OFTEN = 0.006
_DOZEN = 12
#: Seconds that a node took, of which: to import its function, to load, to call, to save.
Times = tuple[float, float, float, float]


class Order(NamedTuple):
    """A unit, to be sent to a worker.

    Attributes:
        number: No other unit of the run has the same.
        nodes: The nodes, in the order in which they run.
        attempts: Which try it is, of those that are not tried for the first time; one that was
            lost does not count.
        holding: The nodes whose failure may stop the run: then the worker itself sees to it that
            nothing is started until `go_on`. None for all.
        behind: The unit that it is queued behind, of which its nodes read something; or 0.
        worker: Process id of the worker that has that one.
    """

    number: int
    nodes: Sequence[int]
    attempts: dict[int, int]
    holding: frozenset[int] | None
    behind: int = 0
    worker: int | None = None


class Load(NamedTuple):
    """A unit, as it travels: an `Order`, and its data. Datasets are known by number.

    Attributes:
        number: As above.
        nodes: As above.
        attempts: As above.
        holding: As above.
        behind: As above.
        inputs: What its nodes read that is not made in the unit.
        wanted: What it makes that others may read; None for all that it makes.
        leads_on: Whether other nodes wait for its own, so that a unit may be queued behind it.
    """

    number: int
    nodes: array[int]
    attempts: dict[int, int]
    holding: frozenset[int] | None
    behind: int
    inputs: dict[int, Payload]
    wanted: frozenset[int] | None
    leads_on: bool


class UnitResult(NamedTuple):
    """What became of nodes of a unit; a plain tuple on the wire. Datasets are known by number.

    Attributes:
        number: The unit.
        pid: The worker.
        nodes: The nodes that have run, in order; there may be more to come of others.
        started: For each the seconds since the epoch.
        seconds: For each how long it took.
        outputs: In-memory outputs; those that no one else will read are not there, nor any where
            driver and worker share the catalog.
        failures: Of those that have failed, the failure: packed, or the exception itself within
            one process.
        handing: Whether something is on its way to the next node, and nowhere but in the worker.
        unstarted: Nodes that were left alone, for another has failed that may stop the run.
        times: What their seconds were taken for, of those of which it was measured; of the others
            all were for the call.
        kept: By node, where its outputs are kept for a resumed run, by name.
        about: What the outputs are that the caller of the run will get, in a few words.
        peak_memory: The worker's peak so far, in bytes.
    """

    number: int
    pid: int
    nodes: Sequence[int]
    started: Sequence[float]
    seconds: Sequence[float]
    outputs: dict[int, Payload]
    failures: dict[int, Failure | BaseException]
    handing: bool
    unstarted: Sequence[int]
    times: dict[int, Times]
    kept: dict[int, dict[str, str]]
    about: dict[int, str]
    peak_memory: int

    def only(self, nodes: Sequence[int], writes: Sequence[Sequence[int]]) -> UnitResult:
        """What of it is of some of its nodes.

        Args:
            nodes: Which ones.
            writes: For each node of the run the numbers of its outputs.
        """
        kept = set(nodes)
        rows = zip(self.nodes, self.started, self.seconds, strict=True)
        columns = list(zip(*[row for row in rows if row[0] in kept], strict=True)) or [(), (), ()]
        numbers = {number for node in nodes for number in writes[node]}
        return self._replace(
            nodes=columns[0], started=columns[1], seconds=columns[2],
            outputs={n: payload for n, payload in self.outputs.items() if n in numbers},
            failures={n: failure for n, failure in self.failures.items() if n in kept},
        )  # fmt: skip

    def times_of(self, node: int, seconds: float) -> Times:
        """What a node's seconds were taken for."""
        return self.times.get(node) or (0.0, 0.0, seconds, 0.0)


class News:
    """Collects what became of nodes of a unit, until it is told.

    Args:
        number: The unit.
    """

    __slots__ = (
        "about", "failures", "handing", "kept", "nodes", "number", "outputs", "seconds",
        "started", "times", "unstarted",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number, self.handing = number, False
        self.nodes, self.unstarted = array("i"), list[int]()
        self.started, self.seconds = array("d"), array("d")
        self.outputs: dict[int, Payload] = {}
        self.failures: dict[int, Failure | BaseException] = {}
        self.times: dict[int, Times] = {}
        self.kept: dict[int, dict[str, str]] = {}
        self.about: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self.nodes or self.unstarted)

    def add(self, node: int, started: float, seconds: float) -> None:
        """A node has run."""
        self.nodes.append(node)
        self.started.append(started)
        self.seconds.append(seconds)

    def result(self, peak_memory: int) -> UnitResult:
        """What to tell."""
        return UnitResult(
            self.number, os.getpid(), self.nodes, self.started, self.seconds, self.outputs,
            self.failures, self.handing, self.unstarted, self.times, self.kept, self.about,
            peak_memory,
        )  # fmt: skip


def holds(unit: Order | Load, node: int) -> bool:
    """Whether a failure of a node of a unit may stop the run."""
    return unit.holding is None or node in unit.holding


def owner_tag(token: str, node: int, *, handed: bool = False) -> str:
    """What the values of a node are marked with, until a result names them."""
    return f"{token}-{node}-handed-" if handed else f"{token}-{node}-"


def envelope_head(client: StoreClient, plan: Payload, key: bytes, scratch: str | None) -> bytes:
    """What leads a worker to a plan.

    Args:
        client: How to read values.
        plan: Where the plan is.
        key: Of what is sealed in it.
        scratch: Folder of the status table and the logs, or None where workers share no files.
    """
    return pickle.dumps((_pickled_client(client), plan, key, scratch), 5)


def _pickled_client(client: StoreClient) -> bytes:
    """A client, pickled; runs on the same workers have the same one."""
    try:
        return _clients[client]
    except (KeyError, TypeError):  # the second if it has no hash, or no weak references
        pickled: bytes = cloudpickle.dumps(client)
    with contextlib.suppress(TypeError):
        _clients[client] = pickled
    return pickled


def packed(result: UnitResult) -> bytes:
    """A result as it travels; an array takes as long as a list of a dozen."""
    if len(result.nodes) < _DOZEN:
        result = result._replace(
            nodes=list(result.nodes), started=list(result.started), seconds=list(result.seconds)
        )
    return pickle.dumps(tuple(result), 5)


def unpacked(data: bytes) -> UnitResult:
    """A result as a worker has packed it; what it has logged behind it is handed on."""
    file = io.BytesIO(data)
    row: tuple[Any, ...] = pickle.load(file)
    if rest := file.read():
        handle_taken(rest)
    return UnitResult._make(row)
