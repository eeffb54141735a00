"""What each run has done, on disk, so that another can go on where it ended.

    .motorpool/runs/RUN_ID/pipeline.json    each node: name, inputs, outputs, a hash of its code
                           journal.jsonl    a head, then a line for each outcome
                           lock             made when the run began

The lock is held for as long as its run lives. Lines go to the system once for each round of
the engine, so a driver that is killed loses the last few at most; what they told of is run again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from motorpool._store import try_lock
from motorpool._suggest import unknown_names
from motorpool.errors import ResumeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_JOURNAL, _PIPELINE, _LOCK = "journal.jsonl", "pipeline.json", "lock"
_VERSION = 1
# Older ones are removed when a run begins: a loop of runs must not fill a disk.
_MOST_RUNS = 100


class RunJournal:
    """Writes what a run does.

    Args:
        folder: Folder of all runs.
        run_id: The run.
        shape: For each node its name, inputs, outputs and a hash of its code.
        head: What else to know of the run.

    Raises:
        OSError: If it cannot be written.
    """

    def __init__(
        self, folder: Path, run_id: str, shape: list[list[Any]], head: Mapping[str, Any]
    ) -> None:
        _make_runs_folder(folder)
        self.folder = _new_folder(folder, run_id)
        (self.folder / _PIPELINE).write_text(json.dumps(shape))
        self._lock = (self.folder / _LOCK).open("x")
        try_lock(self._lock.fileno())
        self._file: IO[str] = (self.folder / _JOURNAL).open("x")
        self._dirty = False
        self._write({"journal": _VERSION, "run_id": run_id, "time": time.time(), **head})
        self.flush()

    @property
    def run_id(self) -> str:
        """What to resume the run by."""
        return self.folder.name

    def completed(
        self, node: str, *, attempt: int, seconds: float, kept: Mapping[str, str]
    ) -> None:
        """A node has run; `kept` says where its in-memory outputs are, by name."""
        line = {"completed": node, "attempt": attempt, "seconds": round(seconds, 6)}
        self._write({**line, "kept": kept} if kept else line)

    def failed(self, node: str, *, attempt: int, error: BaseException, retried: bool) -> None:
        """A try of a node has failed."""
        text = f"{type(error).__name__}: {error}"[:1000]
        self._write({"failed": node, "attempt": attempt, "error": text, "retried": retried})

    def inherited(self, node: str, run_id: str, kept: Mapping[str, str]) -> None:
        """A node ran in the run that this one resumes."""
        self._write({"completed": node, "in": run_id, "kept": kept})

    def finished(self, **figures: Any) -> None:
        """The run is over."""
        self._write({"finished": figures, "time": time.time()})

    def flush(self) -> None:
        """Hand the lines to the system, which keeps them if this process is killed."""
        if self._dirty:
            self._dirty = False
            self._file.flush()

    def close(self) -> None:
        """Write the rest, and give up the lock."""
        self._file.close()
        self._lock.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._dirty = True
        self._file.write(json.dumps(line) + "\n")


@dataclass(slots=True)
class PastRun:
    """What a run has done.

    Attributes:
        run_id: The run, as its folder is called.
        shape: Its pipeline; see `RunJournal`.
        head: What was known of it at its start.
        completed: The nodes that ran, and where their in-memory outputs are kept, by name.
        alive: Whether it is still under way.
    """

    run_id: str
    shape: list[list[Any]]
    head: dict[str, Any]
    completed: dict[str, dict[str, str]] = field(default_factory=dict)
    alive: bool = False


def find_run(folder: Path | None, wanted: str | None, shape: list[list[Any]]) -> PastRun:
    """The run to resume.

    Args:
        folder: Folder of all runs.
        wanted: Its id, or None for the latest of this pipeline.
        shape: The pipeline that is to be resumed.

    Raises:
        ResumeError: If there is none, it is still alive, or its pipeline is another one.
    """
    ids = _run_ids(folder) if folder is not None else []
    if folder is None or not ids:
        raise ResumeError(f"There is no run to resume: no journal in {folder}.")
    if wanted is not None:
        if wanted not in ids:
            text = unknown_names("run", [wanted], ids[-5:])
            raise ResumeError(f"{text} Journals are in {folder}.")
        run = _read(folder / wanted)
        _check_same(run, shape)
    else:
        runs = (_read(folder / run_id) for run_id in reversed(ids))
        run = next((r for r in runs if _structure(r.shape) == _structure(shape)), None) or _none(
            _read(folder / ids[-1]), shape
        )
    if run.alive:
        raise ResumeError(f"The run {run.run_id!r} is still under way; wait for it, or end it.")
    return run


def _none(latest: PastRun, shape: list[list[Any]]) -> PastRun:
    """No run of this pipeline: say how the latest one differs."""
    _check_same(latest, shape)
    return latest


def _check_same(run: PastRun, shape: list[list[Any]]) -> None:
    then, now = dict(_structure(run.shape)), dict(_structure(shape))
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
            f"{', '.join(sorted(changes)[:5])}{more}. Choose the same nodes, or run without "
            "resume."
        )


def _structure(shape: Iterable[list[Any]]) -> list[tuple[str, tuple[Any, ...]]]:
    """Names, inputs and outputs, without code: who mends a node may go on after it."""
    return sorted((name, (tuple(ins), tuple(outs))) for name, ins, outs, _ in shape)


def _read(folder: Path) -> PastRun:
    try:
        run = PastRun(folder.name, json.loads((folder / _PIPELINE).read_text()), {})
        lines = (folder / _JOURNAL).read_text().splitlines()
        run.alive = _is_alive(folder)
    except (OSError, ValueError) as error:
        raise ResumeError(f"The journal in {folder} cannot be read: {error}") from error
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:  # the last one, of a run that was killed while it wrote
            break
        if "journal" in line:
            run.head = line
        elif "completed" in line:
            run.completed[line["completed"]] = line.get("kept", {})
    return run


def _run_ids(folder: Path) -> list[str]:
    """All runs that have a journal, oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                found.append(((entry / _LOCK).stat().st_mtime_ns, entry.name))
    return [name for _, name in sorted(found)]


def _make_runs_folder(folder: Path) -> None:
    if folder.is_dir():
        _prune(folder)
        return
    folder.mkdir(parents=True)
    if folder.parent.name == ".motorpool":  # nobody wants it in a repository
        with contextlib.suppress(OSError):
            (folder.parent / ".gitignore").write_text("*\n")


def _prune(folder: Path) -> None:
    """Remove the oldest runs that are over."""
    if sum(1 for _ in folder.iterdir()) < _MOST_RUNS:
        return
    for run_id in _run_ids(folder)[: -_MOST_RUNS + 1]:
        with contextlib.suppress(OSError):
            if not _is_alive(folder / run_id):
                shutil.rmtree(folder / run_id, ignore_errors=True)


def _is_alive(folder: Path) -> bool:
    with (folder / _LOCK).open("r+") as file:
        return not try_lock(file.fileno())


def folder_name(run_id: str) -> str:
    """The name of a run's folder: its id, with what a file's name cannot have in quotes."""
    name = quote(run_id, safe=" ,=+@")[:200]
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _new_folder(folder: Path, run_id: str) -> Path:
    """A folder of the run's own; one whose name is taken gets a number."""
    name = folder_name(run_id)
    for number in range(1, 1_000_000):
        path = folder / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise FileExistsError(f"{folder / name} and many others")
