"""Writes down what a run does, so that another can go on where it ended.

    .motorpool/runs/RUN_ID.jsonl    a head with the pipeline, then lines with what became of nodes

A run that is over within 50 ms, with every node done, is not written down: a file costs more than
such a run, and there is nothing to go on with. The file is locked for as long as its run lives.
Lines go to the system every 5 ms, so a driver that is killed loses those of the last, and their
nodes run again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from motorpool._journal.reader import SUFFIX, VERSION, is_alive, path_of, run_ids
from motorpool._protocol.failure import summary_of
from motorpool._system.locks import try_lock, unlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_logger = logging.getLogger("motorpool")
_quoted = json.encoder.encode_basestring_ascii
#: How old (s) a run is when its journal is begun.
BEGIN_AFTER = 0.05
# How often (s) lines are written while nodes run; a write takes longer than a short node.
_WRITE_INTERVAL = 0.005
# Older ones are removed when a run is over, some at a time: a loop of runs must not fill a disk.
_MOST_RUNS, _SPARE = 100, 20


class RunJournal:
    """Writes what a run does.

    A folder that cannot be written, or a disk that is full later on, costs the journal, or the
    rest of it, with a warning, and not the run.

    Args:
        folder: Folder of all runs.
        run_id: The run.
        manifest: For each node its name, inputs, outputs and a hash of its code.
        head: What else to know of the run.

    Attributes:
        path: The file; its name without the suffix is what to resume the run by. None before it
            is begun, and if it cannot be written.
    """

    def __init__(
        self, folder: Path, run_id: str, manifest: list[list[Any]], head: Mapping[str, Any]
    ) -> None:
        self.path: Path | None = None
        self._folder, self._run_id, self._manifest = folder, run_id, manifest
        self._head = {"journal": VERSION, "time": time.time(), "run_id": run_id, **head}
        self._begin_at = time.monotonic() + BEGIN_AFTER
        self._lines: list[str | tuple[Sequence[str], Sequence[float]]] = []
        self._write_at = 0.0
        self._fd: int | None = None
        self._wanted = True

    def ran(self, nodes: Sequence[str], seconds: Sequence[float]) -> None:
        """Nodes have run, each at its first try; one line for all of them."""
        self._lines.append((nodes, seconds))

    def completed(
        self, node: str, *, attempt: int, seconds: float, kept: Mapping[str, str]
    ) -> None:
        """A node has run; `kept` says where its in-memory outputs are, by name."""
        line = (
            f'"attempt": {attempt}, "seconds": {seconds:.6f}'  # json.dumps takes ten times as long
        )
        if kept:
            line += f', "kept": {json.dumps(kept)}'
            self._begin_at = 0.0
        self._lines.append(f'{{"completed": {_quoted(node)}, {line}}}\n')

    def failed(self, node: str, *, attempt: int, error: BaseException, retried: bool) -> None:
        """A try of a node has failed."""
        text = summary_of(error)[:1000]
        self._write({"failed": node, "attempt": attempt, "error": text, "retried": retried})

    def carried_over(self, node: str, run_id: str, kept: Mapping[str, str]) -> None:
        """A node ran in the run that this one resumes."""
        self._write({"completed": node, "in": run_id, "kept": kept})

    def finished(self, *, completed: int, failed: int, skipped: int, wall_time: float) -> None:
        """The run is over; `path` is known from here on."""
        figures = {
            "completed": completed, "failed": failed, "skipped": skipped, "wall_time": wall_time,
        }  # fmt: skip
        at_once = failed or skipped or self._fd is not None
        self._write({"finished": figures, "time": time.time()}, at_once=bool(at_once))
        self.flush()

    def begin(self) -> None:
        """Let it be written from now on, however young the run is."""
        self._begin_at = 0.0

    def pause(self) -> float | None:
        """Seconds until there is something to write; None if there is nothing."""
        if not self._wanted or (self._fd is not None and not self._lines):
            return None
        due = self._begin_at if self._fd is None else self._write_at
        return max(0.0, due - time.monotonic())

    def flush(self, *, at_once: bool = True) -> None:
        """Hand the lines to the system, which keeps them if this process is killed.

        Args:
            at_once: Now, and not only if some time has passed since it was done.
        """
        now = time.monotonic()
        if self._fd is None:
            if not self._wanted or now < self._begin_at:
                return
            self._open()
        if self._lines and self._fd is not None and (at_once or now >= self._write_at):
            self._write_at = now + _WRITE_INTERVAL
            lines, self._lines = self._lines, []
            try:
                _write_all(self._fd, "".join(map(self._text, lines)))
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Write the rest, if anything is written, and give up the lock."""
        self.flush()
        fd, self._fd, self._wanted = self._fd, None, False
        if fd is not None:
            unlock(fd)
            os.close(fd)
            _prune(self._folder)

    def remove(self) -> None:
        """Close, and leave nothing: the run has not begun."""
        self._wanted = self._fd is not None
        self.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        """Make the file, with its head."""
        try:
            _make_folder(self._folder)
            self.path, self._fd = _new_file(self._folder, self._run_id)
            try_lock(self._fd)
            _write_all(self._fd, json.dumps({**self._head, "pipeline": self._manifest}) + "\n")
        except OSError as error:
            self._give_up(error)

    def _text(self, line: str | tuple[Sequence[str], Sequence[float]]) -> str:
        """A line; those of several nodes are put into words only if they are written."""
        if isinstance(line, str):
            return line
        nodes, seconds = line
        ran = ",".join([str(self._positions[node]) for node in nodes])
        return f'{{"ran": [{ran}], "us": [{",".join([str(int(s * 1e6)) for s in seconds])}]}}\n'

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {row[0]: position for position, row in enumerate(self._manifest)}

    def _write(self, line: Mapping[str, Any], *, at_once: bool = True) -> None:
        self._lines.append(json.dumps(line) + "\n")
        if at_once:
            self._begin_at = 0.0

    def _give_up(self, error: OSError) -> None:
        begun = self._fd is not None
        if begun:
            with contextlib.suppress(OSError):
                os.close(self._fd)  # type: ignore[arg-type]
        else:
            self.path = None
        self._fd, self._wanted = None, False
        self._lines = []
        if begun:
            text = (
                "What this run does is not written down any more: %s. A resumed run does it again."
            )
        else:
            text = "The run cannot be resumed, for it keeps no journal: %s"
        _logger.warning(text, error)


def _write_all(fd: int, text: str) -> None:
    """Write all of a text, or raise OSError; readers stop at a line that is cut."""
    data = text.encode()
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if folder.parent.name == ".motorpool":  # it does not belong in a repository
        with contextlib.suppress(OSError):
            (folder.parent / ".gitignore").write_text("*\n")


def _prune(folder: Path) -> None:
    """Remove the oldest journals of runs that are over, if there are many."""
    names = os.listdir(folder)  # noqa: PTH208, to look into them takes 30 us each
    if sum(name.endswith(SUFFIX) for name in names) < _MOST_RUNS + _SPARE:
        return
    ids = run_ids(folder)
    for run_id in ids[: max(0, len(ids) - _MOST_RUNS)]:
        path = path_of(folder, run_id)
        with contextlib.suppress(OSError):
            if not is_alive(path):
                path.unlink()


def file_name(run_id: str) -> str:
    """The name of a run's file or folder: its id, with what names cannot have in quotes."""
    name = quote(run_id, safe=" ,=+@")[:200].rstrip(" .") or "run"
    return f"%2E{name[1:]}" if name.startswith(".") else name


def new_folder(parent: Path, run_id: str) -> Path:
    """A folder of the run's own; one whose name is taken gets a number."""
    for name in _numbered(file_name(run_id)):
        with contextlib.suppress(FileExistsError):
            (parent / name).mkdir(mode=0o700)  # the process that makes it has the name
            return parent / name
    raise AssertionError  # a count has no end


def _new_file(parent: Path, run_id: str) -> tuple[Path, int]:
    """A file of the run's own, likewise, and its descriptor."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
    for name in _numbered(file_name(run_id)):
        path = path_of(parent, name)
        with contextlib.suppress(FileExistsError):
            return path, os.open(path, flags, 0o600)
    raise AssertionError  # a count has no end


def _numbered(name: str) -> Iterator[str]:
    return (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
