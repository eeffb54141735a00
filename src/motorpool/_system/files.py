"""Files that are written as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import resource as _resource
except ImportError:  # on Windows
    _resource = None  # type: ignore[assignment]

#: What ends the name of a file that is not whole yet.
UNFINISHED = ".new"


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """Give a name to write a file under; at the end it takes the place of the file at `path`.

    What raises within leaves that file as it was, and removes the new one.

    Args:
        path: The file, which need not exist.

    Raises:
        OSError: If it cannot be renamed.
    """
    new = f"{path}.{secrets.token_hex(8)}{UNFINISHED}"
    try:
        yield new
        os.replace(new, path)  # noqa: PTH105, pathlib takes 6 ms to import
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)  # noqa: PTH108, likewise
        raise


def most_open() -> int:
    """How many descriptors this process may have."""
    if _resource is None:
        return 8192
    limit: int = _resource.getrlimit(_resource.RLIMIT_NOFILE)[0]
    return limit if limit != _resource.RLIM_INFINITY else 2**20
