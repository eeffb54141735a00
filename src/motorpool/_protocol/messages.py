"""What is sent: tries of nodes to workers, and what became of them back."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

import cloudpickle

from motorpool._protocol.logs import handle_taken

if TYPE_CHECKING:
    from motorpool._protocol.failure import Failure
    from motorpool._store import Payload, StoreClient

# Of an envelope of more nodes, a worker publishes so many outcomes at a time; that takes it about
# so long (s).
MANY, OFTEN = 128, 0.003


class Item(NamedTuple):
    """One try of a node, to be sent to a worker.

    Attributes:
        node: Which one.
        ticket: No other try of any node has the same.
        attempt: Which try it is, from 1; one that was lost does not count.
        holds: Whether a failure may stop the run: then the worker itself sees to it that nothing
            is started until `go_on`.
        needs: Nodes before it in the same envelope that it waits for.
    """

    node: int
    ticket: int
    attempt: int
    holds: bool
    needs: tuple[int, ...]


class Load(NamedTuple):
    """One try of a node, as it travels.

    Attributes:
        node: Which one.
        ticket: No other try of any node has the same.
        attempt: Which try it is, from 1.
        holds: Whether a failure may stop the run.
        inputs: Its in-memory inputs that are in the store, or small.
        handed: The outputs that only the next node of this envelope reads.
        follows: Whether the node before it in this envelope is all that it waits for, and is
            waited for by nothing else.
        needs: Nodes before it in this envelope that it waits for.
    """

    node: int
    ticket: int
    attempt: int
    holds: bool
    inputs: dict[str, Payload]
    handed: tuple[str, ...]
    follows: bool
    needs: tuple[int, ...]


class Outcome(NamedTuple):
    """What became of one try of a node; a plain tuple on the wire.

    Attributes:
        node: Index of the node.
        ticket: Which try of which node this is.
        ran: False if the run was stopping and the node was not started.
        pid: The worker.
        started: Seconds since the epoch.
        seconds: How long it took.
        outputs: In-memory outputs by name; empty where driver and worker share the catalog.
        failure: Why it failed, or None: packed, or the exception itself within one process.
        peak_memory: The worker's peak so far, in bytes.
        kept: Where outputs are kept for a resumed run, by name.
        times: Of `seconds`, what it took to import the function, to load, to call, to save.
        about: What the outputs are that the caller of the run will get, in a few words, by name.
    """

    node: int
    ticket: int
    ran: bool
    pid: int
    started: float
    seconds: float
    outputs: dict[str, Payload]
    failure: Failure | BaseException | None
    peak_memory: int
    kept: dict[str, str] = {}  # noqa: RUF012, never changed
    times: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    about: dict[str, str] = {}  # noqa: RUF012, never changed


def owner_tag(token: str, node: int, *, handed: bool = False) -> str:
    """What the values of a node are marked with, until an outcome names them."""
    return f"{token}-{node}-handed-" if handed else f"{token}-{node}-"


def envelope_head(client: StoreClient, plan: Payload, key: bytes) -> bytes:
    """What leads a worker to a run: how to read values, where the plan is, and its key."""
    head: bytes = cloudpickle.dumps((client, plan, key))
    return head


def rows_of(result: bytes) -> list[tuple[Any, ...]]:
    """Outcomes as a worker has packed them; what it has logged behind them is handed on."""
    file = io.BytesIO(result)
    rows: list[tuple[Any, ...]] = pickle.load(file)
    handle_taken(file.read())
    return rows
