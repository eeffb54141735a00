"""What earlier runs have done, as they have written it down; see `writer`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from motorpool._system.locks import try_lock
from motorpool.errors import ResumeError, unknown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_logger = logging.getLogger("motorpool")
#: What ends the name of a journal; what stands before it is what to resume the run by.
SUFFIX = ".jsonl"
# The time of a run's beginning is among the first so many characters of its journal.
_BEGINNING = 1000
#: Version of the format, and those that can be read.
VERSION = 3
_READABLE = {2, VERSION}
# Fields that are read, and what stands for them where they are not there.
_FIELDS: dict[str, Any] = {"completed": "", "kept": {}, "seconds": 0.0, "ran": [], "us": []}


@dataclass(slots=True)
class PastRun:
    """What a run has done.

    Attributes:
        run_id: The run, as its file is called.
        manifest: Its pipeline; see `RunJournal`.
        head: What was known of it at its start.
        completed: The nodes that ran, and where their in-memory outputs are kept, by name.
        alive: Whether it is still under way.
    """

    run_id: str
    manifest: list[list[Any]]
    head: dict[str, Any]
    completed: dict[str, dict[str, str]] = field(default_factory=dict)
    alive: bool = False


def find_run(folder: Path | None, wanted: str | None, manifest: list[list[Any]]) -> PastRun:
    """The run to resume.

    Args:
        folder: Folder of all runs.
        wanted: Its id, or None for the latest of this pipeline.
        manifest: The pipeline that is to be resumed.

    Raises:
        ResumeError: If there is none, it is still alive, or its pipeline is another one.
    """
    ids = run_ids(folder) if folder is not None else []
    if folder is None or not ids:
        raise ResumeError(
            f"There is no run to resume: no journal in {folder}. Runs that were complete within "
            "50 ms leave none."
        )
    if wanted is None:
        run = _latest_like(folder, ids, manifest)
    elif (run_id := _id_of(folder, ids, wanted)) is not None:
        run = _read(path_of(folder, run_id))
    else:
        text = unknown_names("run", [wanted], ids[-5:])
        raise ResumeError(f"{text} Journals are in {folder}.")
    _check_same(run, manifest)
    if run.alive:
        raise ResumeError(f"The run {run.run_id!r} is still under way; wait for it, or end it.")
    return run


def _latest_like(folder: Path, ids: list[str], manifest: list[list[Any]]) -> PastRun:
    """The latest run of this pipeline, or else the latest of all; what is unreadable is none."""
    latest = None
    for run_id in reversed(ids):
        with contextlib.suppress(ResumeError):
            run = _read(path_of(folder, run_id))
            if _structure(run.manifest) == _structure(manifest):
                if latest is not None:
                    _logger.warning(
                        "The latest run, %s, was of other nodes and is passed over", latest.run_id
                    )
                return run
            latest = latest or run
    if latest is None:
        raise ResumeError(f"There is no run to resume: no journal in {folder} can be read.")
    return latest


def _id_of(folder: Path, ids: list[str], wanted: str) -> str | None:
    """The name of a run's file: this one, or that of the latest run that was given this id."""
    for run_id in reversed(ids):
        with contextlib.suppress(ResumeError):
            if _read(path_of(folder, run_id)).head.get("run_id") == wanted:
                return run_id
    return wanted if wanted in ids else None


def _check_same(run: PastRun, manifest: list[list[Any]]) -> None:
    then, now = dict(_structure(run.manifest)), dict(_structure(manifest))
    changes = [
        *(f"{name!r} is new" for name in now.keys() - then.keys()),
        *(f"{name!r} is gone" for name in then.keys() - now.keys()),
        *(
            f"{name!r} has other inputs or outputs"
            for name in now.keys() & then.keys()
            if now[name] != then[name]
        ),
    ]
    if changes:
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""  # noqa: PLR2004
        raise ResumeError(
            f"The pipeline is not the one of the run {run.run_id!r}: "
            f"{', '.join(sorted(changes)[:5])}{more}. Choose the same nodes, give "
            "renamed ones their old names, or run without resume."
        )


def _structure(manifest: Iterable[list[Any]]) -> list[tuple[str, tuple[Any, ...]]]:
    """Names, inputs and outputs, without code: who mends a node may go on after it."""
    return sorted((name, (tuple(ins), tuple(outs))) for name, ins, outs, _ in manifest)


def _read(path: Path) -> PastRun:
    try:
        text = path.read_text()
        head = json.loads(text.partition("\n")[0])
        run = PastRun(path.stem, head["pipeline"], head, alive=is_alive(path))
        _structure(run.manifest)
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ResumeError(f"The journal {path} cannot be read: {error}") from error
    if head.get("journal") not in _READABLE:
        raise ResumeError(f"The journal {path} is of another version of Motorpool.")
    for record in records(text, [row[0] for row in run.manifest]):
        if "completed" in record:
            run.completed[record["completed"]] = record.get("kept", {})
    return run


def records(text: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The records of a journal, up to a line that is none: a run was killed while it wrote it.

    Args:
        text: The journal, with its head or without.
        names: Names of the nodes of its pipeline. A line of several nodes, which has their
            positions, becomes a record for each.
    """
    name_at = dict(enumerate(names))  # a list would take a negative position
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            return
        if not isinstance(record, dict) or not all(
            isinstance(record.get(key, default), type(default)) for key, default in _FIELDS.items()
        ):
            return
        if "ran" not in record:
            yield record
            continue
        try:
            ran = zip(map(name_at.__getitem__, record["ran"]), record["us"], strict=True)
            yield from [{"completed": n, "attempt": 1, "seconds": us / 1e6} for n, us in ran]
        except (LookupError, TypeError, ValueError):
            return


def durations(path: Path, wanted: Iterable[str]) -> dict[str, tuple[str, float]]:
    """A hash of the code of each node that a run has run, and how many seconds it took.

    Args:
        path: The run's journal.
        wanted: Names of nodes; of a run that has none of them, nothing is read.
    """
    found: dict[str, tuple[str, float]] = {}
    # What can be read counts.
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
        with path.open() as file:
            pipeline = json.loads(file.readline())["pipeline"]
            code = {row[0]: row[3] for row in pipeline}
            if code.keys().isdisjoint(wanted):
                return {}
            text = file.read()
        for record in records(text, [row[0] for row in pipeline]):
            if "completed" in record and "seconds" in record:
                found[record["completed"]] = code[record["completed"]], record["seconds"]
    return found


def path_of(folder: Path, run_id: str) -> Path:
    """The journal of a run."""
    return folder / f"{run_id}{SUFFIX}"


def run_ids(folder: Path) -> list[str]:
    """All runs that have a journal, oldest first."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [n.removesuffix(SUFFIX) for n in os.listdir(folder) if n.endswith(SUFFIX)]  # noqa: PTH208, names will do
    return sorted(names, key=lambda name: (_began(path_of(folder, name)), name))


def _began(path: Path) -> float:
    """When a run has begun, in seconds since the epoch; 0 if its journal does not say."""
    with contextlib.suppress(OSError, ValueError), path.open() as file:
        found = re.search(r'"time": ([0-9.]+)', file.read(_BEGINNING))
        return float(found[1]) if found else 0.0
    return 0.0


def is_alive(path: Path) -> bool:
    """Whether a run is still under way.

    Args:
        path: Its journal.
    """
    with path.open("r+") as file:
        return not try_lock(file.fileno(), shared=True)
