"""An executor whose workers are the ranks of an MPI job that it starts."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import sys
import threading
import weakref
from collections import deque
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import cloudpickle

from motorpool.adapters import pack_call, unpack_result
from motorpool_mpi._job import Job
from motorpool_mpi._wire import END, NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable

_live: weakref.WeakSet[MPIExecutor] = weakref.WeakSet()


class MPIExecutor(Executor):
    """Runs calls in the ranks of an MPI job.

    A rank that dies takes the job with it, as MPI will have it: all calls that were under way then
    fail with BrokenProcessPool.

    Args:
        max_workers: Number of ranks that run calls.
        mpiexec: The command that starts a job.
        hosts: Where ranks run; None for this host.
        address: The name of this host for those; None for what it calls itself.
        initializer: What a rank calls when it starts, or None.

    Raises:
        RuntimeError: If the job does not start; with what `mpiexec` says.
    """

    def __init__(
        self, max_workers: int, *, mpiexec: str = "mpiexec", hosts: str | None = None,
        address: str | None = None, initializer: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._lock = threading.RLock()
        self._free = max_workers
        self._waiting: deque[tuple[Future[Any], bytes]] = deque()
        self._running: dict[int, Future[Any]] = {}
        self._number = 0
        self._broken: str | None = None
        self._ending = self._ended = False
        self._job = Job(max_workers + 1, mpiexec, hosts)
        self._connection = self._job.connection(
            (address or socket.gethostname()) if hosts else None
        )
        self._pids: list[int] = json.loads(self._connection.recv_bytes())[1:]
        self._connection.send_bytes(cloudpickle.dumps((sys.path, initializer)))
        self._reader = threading.Thread(target=self._read, name="motorpool-mpi", daemon=True)
        self._reader.start()
        _live.add(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a rank.

        Raises:
            BrokenProcessPool: If the job has ended.
            RuntimeError: After `shutdown`.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._broken is not None:
                raise BrokenProcessPool(self._broken)
            if self._ending:
                raise RuntimeError("cannot schedule new futures after shutdown")
            try:
                task = pack_call(fn, args, kwargs)
            except Exception as error:  # noqa: BLE001, whatever pickling raises is the future's
                future.set_exception(error)
            else:
                self._waiting.append((future, task))
                self._fill()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the job when what there is has been done."""
        with self._lock:
            self._ending = True
            if cancel_futures:
                for future, _ in self._waiting:
                    future.cancel()
            self._fill()
        if wait and threading.current_thread() is not self._reader:
            self._reader.join()

    def worker_pids(self) -> list[int]:
        """Process ids of the ranks that live, if they run on this host."""
        return [pid for pid in self._pids if _is_alive(pid)]

    def job_pids(self) -> list[int]:
        """Process id of `mpiexec`, in a list; none if the job is over."""
        return self._job.pids()

    def kill(self) -> None:
        """End the job at once, whatever its ranks do."""
        self._job.kill()

    def exitcode(self, pid: int) -> int | None:
        """Exit code of the rank that ended the job; None if it was another, or is unknown."""
        rank, code = self._job.verdict()
        return code if rank is not None and self._pids[rank - 1 : rank] == [pid] else None

    def _fill(self) -> None:
        """Hand on what can run now, and say so when that was all."""
        while self._waiting and self._free and self._broken is None:
            future, task = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            self._number, self._free = self._number + 1, self._free - 1
            self._running[self._number] = future
            self._send(self._number.to_bytes(NUMBER, "little") + task)
        if self._ending and not self._waiting and not self._running and not self._ended:
            self._ended = True
            self._send(END)

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # it is over, as the reader will see
            self._connection.send_bytes(message)

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._landed(self._connection.recv_bytes())
        with self._lock:  # no other thread is sending
            self._connection.close()
        self._over(self._job.wait())

    def _landed(self, message: bytes) -> None:
        with self._lock:
            future = self._running.pop(int.from_bytes(message[:NUMBER], "little"))
            self._free += 1
            self._fill()
        unpack_result(future, message[NUMBER:])

    def _over(self, reason: str) -> None:
        """The job has ended; what is still here fails."""
        with self._lock:
            self._broken = reason
            lost = list(self._running.values())
            lost += [f for f, _ in self._waiting if f.set_running_or_notify_cancel()]
            self._running.clear()
            self._waiting.clear()
        for future in lost:
            future.set_exception(BrokenProcessPool(reason))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@atexit.register
def _end_all() -> None:
    """As with other pools: the interpreter ends when what was submitted has been done."""
    for executor in list(_live):
        executor.shutdown()
