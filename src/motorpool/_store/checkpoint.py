"""In-memory values of a run, kept on disk, so that a resumed run finds them.

A value is written by the worker that made it, before the driver knows that the node has run, to a
temporary name that is then renamed. The format is the store's, so it is mapped when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from motorpool._datasets.memory import MemoryDataset
from motorpool._store import FileClient, Ref, dump, dumps, layout, script_names, write_file
from motorpool._system.files import UNFINISHED, replacing
from motorpool._system.locks import share_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool._store import Payload, StoreClient

_logger = logging.getLogger("motorpool")


def file_of(folder: str, dataset: str) -> str:
    """Where a dataset is kept; any name is a file's name."""
    digest = hashlib.sha256(dataset.encode()).hexdigest()[:8]
    return str(Path(folder) / f"{quote(dataset, safe='')[:80]}-{digest}.segment")


def keep_payload(
    folder: str, dataset: str, payload: Payload, client: StoreClient
) -> dict[str, str]:
    """Keep a value that is in a store already: linked if it can be, or else copied.

    Returns:
        Where it is, by name; empty if it could not be kept.
    """

    def write(path: str) -> None:
        if isinstance(payload, bytes):
            write_file(path, layout(payload, []))
        elif isinstance(payload, Ref) and isinstance(client, FileClient):
            while not _linked(client, payload.key, path):
                pass  # it was moved in this very moment
        else:  # a store that has no files, or a value with parts in the files of others
            write_file(path, layout(*dump(client.get(payload), client.dumps)))

    return _keep(folder, dataset, write)


def _linked(client: FileClient, key: str, path: str) -> bool:
    """Give a segment a second name, or copy it to another file system; false if it is gone."""
    found, fd = client.segments.open(key)
    with open(fd, "rb") as file:  # noqa: PTH123, a descriptor
        share_lock(fd)  # so that it is not moved meanwhile
        if not os.fstat(fd).st_nlink:
            return False
        try:
            os.link(found, path)
        except OSError:
            with open(path, "xb") as copy:  # noqa: PTH123, as short
                shutil.copyfileobj(file, copy, 2**20)
        return True


def keep_dataset(folder: str, name: str, dataset: Any) -> dict[str, str]:
    """Keep the value of an in-memory dataset of this process.

    Returns:
        Where it is, by name; empty if it could not be kept.
    """

    def write(path: str) -> None:
        value = dataset.peek() if isinstance(dataset, MemoryDataset) else dataset.load()
        with script_names(known=True):  # another process of the same script reads it
            write_file(path, layout(*dump(value, dumps)))

    return _keep(folder, name, write)


def sweep_checkpoint(folder: str) -> None:
    """Remove what workers that died had begun to write."""
    for path in Path(folder).glob(f"*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def _keep(folder: str, dataset: str, write: Callable[[str], object]) -> dict[str, str]:
    """Write and rename; a failure costs no more than that the node runs again some day."""
    path = file_of(folder, dataset)
    try:
        with replacing(path) as new:
            write(new)
    except Exception as error:  # noqa: BLE001, whatever the disk or pickling raises
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108, as above; an older value is the wrong one
        _logger.warning(
            "The dataset %r could not be kept in %s: %s: %s. The run goes on; a resumed run will "
            "make it again.", dataset, folder, type(error).__name__, error,
        )  # fmt: skip
        return {}
    return {dataset: path}
