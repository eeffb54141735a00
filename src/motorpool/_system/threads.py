"""Which threads a process has; a fork of it has none of them."""

from __future__ import annotations

import os
import threading

# Threads that see to it themselves that forks do them no harm: jemalloc's, which pyarrow brings
# along (pthread_atfork in its background_thread.c).
_HARMLESS = frozenset({"jemalloc_bg_thd"})
_TASKS = "/proc/self/task"


def has_threads() -> bool:
    """Whether there are threads of Python, or any with a name of its own."""
    return threading.active_count() > 1 or bool({*_names()} - {_own_name(), *_HARMLESS})


def may_fork() -> bool:
    """Whether a fork of this process can do without its threads; false where that is not known.

    No thread of Python, none with a name of its own, and no more than OpenBLAS has, which sees to
    forks itself (pthread_atfork in its blas_server.c). OpenMP does not, and its have no names.
    """
    names = _names()
    if not names or has_threads():
        return False
    unnamed = names.count(_own_name()) - 1
    return unnamed <= 0 or unnamed <= _threads_of_blas()


def _threads_of_blas() -> int:
    """In each copy of OpenBLAS as many as it uses, but for the one that calls."""
    from threadpoolctl import threadpool_info  # noqa: PLC0415, 10 ms that few drivers need

    return sum(
        library["num_threads"] - 1 for library in threadpool_info()
        if (library["internal_api"], library.get("threading_layer")) == ("openblas", "pthreads")
    )  # fmt: skip


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


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123, as above
            return file.read()
    except OSError:  # a thread has just ended, or this is not Linux
        return ""
