"""What the scheduler wants done; the engine does it, in this order. See `scheduler`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Release(NamedTuple):
    """No task needs these datasets any more."""

    names: Sequence[str]


class Abandon(NamedTuple):
    """A try of a task was lost: give up what it has left in the store.

    With `handed`, the task itself has an outcome, and only what it handed to the next one is lost.
    """

    node: int
    handed: bool = False


class TryFailed(NamedTuple):
    """A try of a task has failed; it is tried again, or not."""

    node: int
    attempt: int
    error: BaseException
    retried: bool


class Skipped(NamedTuple):
    """A task will not run."""

    node: int
    reason: str


class WorkerLost(NamedTuple):
    """A worker died: in the task `culprit`, if that is known; others run again, at no charge."""

    pid: int | None
    culprit: int | None
    again: Sequence[int]
    starved: bool = False


class RunAlone(NamedTuple):
    """A task ran out of memory with others beside it, and is run with none."""

    node: int


class ReduceConcurrency(NamedTuple):
    """A task had enough memory alone: so many run at a time from here on."""

    lane: int
    node: int
    limit: int


class StopWorkers(NamedTuple):
    """Workers start nothing more, and what waits for them is cancelled."""

    lane: int
    kill: bool


class ResumeWorkers(NamedTuple):
    """Workers start tasks again, for the failure that kept them is known and does not count."""

    lane: int


class KillWorker(NamedTuple):
    """The task that a worker is at has run out of time."""

    lane: int
    pid: int


Action = (
    Release | Abandon | TryFailed | Skipped | WorkerLost | RunAlone | ReduceConcurrency
    | StopWorkers | ResumeWorkers | KillWorker
)  # fmt: skip
