"""What happens in a run: frozen records, and the observers that get them.

An observer is any object with a method `on_event(event)`. It is called in the driver, on the
thread that drives the run, in the order in which things happened. An observer that raises is
reported once in the log and then left out; it never breaks a run.

An observer may have an attribute `wants`, some classes of events: it gets no others, and
what no observer wants is not made. At 100,000 short nodes that is a tenth of the time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from motorpool._summary import NodeSummary, RunSummary

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DatasetReleased",
    "Event",
    "NodeCompleted",
    "NodeFailed",
    "NodeSkipped",
    "NodeSubmitted",
    "NodeSummary",
    "Observer",
    "RunFinished",
    "RunProgressed",
    "RunStarted",
    "RunSummary",
    "WorkerLost",
]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run.

    Attributes:
        run_id: The run it belongs to.
        time: When it was noticed by the driver, in seconds since the epoch.
    """

    run_id: str
    time: float = field(default_factory=time)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """All checks have passed and the first node is about to be submitted.

    Attributes:
        nodes: Number of nodes that will run.
        backend: Name of the backend.
        max_workers: Number of workers that may run at a time.
    """

    nodes: int
    backend: str
    max_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgressed(Event):
    """How far a run is: at most ten times a second, for observers that name it in `wants`.

    Attributes:
        finished: Number of nodes that have run, failed or been skipped.
        running: Names of some nodes that are running, those that have done so for longest first;
            where that is not known, as on other hosts, of some that were sent there.
        completed: Number of nodes that have run.
        failed: Number of nodes that have failed for good.
        seconds: For how long each of `running` has run; None where that is not known.
    """

    finished: int
    running: tuple[str, ...]
    completed: int = 0
    failed: int = 0
    seconds: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSubmitted(Event):
    """A node was handed to the executor; it starts as soon as a worker is free.

    Sent once for each try. One that came back unstarted, or was lost with a worker through no
    fault of the node, is not another try.

    Attributes:
        node: Name of the node.
        attempt: 1 for the first try, 2 for the first retry, and so on.
    """

    node: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCompleted(Event):
    """A node has run and its outputs are registered.

    Attributes:
        node: Name of the node.
        attempt: Which try it was, from 1.
        worker: Process id of the worker.
        started: When it started in the worker, in seconds since the epoch.
        seconds: How long it took there, all in all.
        nbytes: Size of its in-memory outputs, in bytes; what only nodes of its own unit read, and
            never left the worker, counts nothing.
        imports: Of these seconds, those to unpickle its function, with all that this imports.
        load: Those to load its inputs.
        call: Those in its function.
        save: Those to save its outputs.
        wait: Seconds from when it could have run until it did; see `NodeSummary`.
    """

    node: str
    attempt: int
    worker: int
    started: float
    seconds: float
    nbytes: int
    imports: float = 0.0
    load: float = 0.0
    call: float = 0.0
    save: float = 0.0
    wait: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailed(Event):
    """A try of a node has failed.

    Attributes:
        node: Name of the node.
        attempt: Which try it was, from 1.
        error: The exception.
        retried: Whether the node is tried again.
    """

    node: str
    attempt: int
    error: BaseException
    retried: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSkipped(Event):
    """A node will not run.

    Attributes:
        node: Name of the node.
        reason: Why not, in words.
    """

    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost(Event):
    """A worker died while nodes were with it.

    Attributes:
        worker: Process id, if known.
        node: Name of the node that it died in, if known.
        innocent: Names of the nodes that are rerun at no charge.
        out_of_memory: Whether the kernel ended it for want of memory.
    """

    worker: int | None
    node: str | None
    innocent: tuple[str, ...]
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReleased(Event):
    """The last node that needed a dataset has finished, and its memory is given back.

    Values that never left a worker, for only nodes of the same unit read them, have none.

    Attributes:
        dataset: Name of the dataset.
    """

    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The run is over, whether well or not.

    Attributes:
        summary: What it came to.
        resume_from: Names of the nodes to start from, to run what has not run; empty after a
            complete run.
    """

    summary: RunSummary
    resume_from: tuple[str, ...]


@runtime_checkable
class Observer(Protocol):
    """Gets the events of a run."""

    def on_event(self, event: Event) -> None:
        """Take note of an event; called on the driver, so keep it short."""


class Dispatcher:
    """Calls each observer with each event; an error of one ends neither the run nor the others.

    Args:
        observers: Who may want to know.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)
        self._listeners: dict[type[Event], list[Observer]] = {}

    def wants(self, kind: type[Event]) -> bool:
        """Whether an observer wants such events."""
        return bool(self._who_wants(kind))

    def _who_wants(self, kind: type[Event]) -> list[Observer]:
        found = self._listeners.get(kind)
        if found is None:
            found = [o for o in self._observers if _wants(o, kind)]
            self._listeners[kind] = found
        return found

    def __call__(self, event: Event) -> None:
        for observer in list(self._who_wants(type(event))):
            try:
                observer.on_event(event)
            except Exception:
                self._observers.remove(observer)
                self._listeners.clear()
                _logger.exception(
                    "Observer %r raised on %s and is left out of the rest of the run",
                    observer,
                    type(event).__name__,
                )


def _wants(observer: Observer, kind: type[Event]) -> bool:
    wanted = getattr(observer, "wants", None)
    return kind is not RunProgressed if wanted is None else kind in wanted
