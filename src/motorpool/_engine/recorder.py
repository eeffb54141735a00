"""What the engine notices, as events for observers and as figures for the summary."""

from __future__ import annotations

import logging
import os
import time
from array import array
from typing import TYPE_CHECKING

from motorpool._journal.writer import BEGIN_AFTER
from motorpool._system import process
from motorpool.events import (
    DatasetReleased,
    NodeCompleted,
    NodeFailed,
    NodeSkipped,
    NodeSubmitted,
    RunProgressed,
    WorkerLost,
)

_logger = logging.getLogger("motorpool")
# How often (s) to say how far a run is; the eye sees no more.
_INTERVAL = 0.1

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motorpool._engine.timeline import Timeline
    from motorpool._journal.writer import RunJournal
    from motorpool._protocol.messages import Order, UnitResult
    from motorpool.events import Dispatcher


class Meter:
    """Adds up the measurements of units.

    Args:
        timeline: When each node has run; filled here.
        count: Number of nodes.

    Attributes:
        node_time: Seconds spent in nodes.
        call_time: Seconds spent in their functions.
        seconds: For each node what it took when it last ran; -1 if it has not.
        timeline: The same.
    """

    def __init__(self, timeline: Timeline, count: int) -> None:
        self.node_time = self.call_time = 0.0
        self.timeline = timeline
        self.seconds = array("d", [-1.0]) * count
        self._peaks: dict[int, int] = {}

    def add(self, result: UnitResult) -> None:
        """Take what has come of a unit into account."""
        took = sum(result.seconds)
        self.node_time += took
        for node, seconds in zip(result.nodes, result.seconds, strict=True):
            self.seconds[node] = seconds
        called = sum(times[2] for times in result.times.values())
        measured = sum(map(self.seconds.__getitem__, result.times))
        self.call_time += took - measured + called
        self.timeline.add(result)
        self._peaks[result.pid] = max(self._peaks.get(result.pid, 0), result.peak_memory)

    @property
    def peak_memory(self) -> int:
        """Sum of each process's own peak, in bytes."""
        return sum((self._peaks | {os.getpid(): process.peak_memory()}).values())


class Reporter:
    """Sends the events of a run's nodes to observers; builds none if there is no observer.

    Args:
        emit: Calls them.
        run_id: The run.
        names: Names of the nodes, by index.
        journal: Where outcomes are written down, or None.
        speaks: Whether to log that a node has failed for good.
    """

    def __init__(
        self, emit: Dispatcher, run_id: str, names: Sequence[str], journal: RunJournal | None,
        *, speaks: bool,
    ) -> None:  # fmt: skip
        self._emit = emit
        self._journal = journal
        self._speaks = speaks
        self._run_id = run_id
        self._names = names
        self._last_progress = 0.0
        self._submitted = [0] * len(names)

    def submitted(self, order: Order) -> None:
        """Nodes were handed to the executor; sent once a try, however often that is lost."""
        if not self._emit.wants(NodeSubmitted):
            return
        for node in order.nodes:
            attempt = order.attempts.get(node, 1)
            if attempt > self._submitted[node]:
                self._submitted[node], name = attempt, self._names[node]
                self._emit(NodeSubmitted(run_id=self._run_id, node=name, attempt=attempt))

    def completed(
        self, result: UnitResult, attempts: Mapping[int, int], timeline: Timeline
    ) -> None:
        """Nodes have run.

        Args:
            result: What has come of them; those that have failed are passed over.
            attempts: Which try it was, of those that were not tried for the first time.
            timeline: The result was the last that was added.
        """
        if self._journal is not None:
            self._write_down(self._journal, result, attempts)
        if not self._emit.wants(NodeCompleted):
            return
        for node, started, seconds, times, wait, nbytes in timeline.completions(result):
            imports, load, call, save = times
            self._emit(
                NodeCompleted(
                    run_id=self._run_id, node=self._names[node], attempt=attempts.get(node, 1),
                    worker=result.pid, started=started, seconds=seconds, imports=imports,
                    load=load, call=call, save=save, wait=wait, nbytes=nbytes,
                )
            )  # fmt: skip

    def _write_down(
        self, journal: RunJournal, result: UnitResult, attempts: Mapping[int, int]
    ) -> None:
        names, kept = self._names, result.kept
        if not (result.failures or attempts or kept):
            journal.ran([names[node] for node in result.nodes], result.seconds)
            return
        for node, seconds in zip(result.nodes, result.seconds, strict=True):
            if node not in result.failures:
                journal.completed(
                    names[node], attempt=attempts.get(node, 1), seconds=seconds,
                    kept=kept.get(node, {}),
                )  # fmt: skip

    def failed(self, node: int, attempt: int, error: BaseException, *, retried: bool) -> None:
        """A try of a node has failed."""
        if self._speaks or retried:
            then = "trying again" if retried else "giving up"
            _logger.warning("Node %s failed, attempt %d, %s", self._names[node], attempt, then)
        if self._journal is not None:
            self._journal.failed(self._names[node], attempt=attempt, error=error, retried=retried)
        if self._emit.wants(NodeFailed):
            self._emit(
                NodeFailed(
                    run_id=self._run_id,
                    node=self._names[node],
                    attempt=attempt,
                    error=error,
                    retried=retried,
                )
            )

    def progress_due(self) -> float | None:
        """Seconds until it is time to say how far the run is; None if no observer asks."""
        if not self._emit.wants(RunProgressed):
            return None
        return max(0.0, self._last_progress + _INTERVAL - time.monotonic())

    def progress(
        self, counts: tuple[int, int, int], running: Iterable[tuple[int, float | None]]
    ) -> None:
        """Say how far the run is.

        Args:
            counts: Number of nodes that are through, that have run, and that have failed.
            running: Some that run, and since when (s, of `time.monotonic`), if known.
        """
        now = self._last_progress = time.monotonic()
        finished, completed, failed = counts
        known = sorted(running, key=lambda item: now if item[1] is None else item[1])
        self._emit(
            RunProgressed(
                run_id=self._run_id, finished=finished, completed=completed, failed=failed,
                running=tuple(self._names[node] for node, _ in known),
                seconds=tuple(None if since is None else now - since for _, since in known),
            )
        )  # fmt: skip

    def before_blocking(
        self, counts: tuple[int, int, int], node: int, seconds: float | None
    ) -> None:
        """Nodes will run in this very thread, in which nothing can be said or written meanwhile.

        Args:
            counts: As for `progress`.
            node: The first of them.
            seconds: How long they will take, if that is known.
        """
        if self.progress_due() is not None:
            self.progress(counts, [(node, time.monotonic())])
        if self._journal is not None and (seconds is None or seconds > BEGIN_AFTER):
            self._journal.begin()
            self._journal.flush()

    def journal_due(self) -> float | None:
        """Seconds until there is something to write to the journal, if there is."""
        return None if self._journal is None else self._journal.pause()

    def flush(self) -> None:
        """Hand what is written down to the system, now and then."""
        if self._journal is not None:
            self._journal.flush(at_once=False)

    def skipped(self, node: int, reason: str) -> None:
        """A node will not run."""
        if self._emit.wants(NodeSkipped):
            self._emit(NodeSkipped(run_id=self._run_id, node=self._names[node], reason=reason))

    def lost(
        self, pid: int | None, culprit: int | None, innocent: Sequence[int], *, starved: bool
    ) -> None:
        """A worker died."""
        if culprit is not None:
            _logger.warning("Lost worker %s in node %s", pid or "(unknown)", self._names[culprit])
        else:
            again = ", ".join(self._names[node] for node in innocent)
            _logger.warning("Lost a worker; to be run again at no charge: %s", again)
        if self._emit.wants(WorkerLost):
            self._emit(
                WorkerLost(
                    run_id=self._run_id,
                    worker=pid,
                    node=None if culprit is None else self._names[culprit],
                    innocent=tuple(self._names[node] for node in innocent),
                    out_of_memory=starved,
                )
            )

    def released(self, datasets: Sequence[str]) -> None:
        """The memory of datasets was given back."""
        if self._emit.wants(DatasetReleased):
            for name in datasets:
                self._emit(DatasetReleased(run_id=self._run_id, dataset=name))
