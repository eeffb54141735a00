"""Log records on their way from workers to the driver's handlers.

Each worker appends its records to a file of its own in the run's directory, and the driver reads
on where it stopped. So lines show up while a node still runs, and the last words of a worker that
crashes are not lost with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import struct
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_logger = logging.getLogger("motorpool")
_LENGTH = struct.Struct("<I")
_SUFFIX = ".log"
# How often, in seconds, to look for new records: soon enough for who watches, and a listing of
# the folder (50 us) for each outcome would double what a short node costs.
POLL_INTERVAL = 0.2


class LogWriter(logging.Handler):
    """Writes records to the file of the run that this worker is working for."""

    def __init__(self) -> None:
        super().__init__()
        self._folder: Path | None = None
        self._fd: int | None = None

    def point_to(self, folder: Path | None) -> None:
        """Choose the folder for what follows; None drops it."""
        if folder == self._folder:
            return
        self.release_file()
        self._folder = folder

    def release_file(self) -> None:
        """Close the file."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = None

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record; an error here is nobody's business but logging's own."""
        if self._folder is None:
            return
        try:
            data = _packed(record, self.formatter or logging.Formatter())
            if self._fd is None:
                path = self._folder / f"{os.getpid()}{_SUFFIX}"
                self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            os.write(self._fd, _LENGTH.pack(len(data)) + data)
        except Exception:  # noqa: BLE001, logging must not break a node
            self.handleError(record)


class LogReader:
    """Hands the workers' records to the driver's loggers.

    Args:
        folder: Where the workers write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._positions: dict[Path, int] = {}
        self._next = 0.0

    def poll(self) -> None:
        """Do what `read` does, but not so often that it costs more than the nodes."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + POLL_INTERVAL
            self.read()

    def read(self) -> None:
        """Handle every record that is complete by now."""
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                if path.stat().st_size > self._positions.get(path, 0):
                    self._read(path)

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._positions.get(path, 0))
            while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
                (length,) = _LENGTH.unpack(head)
                body = file.read(length)
                if len(body) < length:
                    break
                self._positions[path] = file.tell()
                try:
                    record = logging.makeLogRecord(pickle.loads(body))
                except Exception:
                    _logger.warning("A log record of a worker cannot be read here", exc_info=True)
                    continue
                logger = logging.getLogger(record.name)
                if logger.isEnabledFor(record.levelno):
                    logger.handle(record)


def levels() -> dict[str, int]:
    """Levels that are set in this process, by the logger's name; the root's is ''."""
    found = {"": logging.getLogger().level}
    for name, logger in logging.Logger.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and logger.level:
            found[name] = logger.level
    return found


def redirect(writer: LogWriter, wanted: dict[str, int]) -> None:
    """Send all of this process's records to the writer, at the driver's levels."""
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    logging.getLogger().handlers[:] = [writer]
    for name, level in wanted.items():
        logging.getLogger(name or None).setLevel(level)


def _packed(record: logging.LogRecord, formatter: logging.Formatter) -> bytes:
    fields: dict[str, Any] = dict(record.__dict__, msg=record.getMessage(), args=None)
    if record.exc_info:
        fields["exc_text"] = record.exc_text or formatter.formatException(record.exc_info)
        fields["exc_info"] = None
    try:
        return pickle.dumps(fields)
    except Exception:  # noqa: BLE001, an extra field may be anything
        plain = (str, int, float, type(None))
        return pickle.dumps({k: v for k, v in fields.items() if isinstance(v, plain)})
