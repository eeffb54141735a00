"""What a worker asks of the system: cores, threads, signals, memory, and its driver's life."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Read by the libraries when they are loaded, so they must be set before (joblib/joblib#880).
_THREAD_VARIABLES = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# Where the system gives no notice of a death, it is polled at this interval, in seconds.
_POLL_INTERVAL = 0.5

_watched: dict[int, set[str]] = {}


def usable_cores() -> int:
    """Number of cores that this process may use, the quota of its control group included."""
    from motorpool._system.cgroup import cpu_quota  # noqa: PLC0415, pathlib takes 6 ms

    if sys.platform == "win32" or not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1  # no control groups either
    cores = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs, from /proc; none where there is none."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208, pathlib takes 6 ms
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123, as above
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found, queue = [], [pid]
    while queue:
        own = children.get(queue.pop(), [])
        queue += own
        found += own
    return found


def memory_of(pid: int) -> int:
    """Bytes that a process and its descendants take, what they share counted once; 0 if unknown.

    That is their proportional set size, which takes the system milliseconds a gigabyte.
    """
    return sum(map(_share_of, (pid, *descendants(pid))))


def _share_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123, as above
            return int(file.read().split(b"\nPss:", 1)[1].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError):  # gone, or a system without it
        return 0


def limit_threads(count: int) -> None:
    """Let native libraries use so many threads, unless the user has said otherwise."""
    for variable in _THREAD_VARIABLES:
        os.environ.setdefault(variable, str(count))
    if "numpy" in sys.modules:  # loaded already: a forked worker, or a preloaded one
        from threadpoolctl import threadpool_limits  # noqa: PLC0415, 10 ms that few workers need

        threadpool_limits(count)


@contextlib.contextmanager
def interrupts_deferred(*, forking: bool) -> Iterator[None]:
    """Start a process as a whole: Ctrl-C and SIGTERM are dealt with afterwards.

    What this thread starts meanwhile begins with Ctrl-C blocked, until it says how it takes it.

    Args:
        forking: The process is a fork of this one. It is whole from the start, and would inherit
            the handlers that put signals off: SIGTERM could not end it.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    caught: list[int] = []
    handlers = {}
    in_main = threading.current_thread() is threading.main_thread()  # handlers run in no other
    if in_main and not forking:
        for number in numbers:
            if signal.getsignal(number) is not None:  # else it is not Python's, and stays
                handlers[number] = signal.signal(number, lambda n, _frame: caught.append(n))
    masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(signal.Signals(caught[0]))


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the driver, which ends its workers itself."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def start_worker(driver: int) -> None:
    """Make this process a worker: it ends with its driver, even before its first node.

    SIGTERM ends it at once; a forked worker would otherwise have the driver's handler, and a pool
    that ends its workers so would wait for ever.
    """
    ignore_interrupts()
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    leave_threads()
    watch_parent(driver, ())


def leave_threads() -> None:
    """Let this process end although nodes have left threads behind, for which Python would wait.

    A process of multiprocessing joins its threads when it ends, and offers no way round it but
    the function that it calls for that.
    """
    join = getattr(threading, "_shutdown", None)
    if join is None or getattr(join, "leaves_threads", False):
        return

    me = os.getpid()

    def shutdown() -> None:
        main = threading.main_thread()
        if os.getpid() == me and any(not t.daemon for t in threading.enumerate() if t is not main):
            _finish()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(0)
        join()

    shutdown.leaves_threads = True  # type: ignore[attr-defined]
    threading._shutdown = shutdown  # type: ignore[attr-defined]  # noqa: SLF001, see above


def _finish() -> None:
    """Run the finalizers of multiprocessing; from Python 3.13 on they come after threads."""
    for name in ("multiprocess.util", "multiprocessing.util"):
        if name in sys.modules:
            sys.modules[name]._run_finalizers(0)  # noqa: SLF001, as its own end does


def _end_children() -> None:
    from motorpool._system.children import end_children  # noqa: PLC0415, which imports this

    end_children()


def peak_memory() -> int:
    """Most memory that this process has held so far, in bytes; 0 if the system does not say."""
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class PeakMemory:
    """Reads this process's peak of memory, in no more than a fiftieth of the time.

    It may take the system 40 us, and 2 ms when it is busy.
    """

    def __init__(self) -> None:
        self._peak = 0
        self._next = 0.0

    def read(self) -> int:
        """The peak in bytes, maybe of a moment ago."""
        began = time.perf_counter()
        if began >= self._next:
            self._peak = peak_memory()
            ended = time.perf_counter()
            self._next = ended + 50 * (ended - began)
        return self._peak


def watch_parent(pid: int, folders: tuple[str, ...]) -> None:
    """End this process when another one ends, and remove its folders; once for each process."""
    known = pid in _watched
    _watched.setdefault(pid, set()).update(folders)
    if not known:
        threading.Thread(target=_outlive, args=(pid,), name="motorpool-watch", daemon=True).start()


def _outlive(pid: int) -> None:
    import shutil  # noqa: PLC0415, takes 5 ms, once in the life of a worker

    _wait_for_end(pid)
    _end_children()
    for folder in _watched[pid]:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _wait_for_end(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # not Linux, or a kernel or sandbox without it
        _poll_for_end(pid)
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll()
    os.close(fd)


def _poll_for_end(pid: int) -> None:
    if sys.platform == "win32":  # os.kill(pid, 0) would end the process there
        from multiprocessing import connection, parent_process  # noqa: PLC0415, rarely needed

        if (parent := parent_process()) is not None:
            connection.wait([parent.sentinel])
        return
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(_POLL_INTERVAL)
