"""Writes down what a run does, so that another can go on where it ended.

    .motorpool/runs/RUN_ID/pipeline.json    each node: name, inputs, outputs, a hash of its code
                           journal.jsonl    a head, then a line for each outcome
                           lock             made when the run began

The lock is held for as long as its run lives. Lines go to the system once for each round of the
engine, so a driver that is killed loses the last few at most, and their nodes run again. A
folder gets its final name when all of this is in it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import secrets
import time
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from motorpool._journal.reader import JOURNAL, LOCK, PIPELINE, VERSION, is_alive, run_ids
from motorpool._protocol.failure import summary_of
from motorpool._system.locks import try_lock, unlock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_logger = logging.getLogger("motorpool")
_quoted = json.encoder.encode_basestring_ascii
# Older ones are removed when a run begins, some at a time: a loop of runs must not fill a disk.
_MOST_RUNS, _SPARE = 100, 20
# A folder gets its name a moment after it is made; one that is older (s) is left over.
_HALF_MADE = 60.0


class RunJournal:
    """Writes what a run does.

    A disk that is full later on costs the rest of the journal, with a warning, and not the run.

    Args:
        folder: Folder of all runs.
        run_id: The run.
        manifest: For each node its name, inputs, outputs and a hash of its code.
        head: What else to know of the run.

    Raises:
        OSError: If it cannot be written.

    Attributes:
        folder: The run's own; its name is what to resume the run by.
    """

    def __init__(
        self, folder: Path, run_id: str, manifest: list[list[Any]], head: Mapping[str, Any]
    ) -> None:
        _make_runs_folder(folder)
        new = folder / f".new-{secrets.token_hex(8)}"
        self.folder = new if os.name != "nt" else new_folder(folder, run_id)
        if os.name != "nt":
            new.mkdir()
        self._lock = (self.folder / LOCK).open("x")
        try_lock(self._lock.fileno())
        (self.folder / PIPELINE).write_text(json.dumps(manifest))
        self._file: IO[str] | None = (self.folder / JOURNAL).open("x")
        self._dirty = False
        self._write({"journal": VERSION, "run_id": run_id, "time": time.time(), **head})
        self.flush()
        if os.name != "nt":  # which renames no folder with open files; no reader sees half a run
            self.folder = new_folder(folder, run_id, new)

    def completed(
        self, node: str, *, attempt: int, seconds: float, kept: Mapping[str, str]
    ) -> None:
        """A node has run; `kept` says where its in-memory outputs are, by name."""
        line = (
            f'"attempt": {attempt}, "seconds": {seconds:.6f}'  # json.dumps takes ten times as long
        )
        if kept:
            line += f', "kept": {json.dumps(kept)}'
        self._write_text(f'{{"completed": {_quoted(node)}, {line}}}')

    def failed(self, node: str, *, attempt: int, error: BaseException, retried: bool) -> None:
        """A try of a node has failed."""
        text = summary_of(error)[:1000]
        self._write({"failed": node, "attempt": attempt, "error": text, "retried": retried})

    def carried_over(self, node: str, run_id: str, kept: Mapping[str, str]) -> None:
        """A node ran in the run that this one resumes."""
        self._write({"completed": node, "in": run_id, "kept": kept})

    def finished(self, **figures: Any) -> None:
        """The run is over."""
        self._write({"finished": figures, "time": time.time()})

    def flush(self) -> None:
        """Hand the lines to the system, which keeps them if this process is killed."""
        if self._dirty and self._file is not None:
            self._dirty = False
            try:
                self._file.flush()
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Write the rest, and give up the lock."""
        self.flush()
        if self._file is not None:
            self._file.close()
        unlock(self._lock.fileno())
        self._lock.close()

    def remove(self) -> None:
        """Close, and leave nothing: the run has not begun."""
        self.close()
        remove_run(self.folder)

    def _write(self, line: Mapping[str, Any]) -> None:
        self._write_text(json.dumps(line))

    def _write_text(self, line: str) -> None:
        if self._file is None:
            return
        self._dirty = True
        try:
            self._file.write(line + "\n")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            file.close()  # type: ignore[union-attr]
        _logger.warning(
            "What this run does is not written down any more: %s. A resumed run will do it again.",
            error,
        )


def _make_runs_folder(folder: Path) -> None:
    if folder.is_dir():
        _prune(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    if folder.parent.name == ".motorpool":  # it does not belong in a repository
        with contextlib.suppress(OSError):
            (folder.parent / ".gitignore").write_text("*\n")


def _prune(folder: Path) -> None:
    """Remove the oldest runs that are over, and what runs left that were killed at their start."""
    names = os.listdir(folder)  # noqa: PTH208, names are enough
    for name in names:
        if name.startswith(".new-"):
            with contextlib.suppress(OSError):
                old = time.time() - (folder / name).stat().st_mtime > _HALF_MADE
                if old and not is_alive(folder / name):
                    remove_run(folder / name)
    if len(names) < _MOST_RUNS + _SPARE:  # to look at all of them takes as long as 30 nodes
        return
    ids = run_ids(folder)
    for run_id in ids[: max(0, len(ids) - _MOST_RUNS + 1)]:
        with contextlib.suppress(OSError):
            if not is_alive(folder / run_id):
                remove_run(folder / run_id)


def remove_run(folder: Path) -> None:
    """Remove a run's own files, and its folder if nothing else is in it."""
    for name in (JOURNAL, PIPELINE, LOCK):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def folder_name(run_id: str) -> str:
    """The name of a run's folder: its id, with what a file's name cannot have in quotes."""
    name = quote(run_id, safe=" ,=+@")[:200].rstrip(" .") or "run"
    return f"%2E{name[1:]}" if name.startswith(".") else name


def new_folder(parent: Path, run_id: str, made: Path | None = None) -> Path:
    """A folder of the run's own; one whose name is taken gets a number.

    Args:
        parent: Where.
        run_id: The run.
        made: A folder to rename; None to make an empty one.
    """
    name = folder_name(run_id)
    for number in itertools.count(1):
        path = parent / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)  # the process that makes it has the name
            return path if made is None else made.rename(path)
    raise AssertionError  # a count has no end
