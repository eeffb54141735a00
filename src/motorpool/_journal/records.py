"""What journals say of earlier runs, for people to look at."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from motorpool._journal.reader import is_alive, path_of, records, run_ids

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class NodeRecord:
    """What became of a node.

    Attributes:
        node: Its name.
        outcome: "done", "failed" or "not run"; "done before" in a run that this one resumed.
        seconds: How long it took, if it ran.
        attempts: Number of tries.
        error: Type and text of the last failure.
    """

    node: str
    outcome: str = "not run"
    seconds: float | None = None
    attempts: int = 0
    error: str = ""


@dataclass(slots=True)
class RunRecord:
    """What became of a run.

    Attributes:
        run_id: What to resume it by.
        started: Seconds since the epoch; None if the journal does not say.
        seconds: How long it took; None if it is not over, or was killed.
        backend: Name of the backend.
        outcome: "complete", "failed", "stopped", "running", "killed", or "unreadable".
        nodes: What became of each node, in topological order.
        checkpoint: Folder with in-memory values of the run, or None.
    """

    run_id: str
    started: float | None = None
    seconds: float | None = None
    backend: str = ""
    outcome: str = "unreadable"
    nodes: list[NodeRecord] = field(default_factory=list)
    checkpoint: str | None = None

    @property
    def done(self) -> int:
        """Number of nodes that have run, in this run or in one that it resumed."""
        return sum(node.outcome.startswith("done") for node in self.nodes)

    @property
    def failed(self) -> list[str]:
        """Names of the nodes that have failed."""
        return [node.node for node in self.nodes if node.outcome == "failed"]


def list_runs(folder: Path) -> list[RunRecord]:
    """All runs that have a journal, oldest first."""
    return [read_run(path_of(folder, run_id)) for run_id in run_ids(folder)]


def read_run(path: Path) -> RunRecord:
    """A run, as far as its journal can be read.

    Args:
        path: The journal.
    """
    run = RunRecord(path.stem)
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
        text = path.read_text()
        names = [row[0] for row in json.loads(text.partition("\n")[0])["pipeline"]]
        nodes = {name: NodeRecord(name) for name in names}
        over = False
        for record in records(text, names):
            over = over or "finished" in record
            _take(run, nodes, record)
        run.nodes = list(nodes.values())
        run.outcome = _outcome(run, over=over, alive=is_alive(path))
    return run


def _take(run: RunRecord, nodes: dict[str, NodeRecord], record: dict[str, Any]) -> None:
    if "journal" in record:
        run.started, run.backend = record.get("time"), record.get("backend", "")
        run.checkpoint = record.get("checkpoint")
    elif "completed" in record and record["completed"] in nodes:
        node = nodes[record["completed"]]
        node.outcome = "done before" if "in" in record else "done"
        node.seconds, node.attempts = record.get("seconds"), record.get("attempt", 0)
    elif "failed" in record and record["failed"] in nodes:
        node = nodes[record["failed"]]
        node.outcome = "not run" if record.get("retried") else "failed"
        node.attempts, node.error = record.get("attempt", 0), record.get("error", "")
    elif "finished" in record:
        run.seconds = record["finished"].get("wall_time")


def _outcome(run: RunRecord, *, over: bool, alive: bool) -> str:
    if alive:
        return "running"
    if not over:
        return "killed"
    if run.failed:
        return "failed"
    return "complete" if run.done == len(run.nodes) else "stopped"
