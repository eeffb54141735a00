"""What goes wrong in a node, in the ways that are hard to survive."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import stat
import struct
import sys
import threading
import time
from pathlib import Path

import functions

from motorpool import hookimpl


class TwoArgumentsError(Exception):
    """Pickles well, and does not unpickle."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def overflow_stack(x):
    """Let glibc's parser of regular expressions recurse until the stack is full."""
    libc = ctypes.CDLL(None)
    libc.regcomp(ctypes.create_string_buffer(256), b"(" * 3_000_000, 1)
    return x


def abort(x):
    os.abort()


def close_everything(x):
    """Close every descriptor, the worker's pipe among them."""
    os.closerange(3, 4096)
    return x


def close_everything_and_go_on(x):
    """Close every descriptor, and do not notice."""
    os.closerange(3, 4096)
    time.sleep(600)
    return x


def write_everywhere(x):
    """Write to each socket of the process, the worker's pipe among them, as if it were a task's.

    As `motorpool._backends.direct.frames` has frames; of a task that is not there.
    """
    frame = struct.pack("<BQQ", 3, 12345, 0)
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, frame)
    time.sleep(600)
    return x


def write_text_everywhere(x):
    """Write what is no frame to each socket of the process, as a stray `write` would."""
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, b"100 rows read, 3 of them are damaged\n")
    time.sleep(600)
    return x


def send_half_a_result(path):
    """Die as a worker of the standard library's pool that is killed while it sends a large one."""
    frame = sys._getframe()
    while "result_queue" not in frame.f_locals:
        frame = frame.f_back
    queue = frame.f_locals["result_queue"]
    with queue._wlock:
        queue._writer._send(struct.pack("!i", 1 << 20) + bytes(1 << 10))
        functions.touch(path)
        os.kill(os.getpid(), signal.SIGKILL)


def fork_and_go_on(x):
    """Leave a child behind, which ends by itself."""
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
    return x


def fork_and_return_in_both(x):
    """The child comes back into the worker's code."""
    os.fork()
    return x


def leave_a_thread(x):
    threading.Thread(target=time.sleep, args=(600,)).start()
    return x


def leave_a_mess(x):
    """Change what the next node in this process finds."""
    os.chdir("/")
    os.environ["MOTORPOOL_TEST_MESS"] = "1"
    del os.environ["HOME"]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(1)
    os.umask(0)
    sys.path, sys.argv = [], ["somebody else"]
    sys.setrecursionlimit(77)
    sys.stdout.close()
    sys.stdin = None
    for fd in range(3):
        with contextlib.suppress(OSError):
            os.close(fd)
    return x


def surroundings(*_):
    """What a node finds in its process."""
    sys.stdout.write("still there\n")
    sys.stdout.flush()
    return {
        "pid": os.getpid(),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "handlers": [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGINT)],
        "mask": [os.umask(0o022), os.umask(0o022)][0],
        "interpreter": [sys.path, sys.argv, sys.getrecursionlimit()],
        "streams": [sys.stdin is None or sys.stdin.closed, sys.stdout.closed, sys.stderr.closed],
        "files": [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)],
    }


def raise_unpicklable(x):
    error = ValueError("holds a lock")
    error.frame = sys._getframe()
    raise error


def raise_huge(x):
    raise ValueError("x" * 50_000_000)


def raise_group(x):
    raise ExceptionGroup("two", [ValueError("one"), KeyError("other")])


def raise_keyboard(x):
    raise KeyboardInterrupt


def raise_leave(x):
    raise SystemExit(3)


class OneWay:
    """Pickles, and does not unpickle."""

    def __reduce__(self):
        return int, ("no number",)


def one_way(x):
    return OneWay()


def hang_with_the_gil(x):
    """Sleep in C with the interpreter's lock held."""
    ctypes.PyDLL(None).sleep(600)


def hang_in_a_read(x):
    """Read from a pipe without a writer."""
    os.read(os.pipe()[0], 1)


class NoTextError(Exception):
    """Cannot be shown."""

    def __str__(self):
        raise RuntimeError("no text")


def raise_without_text(x):
    raise NoTextError


class RedirectOutput:
    """Sends what nodes print to a file."""

    def __init__(self, path):
        self.path = path

    @hookimpl
    def motorpool_worker_started(self):
        """Once a worker."""
        sys.stdout = Path(self.path).open("a")  # noqa: SIM115, it stays


def _finish_later(path):
    def finish():
        time.sleep(0.2)
        Path(path).touch()

    threading.Thread(target=finish).start()
    sys.exit(3)


def child_with_a_thread(path):
    """Start a process whose thread outlives its main function; return its exit code."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_finish_later, args=(path,))
    process.start()
    process.join()
    return process.exitcode
