"""Imported by a forkserver when it starts: imports what the pipeline needs, once for all workers.

A library that starts a thread of its own when it is imported is not preloaded: what such a thread
does is not known, and a fork may happen in the midst of it. The server then begins again without.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
from pathlib import Path

from motorpool._system import process

# Names of modules, and where to look for them; as JSON.
VARIABLE = "MOTORPOOL_PRELOAD_MODULES"
# With which users turn it off.
_SWITCH, _OFF = "MOTORPOOL_PRELOAD", frozenset({"0", "false", "no", "off"})
# Threads that see to it themselves that forks do them no harm: jemalloc's, which pyarrow brings
# along (pthread_atfork in its background_thread.c).
_HARMLESS = {"jemalloc_bg_thd"}


def is_off() -> bool:
    """Whether the user wants each worker to import for itself what it needs."""
    return os.environ.get(_SWITCH, "").strip().lower() in _OFF


def _load() -> None:
    wanted = os.environ.pop(VARIABLE, None)
    if wanted is None:
        return
    modules, path = json.loads(wanted)
    before, searched = dict(os.environ), list(sys.path)
    process.limit_threads(1)  # else numpy would start some
    sys.path += [entry for entry in path if entry not in sys.path]
    for name in modules:
        with contextlib.suppress(BaseException):  # a worker will say what is wrong with it
            importlib.import_module(name)
        if _has_threads():
            left = [each for each in modules if each != name]
            os.environ.clear()
            os.environ.update(before, **{VARIABLE: json.dumps([left, path])})
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606, this very process
    sys.path[:] = searched
    os.environ.clear()
    os.environ.update(before)


def _has_threads() -> bool:
    """Whether there are threads of Python, or any with a name of its own."""
    if threading.active_count() > 1:
        return True
    names = set()
    with contextlib.suppress(OSError):  # not Linux, or one has just ended
        tasks = Path("/proc/self/task")
        own = (tasks / str(os.getpid()) / "comm").read_text()
        names = {(task / "comm").read_text() for task in tasks.iterdir()} - {own}
    return not {name.strip() for name in names} <= _HARMLESS


_load()
