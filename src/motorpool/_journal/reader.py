"""What earlier runs have done, as they have written it down; see `writer`."""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from motorpool._system.locks import try_lock
from motorpool.errors import ResumeError, unknown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_logger = logging.getLogger("motorpool")
JOURNAL, PIPELINE, LOCK = "journal.jsonl", "pipeline.json", "lock"
#: Version of the format.
VERSION = 1
# Fields that are read, and what stands for them where they are not there.
_FIELDS: dict[str, Any] = {"completed": "", "kept": {}, "seconds": 0.0}


@dataclass(slots=True)
class PastRun:
    """What a run has done.

    Attributes:
        run_id: The run, as its folder is called.
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
        raise ResumeError(f"There is no run to resume: no journal in {folder}.")
    if wanted is None:
        run = _latest_like(folder, ids, manifest)
    elif (run_id := _id_of(folder, ids, wanted)) is not None:
        run = _read(folder / run_id)
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
            run = _read(folder / run_id)
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
    """The folder of a run: by its own name, or of the latest run that was given this id."""
    for run_id in reversed(ids):
        with contextlib.suppress(ResumeError):
            if _read(folder / run_id).head.get("run_id") == wanted:
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


def _read(folder: Path) -> PastRun:
    try:
        run = PastRun(folder.name, json.loads((folder / PIPELINE).read_text()), {})
        text = (folder / JOURNAL).read_text()
        run.alive = is_alive(folder)
        _structure(run.manifest)
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ResumeError(f"The journal in {folder} cannot be read: {error}") from error
    for record in records(text):
        if "journal" in record:
            run.head = record
        elif "completed" in record:
            run.completed[record["completed"]] = record.get("kept", {})
    if run.head.get("journal") != VERSION:
        raise ResumeError(f"The journal in {folder} is of another version of Motorpool.")
    return run


def records(text: str) -> Iterator[dict[str, Any]]:
    """The records of a journal, up to a line that is none: a run was killed while it wrote it."""
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            return
        if not isinstance(record, dict) or not all(
            isinstance(record.get(key, default), type(default)) for key, default in _FIELDS.items()
        ):
            return
        yield record


def durations(folder: Path, wanted: Iterable[str]) -> dict[str, tuple[str, float]]:
    """A hash of the code of each node that a run has run, and how many seconds it took.

    Args:
        folder: The run's.
        wanted: Names of nodes; of a run that has none of them, nothing is read.
    """
    found: dict[str, tuple[str, float]] = {}
    # What can be read counts.
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
        code = {row[0]: row[3] for row in json.loads((folder / PIPELINE).read_text())}
        if code.keys().isdisjoint(wanted):
            return {}
        for record in records((folder / JOURNAL).read_text()):
            if "completed" in record and "seconds" in record:
                found[record["completed"]] = code[record["completed"]], record["seconds"]
    return found


def run_ids(folder: Path) -> list[str]:
    """All runs that have a journal, oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if not entry.name.startswith(".") and (entry / JOURNAL).is_file():
                with contextlib.suppress(OSError):
                    found.append(((entry / LOCK).stat().st_mtime_ns, entry.name))
    return [name for _, name in sorted(found)]


def is_alive(folder: Path) -> bool:
    """Whether a run is still under way."""
    with (folder / LOCK).open("r+") as file:
        return not try_lock(file.fileno(), shared=True)
