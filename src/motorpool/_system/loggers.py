"""The loggers of this process, and their handlers."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

# How long (s) to wait for all handlers together. One may wait for a network, or for another one,
# as those do that hand records on.
_PATIENCE = 1.0


def named_loggers() -> dict[str, logging.Logger]:
    """All loggers but the root, by name; none if nothing has any."""
    module = sys.modules.get("logging")  # which takes 4 ms to import
    known = {} if module is None else dict(module.Logger.manager.loggerDict)
    return {name: each for name, each in known.items() if isinstance(each, module.Logger)}  # type: ignore[union-attr]


@contextlib.contextmanager
def handlers_held(*, forking: bool) -> Iterator[None]:
    """Let no other thread be within a handler of log records while this process is copied.

    A handler may have locks of its own, such as that of rich's console: the copy would have them
    taken for ever, and a node that prints there would wait as long.
    """
    with contextlib.ExitStack() as held:
        if forking and "logging" in sys.modules:
            deadline = time.monotonic() + _PATIENCE
            for handler in _handlers():
                if handler.lock is not None and handler.lock.acquire(
                    timeout=max(0.0, deadline - time.monotonic())
                ):
                    held.callback(handler.lock.release)
        yield


def _handlers() -> list[logging.Handler]:
    """Each handler of any logger once."""
    root = sys.modules["logging"].getLogger()
    found = {id(h): h for each in (root, *named_loggers().values()) for h in each.handlers}
    return list(found.values())
