"""Which threads a process has; a fork of it has none of them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Threads that see to it themselves that forks do them no harm: jemalloc's, which pyarrow brings
# along (pthread_atfork in its background_thread.c).
_HARMLESS = frozenset({"jemalloc_bg_thd"})
# So do those of OpenBLAS (pthread_atfork in its blas_server.c): in each copy of it one a core, but
# for the one that calls. Those of OpenMP do not, and cannot be told from them by name.
_BLAS = "openblas"
_TASKS = "/proc/self/task"


def has_threads() -> bool:
    """Whether there are threads of Python, or any with a name of its own."""
    return threading.active_count() > 1 or bool({*_names()} - {_own_name(), *_HARMLESS})


def may_fork() -> bool:
    """Whether a fork of this process can do without its threads; false where that is not known.

    No thread of Python, none with a name of its own, and no more than OpenBLAS has.
    """
    names = _names()
    if not names or has_threads():
        return False
    unnamed = names.count(_own_name()) - 1
    return unnamed <= 0 or unnamed <= _blas_copies() * ((os.cpu_count() or 1) - 1)


def _own_name() -> str:
    return _read(f"{_TASKS}/{os.getpid()}/comm").strip()


def _names() -> list[str]:
    """The name of each thread; none where the system does not tell."""
    try:
        tasks = os.listdir(_TASKS)  # noqa: PTH208, pathlib takes 6 ms to import
    except OSError:
        return []
    names = [_read(f"{_TASKS}/{task}/comm").strip() for task in tasks]
    return [name for name in names if name]


def _blas_copies() -> int:
    lines = _read("/proc/self/maps").splitlines()
    return len({line.split()[-1] for line in lines if _BLAS in line.rpartition("/")[2]})


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123, as above
            return file.read()
    except OSError:  # a thread has just ended, or this is not Linux
        return ""


@contextlib.contextmanager
def handlers_held(*, forking: bool) -> Iterator[None]:
    """Let no other thread be within a handler of log records while this process is copied.

    A handler may have locks of its own, such as that of rich's console: the copy would have them
    taken for ever, and a node that prints there would wait as long.
    """
    with contextlib.ExitStack() as held:
        if forking and "logging" in sys.modules:
            for handler in list(sys.modules["logging"].getLogger().handlers):
                handler.acquire()
                held.callback(handler.release)
        yield
