"""What the ranks of the job run: rank 0 stands between the driver and the others.

    driver --socket--> rank 0 --mpi4py.futures--> ranks 1, 2, ... : a call each, at a time

The driver is no rank, so that it survives a job that is aborted: MPI ends all ranks when one dies.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import threading
from multiprocessing.connection import Client
from typing import TYPE_CHECKING, Any

import cloudpickle
from mpi4py import MPI
from mpi4py.futures import MPICommExecutor

from motorpool.adapters import pack_result, run_call
from motorpool_mpi._wire import END, NUMBER

if TYPE_CHECKING:
    from concurrent.futures import Future
    from multiprocessing.connection import Connection


def serve(connection: Connection, executor: Any) -> None:
    """Pass calls on to the ranks, and results back, until the driver says that it is done."""
    sending = threading.Lock()

    def answer(number: bytes, future: Future[bytes]) -> None:
        error = future.exception()
        result = future.result() if error is None else pack_result(None, error)
        with sending, contextlib.suppress(OSError):  # as `heard` will find out
            connection.send_bytes(number + result)

    while (message := heard(connection)) != END:
        future = executor.submit(run_call, message[NUMBER:])
        future.add_done_callback(functools.partial(answer, message[:NUMBER]))


def heard(connection: Connection) -> bytes:
    """What the driver says next; if that has died, all ranks end, whatever they do."""
    try:
        return connection.recv_bytes()
    except (EOFError, OSError):
        MPI.COMM_WORLD.Abort(1)
        raise


def start(path: list[str], initializer: Any) -> None:
    """Let a rank find the modules that the driver finds."""
    sys.path[:] = path
    if initializer is not None:
        initializer()


def main() -> None:
    """Be a rank; which one, MPI says."""
    world = MPI.COMM_WORLD
    pids = world.gather(os.getpid())
    if world.rank:
        with MPICommExecutor(world):
            return
    order = json.loads(sys.stdin.readline())
    address = order["address"]
    key = bytes.fromhex(order["key"])
    with Client(
        address if isinstance(address, str) else tuple(address), authkey=key
    ) as connection:
        connection.send_bytes(json.dumps(pids).encode())
        initializer = functools.partial(start, *cloudpickle.loads(heard(connection)))
        with MPICommExecutor(world, initializer=initializer) as executor:
            serve(connection, executor)


if __name__ == "__main__":
    main()
