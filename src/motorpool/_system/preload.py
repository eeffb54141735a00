"""Imported by a forkserver when it starts: imports what the pipeline needs, once for all workers.

A library that starts a thread of its own when it is imported is not preloaded: what such a thread
does is not known, and a fork may happen in the midst of it. The server then begins again without.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys

from motorpool._system import process, threads

# Names of modules, and where to look for them; as JSON.
VARIABLE = "MOTORPOOL_PRELOAD_MODULES"
# With which users turn it off.
_SWITCH, _OFF = "MOTORPOOL_PRELOAD", frozenset({"0", "false", "no", "off"})


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
    logging.disable()  # what libraries say when they are imported, they say in the driver as well
    sys.path += [entry for entry in path if entry not in sys.path]
    for name in modules:
        with contextlib.suppress(BaseException):  # a worker will say what is wrong with it
            importlib.import_module(name)
        if threads.has_threads():
            left = [each for each in modules if each != name]
            os.environ.clear()
            os.environ.update(before, **{VARIABLE: json.dumps([left, path])})
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606, this very process
    logging.disable(logging.NOTSET)
    sys.path[:] = searched
    os.environ.clear()
    os.environ.update(before)


_load()
