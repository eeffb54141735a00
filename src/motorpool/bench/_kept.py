"""Outputs that are kept in files for a while, so that those of two backends can be compared."""

from __future__ import annotations

import hashlib
import math
import pickle
from typing import IO, TYPE_CHECKING, Any

import cloudpickle

from motorpool.bench._equality import apart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Bytes; of a larger value, only the digest is known.
_LARGEST = 64 * 2**20


def keep_value(folder: Path, name: str, value: Any) -> None:
    """Keep an output, unless it is large, or cannot be pickled.

    Args:
        folder: That of a backend; made if need be.
        name: Of the output.
        value: Its data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, name)
    try:
        with path.open("wb") as file:
            cloudpickle.dump(value, _Limited(file), 5)
    except Exception:  # noqa: BLE001, whatever pickling raises
        path.unlink()


def kept_apart(folders: Sequence[Path], name: str) -> float:
    """How far an output of one backend is from that of others; see `distance`.

    Args:
        folders: One for each backend.
        name: Of the output.

    Returns:
        The largest distance from the first; infinity if the values are not known.
    """
    try:
        first, *others = (pickle.loads(_path(f, name).read_bytes()) for f in folders)
    except Exception:  # noqa: BLE001, not kept, or not to be had in this process
        return math.inf
    return max((apart(first, other) for other in others), default=0.0)


def _path(folder: Path, name: str) -> Path:
    return folder / hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


class _Limited:
    """A file that takes no more than so much."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, _LARGEST

    def write(self, data: Any) -> int:
        """Write, or raise.

        Raises:
            OverflowError: If that is too much.
        """
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise OverflowError
        return self._file.write(data)
