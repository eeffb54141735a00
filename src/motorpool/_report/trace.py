"""A run as Trace Event JSON, which Perfetto and chrome://tracing open.

Source: Trace Event Format, Google, 2016 (the document that chrome://tracing links to).
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right as bisect
from json.encoder import encode_basestring_ascii as quoted
from typing import IO, TYPE_CHECKING, Any

from motorpool._engine.timeline import Timeline
from motorpool._protocol.failure import summary_of
from motorpool._report.bars import Bar, lanes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from motorpool._report.recording import Recording

# Parts of a node that takes less than this (s) are left out: they would be too thin to be seen.
_DETAIL = 1e-4
# Points of a counter over the whole run.
_POINTS = 1000
_Row = tuple[str, float, tuple[int, float, float, float, float, float, float, int]]
_PARTS = ("import", "load", "call", "save")


def write_trace(file: IO[str], run: Recording) -> None:
    """Write a run that is over: a track for each worker, and one for the driver.

    Nodes are slices on their worker's track, with importing, loading, the call and saving within;
    failed tries and lost workers are instants; memory of all processes, and numbers of nodes that
    are running and that could, are counters. Times are in microseconds since the run began.
    """
    finished = run.finished
    if finished is None:
        return
    began = run.began
    wall = finished.time - began
    rows = _rows(finished.summary.nodes)
    about = {"run_id": finished.run_id, "backend": finished.summary.backend, "began": began}
    file.write('{"displayTimeUnit":"ms","otherData":' + json.dumps(about) + ',"traceEvents":[\n')
    events = [*_tracks(rows, wall), *_instants(run, began), *_counters(rows, run, wall, began)]
    file.write(",\n".join([*map(json.dumps, events), *_slices(rows, began)]))
    file.write("\n]}\n")
    file.flush()


def _rows(nodes: Any) -> list[_Row]:
    """What is known of the nodes, as a `Timeline` has it."""
    return nodes.rows() if isinstance(nodes, Timeline) else []


def _slices(rows: Sequence[_Row], began: float) -> list[str]:
    """Nodes, as text: there may be 100,000, so that each step of this counts."""
    me, found = os.getpid(), []
    threads = iter(_threads(rows, began, me))
    workers = {row[0] for _, _, row in rows}
    tracks = {pid: f'"pid":{pid},"tid":{pid}' for pid in workers}
    for name, since, row in rows:
        worker, started, seconds = row[:3]
        begin = (started - began) * 1e6
        ts = int(begin)
        track = tracks[worker] if worker != me else f'"pid":{me},"tid":{next(threads)}'
        end = int(begin + seconds * 1e6)
        text = f'{{"ph":"X","cat":"node","name":{quoted(name)},{track},"ts":{ts},"dur":{end - ts}'
        if seconds < _DETAIL:
            found.append(text + "}")
            continue
        wait = int(max(0.0, started - since) * 1e6)
        found.append(f'{text},"args":{{"waited us":{wait},"bytes":{row[7]}}}}}')
        found += _parts(begin, end, row[3:7], track)
    return found


def _threads(rows: Sequence[_Row], began: float, pid: int) -> list[int]:
    """Of the nodes of one process, the thread that each ran in, from 1; no two overlap there."""
    found = []
    for name, _, row in rows:
        if row[0] == pid:
            ts = int((row[1] - began) * 1e6)
            end = int((row[1] - began) * 1e6 + row[2] * 1e6)
            found.append(Bar(name, pid, ts, end - ts))
    return [lane + 1 for lane in lanes(found)]


def _parts(begin: float, end: int, parts: Sequence[float], track: str) -> Iterator[str]:
    """What a node's time (us) went into, one after the other, and not beyond its end."""
    for part, seconds in zip(_PARTS, parts, strict=True):
        ts = int(begin)
        begin += seconds * 1e6
        if seconds >= _DETAIL / 10:
            length = min(int(begin), end) - ts
            yield f'{{"ph":"X","cat":"{part}","name":"{part}",{track},"ts":{ts},"dur":{length}}}'


def _tracks(rows: Sequence[_Row], wall: float) -> Iterator[dict[str, Any]]:
    """Names of processes, the driver first; and the run itself."""
    me = os.getpid()
    yield _named("process_name", me, name="driver")
    yield _named("process_sort_index", me, sort_index=0)
    yield {
        "ph": "X",
        "cat": "run",
        "name": "run",
        "pid": me,
        "tid": 0,
        "ts": 0,
        "dur": round(wall * 1e6, 1),
    }
    workers = dict.fromkeys([row[0] for _, _, row in rows])
    for index, pid in enumerate((pid for pid in workers if pid != me), 1):
        yield _named("process_name", pid, name=f"worker {index}")
        yield _named("process_sort_index", pid, sort_index=index)


def _named(kind: str, pid: int, **values: Any) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": 0, "args": values}


def _instants(run: Recording, began: float) -> Iterator[dict[str, Any]]:
    """Tries that have failed, and workers that were lost."""
    me = os.getpid()
    for failure in run.failures:
        then = "trying again" if failure.retried else "giving up"
        yield {
            "ph": "i", "s": "g", "cat": "failure", "pid": me, "tid": 0,
            "name": f"{failure.node} failed, {then}", "ts": (failure.time - began) * 1e6,
            "args": {"attempt": failure.attempt, "error": summary_of(failure.error)},
        }  # fmt: skip
    for loss in run.losses:
        yield {
            "ph": "i", "s": "g", "cat": "crash", "pid": loss.worker or me, "tid": loss.worker or 0,
            "name": f"worker lost in {loss.node}" if loss.node else "worker lost",
            "ts": (loss.time - began) * 1e6,
            "args": {"run again": list(loss.innocent), "out of memory": loss.out_of_memory},
        }  # fmt: skip


def _counters(
    rows: Sequence[_Row], run: Recording, wall: float, began: float
) -> Iterator[dict[str, Any]]:
    me = os.getpid()
    for at, nbytes in run.memory:
        yield _counter(me, "memory (MiB)", at - began, round(nbytes / 2**20, 1))
    ready = [since for _, since, _ in rows]
    begins = sorted([row[1] for _, _, row in rows])
    ends = sorted([row[1] + row[2] for _, _, row in rows])
    pairs = {"running nodes": (begins, ends), "ready nodes": (sorted(ready), begins)}
    for name, (ins, outs) in pairs.items():
        before = -1
        for point in range(_POINTS + 1):
            at = point * wall / _POINTS
            value = max(0, bisect(ins, began + at) - bisect(outs, began + at))
            if value != before:
                yield _counter(me, name, at, value)
            before = value


def _counter(pid: int, name: str, at: float, value: float) -> dict[str, Any]:
    args = {name: value}
    return {"ph": "C", "name": name, "pid": pid, "tid": 0, "ts": round(at * 1e6, 1), "args": args}
