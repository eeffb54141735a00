"""The loop of a worker process of the direct pool."""

from __future__ import annotations

import contextlib
import os
import pickle
from typing import TYPE_CHECKING, Any

from motorpool._backends.direct.frames import HEADER, Kind, frame, read_call
from motorpool._protocol.failure import pack
from motorpool._system import process

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


def worker_main(
    sock: socket.socket,
    dumps: Callable[[Any], bytes],
    loads: Callable[[bytes], Any],
    driver: int,
    inherited: Sequence[socket.socket] = (),
) -> None:
    """Run one task after the other until the stop frame comes, or until the pool is gone.

    Args:
        sock: The pipe to the pool.
        dumps: Pickles results.
        loads: Unpickles tasks.
        driver: Process id of the pool's process, with which this one ends.
        inherited: The pool's ends of all pipes, which a forked worker has got and must not keep:
            an end that is still open somewhere never shows its owner's death.
    """
    for other in inherited:
        other.close()
    process.start_worker(driver)
    me = os.getpid()
    sock.settimeout(None)  # whatever is so by default
    stream = sock.makefile("rb", buffering=1 << 16)
    with contextlib.suppress(ConnectionError):
        sock.sendall(frame(Kind.READY, 0))
        while len(head := stream.read(HEADER.size)) == HEADER.size:
            kind, task, length = HEADER.unpack(head)
            if kind == Kind.STOP:
                break
            answer = _run(kind, task, stream.read(length), dumps, loads)
            if os.getpid() != me:  # a task has forked, and its child has come back here
                os._exit(0)
            sock.sendall(answer)
    # The pipe stays open until this process is gone, for its end is taken for its death; without
    # an object that would complain of that.
    stream.close()
    sock.detach()


def _run(
    kind: int,
    task: int,
    payload: bytes,
    dumps: Callable[[Any], bytes],
    loads: Callable[[bytes], Any],
) -> bytes:
    """Run a task; whatever happens becomes a frame."""
    try:
        result = read_call(kind, payload, loads)()
        if type(result) is bytes:
            return frame(Kind.RAW_RESULT, task, result)
        return frame(Kind.RESULT, task, dumps(result))
    except BaseException as error:  # noqa: BLE001, the worker outlives whatever a task raises
        return frame(Kind.ERROR, task, pickle.dumps(tuple(pack(error, dumps, loads))))
