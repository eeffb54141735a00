"""One worker of the direct pool, as the pool sees it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motorpool._backends.direct.frames import FrameReader, Kind, frame
from motorpool._backends.direct.loop import worker_main
from motorpool._system.activity import is_ending
from motorpool.errors import WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PIECE = 1 << 18
# How long, in seconds, to wait for the exit code of a process that is known to be dead.
_REAP_TIME = 5.0
# The same for one of which only the end of its pipe is known.
_LAST_CHANCE = 0.1
# Between two looks (s) at whether it has ended.
_PAUSE = 0.001
_HUNG_UP = (
    "it closed its pipe to the pool and went on, and was ended for that. The node, or a library "
    "it uses, closed descriptors that were not its own."
)
OUT_OF_STEP = (
    "it sent what was no answer, and was ended for that. The node, or a library it uses, wrote "
    "to descriptors that were not its own."
)


@dataclass(slots=True, eq=False)
class Task:
    """A call that waits for a worker, or for a result.

    Attributes:
        number: What the frames call it.
        future: The caller's.
        frame: What to send.
        near: Process id of the worker that it had best run on, if it matters.
        insists: Whether it goes there whatever that worker has to do, as long as it lives.
        running: Whether the future says that it runs; such a task cannot be cancelled any more.
    """

    number: int
    future: Future[Any]
    frame: bytes
    near: int | None = None
    insists: bool = False
    running: bool = False


class WorkerHandle:
    """A worker process, its pipe, and the tasks that are with it.

    Args:
        context: How to start processes.
        dumps: Pickles, in the worker.
        loads: Unpickles, in the worker.
        others: Our ends of the other pipes, for a forked worker to close.
    """

    def __init__(
        self,
        context: Any,
        dumps: Callable[[Any], bytes],
        loads: Callable[[bytes], Any],
        others: Sequence[socket.socket],
    ) -> None:
        self.sock, theirs = socket.socketpair()
        inherited = [self.sock, *others] if context.get_start_method() == "fork" else []
        self.process = context.Process(
            target=worker_main,
            args=(theirs, dumps, loads, os.getpid(), inherited),
            name="motorpool-worker",
        )
        try:
            self.process.start()
        except BaseException:
            self.sock.close()
            raise
        finally:
            theirs.close()
        self.sock.setblocking(False)
        self.pid: int = self.process.pid
        self.death = _death_descriptor(self.process)
        self.tasks: deque[Task] = deque()
        self.served = 0
        self.ready = False
        self.stopped_at: float | None = None
        self.reason = ""  # why the pool had to end it
        self.busy_since = 0.0
        self.watched_for_room = False  # does the selector watch for room in the pipe?
        self._reader = FrameReader()
        self._unsent: deque[memoryview] = deque()

    @property
    def must_be_asked(self) -> bool:
        """Whether its death may go unnoticed: without a pidfd, a forked child can hide it."""
        return self.death is None or self.death == self.process.sentinel

    @property
    def wants_to_write(self) -> bool:
        """Whether something could not be sent at once."""
        return bool(self._unsent)

    def give(self, task: Task) -> None:
        """Send a task."""
        if not self.tasks:
            self.busy_since = time.perf_counter()
        self.tasks.append(task)
        self.served += 1
        self.send(task.frame)

    def stop(self) -> None:
        """Ask the worker to end when it has answered."""
        if self.stopped_at is None:
            self.stopped_at = time.monotonic()
            self.send(frame(Kind.STOP, 0))

    def send(self, data: bytes) -> None:
        """Send without blocking; the rest goes when the pipe has room."""
        self._unsent.append(memoryview(data))
        if len(self._unsent) == 1:
            self.flush()

    def flush(self) -> None:
        """Send what is left, as far as the pipe has room."""
        with contextlib.suppress(BlockingIOError):
            try:
                while self._unsent:
                    rest = self._unsent[0]
                    self._unsent[0] = rest = rest[self.sock.send(rest) :]
                    if not rest:
                        self._unsent.popleft()
            except OSError as error:
                if isinstance(error, BlockingIOError):
                    raise
                self._unsent.clear()  # it is dead, which its descriptor will show

    def receive(self) -> tuple[list[tuple[int, int, bytes]], bool]:
        """Read what has arrived.

        Returns:
            The frames that are complete, and whether the other end is closed.
        """
        frames: list[tuple[int, int, bytes]] = []
        try:
            piece = self.sock.recv(_PIECE)
        except BlockingIOError:
            return frames, False
        except OSError:
            return frames, True
        return list(self._reader.feed(piece)), not piece

    def end_because(self, reason: str) -> None:
        """Kill the process for what it has done, which its exit code would not say."""
        self.reason = reason
        self.process.kill()

    def reap(self) -> int | None:
        """End the process if it lives, and free its descriptors.

        Returns:
            Its exit code; None if that is unknown, or of our own kill for a `reason`.
        """
        ended = self._ends_within(0 if self.death is None else _LAST_CHANCE)
        if not ended and not is_ending(self.pid):
            self.end_because(_HUNG_UP)
        self._ends_within(_REAP_TIME)
        code: int | None = self.process.exitcode
        if self.reason and code is not None and code < 0:
            code = None
        self.sock.close()
        if self.death is not None and self.death != self.process.sentinel:
            os.close(self.death)
        with contextlib.suppress(ValueError):  # still running, which is reported elsewhere
            self.process.close()
        return code

    def _ends_within(self, seconds: float) -> bool:
        """Wait for the process's end; return whether it has come.

        `join` with a timeout waits for ever if a spawned process has closed its sentinel.
        """
        deadline = time.monotonic() + seconds
        while self.process.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def crash(self, code: int | None) -> WorkerCrashedError:
        """The error of the task that it was at when it ended, with what `reap` has returned."""
        reason = self.reason if code is None else ""
        how = reason or f"exit code {code}."
        error = WorkerCrashedError(f"The worker (pid {self.pid}) died: {how}")
        error.pid, error.exitcode, error.reason = self.pid, code, reason
        return error


def _death_descriptor(process: Any) -> int | None:
    """A descriptor that is readable when the process is dead; None where there is none.

    The end of the pipe is not enough: a child that the node has forked keeps it open.
    """
    try:
        return os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        return None if os.name == "nt" else int(process.sentinel)
