"""What a run came to, for programs and for people."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from motorpool._wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

# Names in a line: more are only counted.
_MOST_NAMES = 10
_MOST_SLOW = 3
_MOST_PATH = 6
# Seconds that are worth a word.
_LEAST = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSummary:
    """What the last try of a node came to.

    Attributes:
        node: Name of the node.
        worker: Process id of the worker.
        started: When it started in the worker, in seconds since the epoch.
        seconds: How long it took there, all in all.
        imports: Of these seconds, those to unpickle its function, with all that this imports.
        load: Those to load its inputs.
        call: Those in its function.
        save: Those to save its outputs.
        wait: Seconds from the end of the last node that it needed, or the start of the run, until
            it started: for a worker to be free or to start, on its way, and in earlier tries.
        nbytes: Size of its in-memory outputs, in bytes, as far as they left the worker.
    """

    node: str
    worker: int
    started: float
    seconds: float
    imports: float
    load: float
    call: float
    save: float
    wait: float
    nbytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run came to.

    Attributes:
        run_id: The run.
        backend: Name of the backend.
        max_workers: Number of workers that could run at a time.
        completed: Number of nodes that ran.
        failed: Names of the nodes that failed.
        skipped: Number of nodes that did not run.
        wall_time: Seconds from the first check to the last outcome.
        node_time: Seconds spent in nodes, summed over workers, loading and saving included.
        peak_memory: Bytes; the sum of each process's own peak, so an upper bound.
        journal: File of the run's journal, whose name without the suffix is what to resume it by;
            None if there is none.
        call_time: Seconds spent in the nodes' functions, of `node_time`.
        nodes: Each node that has run, in topological order.
    """

    run_id: str
    backend: str
    max_workers: int
    completed: int
    failed: tuple[str, ...]
    skipped: int
    wall_time: float
    node_time: float
    peak_memory: int
    journal: str | None = None
    call_time: float = 0.0
    nodes: Sequence[NodeSummary] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        """The table that the command line shows."""
        return "\n".join(f"{name:<13}  {text}" for name, text in self.rows())

    def rows(self, skipped: Mapping[str, Sequence[str]] | None = None) -> list[tuple[str, str]]:
        """The lines of that table: what a figure is, and its text.

        Args:
            skipped: Names of the nodes that were skipped, by reason.
        """
        total = self.completed + len(self.failed) + self.skipped
        done = f"{self.completed} of {total} completed" if total else "nothing to do"
        found = [("node" if total == 1 else "nodes", done)]
        if self.failed:
            found.append(("failed", _listed(self.failed)))
        for reason, names in (skipped or {}).items():
            found.append(("skipped", f"{_listed(names)}: {reason}"))
        if self.skipped and not skipped:
            found.append(("skipped", f"{self.skipped}"))
        if total:
            workers = "1 worker" if self.max_workers == 1 else f"{self.max_workers} workers"
            found.append(("backend", f"{self.backend}, {workers}"))
            found.append(("wall time", _seconds(self.wall_time)))
            found += self._times() if self.completed else []
            memory = f"{self.peak_memory / 2**20:.0f} MiB at most, all processes"
            found.append(("peak memory", memory))
        return found

    def _times(self) -> list[tuple[str, str]]:
        nodes = list(self.nodes)
        parts = {
            "in functions": self.call_time, "loading": sum(n.load for n in nodes),
            "saving": sum(n.save for n in nodes), "importing": sum(n.imports for n in nodes),
        }  # fmt: skip
        shown = [f"{_seconds(value)} {name}" for name, value in parts.items() if value >= _LEAST]
        times = ": ".join(filter(None, [_seconds(self.node_time), ", ".join(shown)]))
        found = [("time in nodes", times)]
        slowest = heapq.nlargest(_MOST_SLOW, nodes, key=lambda n: n.seconds)
        if len(nodes) > 1:
            each = ", ".join(f"{n.node} {_seconds(n.seconds)}" for n in slowest)
            found.append(("slowest", each))
            found.append(("critical path", self._path(nodes)))
        if nodes:
            longest = max(nodes, key=lambda n: n.wait)
            busy = self.node_time / (self.wall_time * self.max_workers) if self.wall_time else 0.0
            text = f"{_seconds(longest.wait)} at most, {longest.node}; workers were busy for "
            found.append(("waiting", text + f"{min(busy, 1.0):.0%} of the time"))
        found.append(("speed-up", f"{self.speedup:.2f} x: time in functions over wall time"))
        return found

    def _path(self, nodes: Sequence[NodeSummary]) -> str:
        seconds = {n.node: n.seconds for n in nodes}
        path = self.critical_path
        names = path if len(path) <= _MOST_PATH else [path[0], "...", *path[1 - _MOST_PATH :]]
        text = f"{_seconds(sum(seconds[name] for name in path))}: {' > '.join(names)}"
        return text if names == path else f"{text}, {counted(len(path), 'node')}"

    def as_dict(self, *, nodes: bool = True) -> dict[str, Any]:
        """All that is known, as plain values; for JSON.

        Args:
            nodes: Whether to include each node.
        """
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "nodes"}
        found |= {"failed": list(self.failed), "speedup": self.speedup}
        found["critical_path"] = self.critical_path
        return found | ({"nodes": [asdict(each) for each in self.nodes]} if nodes else {})

    @property
    def speedup(self) -> float:
        """Time of all calls over wall time.

        That is how many times faster the run was than the functions called one after the other in
        one process, with nothing to load, to save, to import or to start.
        """
        return self.call_time / self.wall_time if self.wall_time else 0.0

    @property
    def critical_path(self) -> list[str]:
        """Names of the nodes of the chain that took the longest: no number of workers beats it."""
        path = getattr(self.nodes, "critical_path", None)
        return path() if path is not None else []


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.1f} ms"  # noqa: PLR2004, as read
