"""Log records on their way from workers to the driver's handlers, while a node still runs."""

from __future__ import annotations

import logging
import pickle
from collections import deque
from typing import TYPE_CHECKING, Any

from motorpool._protocol.spool import SpoolReader, SpoolWriter
from motorpool._system.loggers import named_loggers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_logger = logging.getLogger("motorpool")
# Records that may wait for the end of an envelope, where no file takes them.
_MOST = 10_000
_SUFFIX = ".log"


class LogWriter(logging.Handler):
    """Writes records to the file of the run that this worker is working for.

    Where driver and workers share no files, it keeps the latest 10,000 until they are taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spool = SpoolWriter(_SUFFIX)
        self._kept: deque[bytes] = deque(maxlen=_MOST)

    def point_to(self, folder: Path | None) -> None:
        """Choose the folder for what follows, or None if there is none."""
        self._spool.point_to(folder)

    def take(self) -> bytes:
        """What has been kept, for `handle_taken`; it is kept no longer."""
        if not self._kept:
            return b""
        kept = [self._kept.popleft() for _ in range(len(self._kept))]
        return pickle.dumps(kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record; an error here is left to logging's own handler."""
        try:
            packed = _packed(record, self.formatter or logging.Formatter())
            if self._spool.folder is None:
                self._kept.append(packed)
            else:
                self._spool.write(packed)
        except Exception:  # noqa: BLE001, logging must not break a node
            self.handleError(record)


class LogReader:
    """Hands the workers' records to the driver's loggers.

    Args:
        folder: Where the workers write.
    """

    def __init__(self, folder: Path) -> None:
        self._spool = SpoolReader(folder, _SUFFIX)

    def read(self, names: Sequence[str] | None = None) -> None:
        """Handle every record that is complete by now.

        Args:
            names: The files in the folder, if they are known.
        """
        for body in self._spool.read(names):
            _handle(body)


def handle_taken(taken: bytes) -> None:
    """Hand on the records that a worker has kept."""
    for body in pickle.loads(taken) if taken else ():
        _handle(body)


def _handle(body: bytes) -> None:
    """Hand a worker's record to the driver's logger of the same name."""
    try:
        record = logging.makeLogRecord(pickle.loads(body))
    except Exception:
        _logger.warning("A log record of a worker cannot be read here", exc_info=True)
        return
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def levels() -> dict[str, int]:
    """Levels that are set in this process, by the logger's name; the root's is ''."""
    found = {"": logging.getLogger().level}
    return found | {name: each.level for name, each in named_loggers().items() if each.level}


def redirect(writer: LogWriter, wanted: dict[str, int]) -> None:
    """Send all of this process's records to the writer, at the driver's levels."""
    for logger in named_loggers().values():
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
