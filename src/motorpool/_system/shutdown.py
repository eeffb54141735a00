"""Sees to it that a pool whose workers share queues ends, whichever of them was killed when."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized

# How long (s) a lock that no live process needs may be taken, and no worker end: one that lives
# takes microseconds. What is killed too soon has nothing left to do.
_LOCKED_OUT = 1.0


def is_running(process: Any) -> bool:
    """Whether a process lives, without asking how it has ended.

    Of a worker of a fork server only one thread gets the exit code; a second one gets 255.

    Args:
        process: One of multiprocessing's, or alike.
    """
    try:
        return process.pid is None or not wait([process.sentinel], timeout=0)
    except ValueError:  # closed
        return False


def watch_shutdown(executor: Any) -> None:
    """Start a thread that sees to it that a pool whose workers share queues ends.

    Its `shutdown` calls it first.

    A worker that is killed takes the lock along that it has, and the others wait for it for ever:

    - that of the queue of calls, while it waits for work. If the pool is shut down before it has
      noticed the death, it waits for the others (python/cpython#94777);
    - that of the queue of results, while it sends a large one. The pool waits for the rest, which
      nobody will send, for it could send itself.

    Then the others are killed, and the pool's own end of the queue of results is closed: it finds
    that it is broken, as it does when a worker dies at another time.

    Args:
        executor: A ProcessPoolExecutor of the standard library's, or of loky's, or a subclass.
    """
    parts = vars(executor)  # what is not public has no types, and there is no other way to see it
    processes, work = parts["_processes"], parts["_pending_work_items"]
    calls, results = parts["_call_queue"], parts["_result_queue"]
    manager = parts["_executor_manager_thread"]  # which another shutdown takes away before them
    if manager is None or not manager.is_alive():  # no thread can start at the interpreter's end
        return
    args = manager, processes, dict(processes), work, calls._rlock, results  # noqa: SLF001
    # No daemon: where its thread is the last to hold the lock, the interpreter's end would stop it
    # between giving the semaphore back and saying so, which a resource tracker takes for a leak.
    threading.Thread(target=_end_locked_out, args=args, name="motorpool-shutdown").start()


def _end_locked_out(
    manager: threading.Thread,
    processes: dict[int, Any],
    workers: dict[int, Any],
    work: Sized,
    calls: Any,
    results: Any,
) -> None:
    """Wait for the pool's thread; end what keeps it.

    Args:
        manager: The pool's thread.
        processes: The workers, as it counts them.
        workers: The same, when the pool was shut down.
        work: What it still has to do.
        calls: The lock of the queue of calls.
        results: The queue of results.
    """
    before = 0
    writer = results._writer  # noqa: SLF001
    with _closed_by_one_at_a_time(writer):
        while manager.is_alive():
            manager.join(_LOCKED_OUT)
            workers.update(processes)  # which loky empties before it waits for them
            running = [process for process in workers.values() if is_running(process)]
            dead = not all(is_running(process) for process in list(processes.values()))
            if len(running) == before and (
                (running and not work and _is_left(calls)) or (dead and _lacks_the_rest(results))
            ):
                _kill(running)
                writer.close()
            before = len(running)


@contextlib.contextmanager
def _closed_by_one_at_a_time(connection: Any) -> Iterator[None]:
    """Let the pool close its connection while this thread does.

    One of multiprocessing's says that it is closed only after it has closed its descriptor. Of two
    that close it at once the second would close that again, or what has got its number since.
    """
    lock, close = threading.Lock(), connection.close

    def close_alone() -> None:
        with lock:
            close()

    connection.close = close_alone
    try:
        yield
    finally:
        vars(connection).pop("close", None)  # its own again, and it refers to itself no longer


def _kill(workers: list[Any]) -> None:
    """Kill those that have not ended since they were looked at."""
    for process in filter(is_running, workers):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _lacks_the_rest(results: Any) -> bool:
    """Whether the sender of a message has died in the midst of it: it has the lock, nothing comes.

    On Windows there is no lock, for there a message is sent as a whole.
    """
    lock, reader = results._wlock, results._reader  # noqa: SLF001
    with contextlib.suppress(OSError):  # closed: the pool has ended
        return lock is not None and _is_left(lock) and not reader.poll()
    return False


def _is_left(lock: Any) -> bool:
    """Whether who has it must be dead."""
    if taken := lock.acquire(timeout=_LOCKED_OUT):
        lock.release()
    return not taken
