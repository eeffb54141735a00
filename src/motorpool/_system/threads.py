"""Which threads a process has; a fork of it has none of them."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections import Counter
from pathlib import Path

# Threads that see to it themselves that forks do them no harm: jemalloc's, which pyarrow brings
# along (pthread_atfork in its background_thread.c).
_HARMLESS = frozenset({"jemalloc_bg_thd"})
# So do those of OpenBLAS (pthread_atfork in its blas_server.c): in each copy of it one a core, but
# for the one that calls. Those of OpenMP do not, and cannot be told from them by name.
_BLAS = re.compile(rb"\S*/lib[^/\s]*openblas[^/\s]*\.so\S*")


def has_threads() -> bool:
    """Whether there are threads of Python, or any with a name of its own."""
    return threading.active_count() > 1 or bool(_names().keys() - {_own_name(), *_HARMLESS})


def may_fork() -> bool:
    """Whether a fork of this process can do without its threads; false where that is not known.

    No thread of Python, none with a name of its own, and no more than OpenBLAS has.
    """
    if not Path("/proc/self/task").is_dir() or has_threads():
        return False
    unnamed = _names()[_own_name()] - 1
    return unnamed <= 0 or unnamed <= _blas_copies() * ((os.cpu_count() or 1) - 1)


def _own_name() -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/self/task/{os.getpid()}/comm").read_text().strip()
    return ""


def _names() -> Counter[str]:
    """How many threads have which name; none where the system does not tell."""
    names: Counter[str] = Counter()
    with contextlib.suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                names[(task / "comm").read_text().strip()] += 1
    return names


def _blas_copies() -> int:
    try:
        return len(set(_BLAS.findall(Path("/proc/self/maps").read_bytes())))
    except OSError:
        return 0
