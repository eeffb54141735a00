"""Functions that tests run in workers; workers import them from here."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

from motorpool import allocate, hookimpl

KEPT = []


def identity(x):
    return x


def add(*numbers):
    return sum(numbers)


def increment(x):
    return x + 1


def fail(x):
    raise ValueError(f"cannot use {x}")


def pid(*_inputs):
    return os.getpid()


def where(_x):
    return os.getpid(), threading.get_ident()


def segfault(_x):
    os.kill(os.getpid(), signal.SIGSEGV)


def kill_self(_x):
    os.kill(os.getpid(), signal.SIGKILL)


def exit_hard(_x):
    os._exit(7)


def exit_soft(_x):
    sys.exit(3)


def hang(_x):
    threading.Event().wait()


def touch(path):
    Path(path).touch()
    return str(path)


# What never comes is a failure; what comes late, on a busy machine, is none.
LIMIT = 300.0


def wait_until(condition, seconds=LIMIT):
    """Look again and again; whether the condition has come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def wait_for(path):
    """Wait for a file, which another node or the driver makes."""
    if not wait_until(Path(path).exists):
        raise TimeoutError(f"{path} has not come")
    return str(path)


def is_alive(pid):
    """Whether a process runs; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def append(path, line):
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


def chunks(n):
    yield from range(n)


def pairs(n):
    for i in range(n):
        yield i, -i


class Method:
    """Something with a bound method."""

    def __init__(self, step):
        self.step = step

    def shift(self, x):
        return x + self.step


class Unpicklable:
    """Cannot be pickled."""

    def __reduce__(self):
        raise TypeError("this one stays here")


class StaysHere(Unpicklable):
    """Cannot be pickled, and need not be copied."""

    def __deepcopy__(self, memo):
        return self


def make_unpicklable(_x):
    return Unpicklable()


class UnfriendlyError(Exception):
    """Cannot be unpickled: its constructor wants more than it keeps."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def raise_unfriendly(_x):
    raise UnfriendlyError(1, 2)


class FileDataset:
    """A persistent dataset of text, with the optional methods."""

    def __init__(self, path):
        self.path = str(path)

    def load(self):
        return Path(self.path).read_text()

    def save(self, data):
        Path(self.path).write_text(str(data))

    def exists(self):
        return Path(self.path).exists()

    def confirm(self):
        Path(self.path + ".confirmed").touch()


class AppendingDataset(FileDataset):
    """Keeps every chunk."""

    def save(self, data):
        append(self.path, data)


def exit_hard_at_start(*_args):
    os._exit(9)


class Diary:
    """Writes down every call, from whatever process."""

    def __init__(self, path):
        self.path = str(path)

    def _note(self, *words):
        append(self.path, " ".join(map(str, words)))

    @hookimpl
    def motorpool_worker_started(self, backend):
        self._note("worker", backend)

    @hookimpl
    def before_dataset_loaded(self, dataset_name, node):
        self._note("before_load", dataset_name, node.name)

    @hookimpl
    def after_dataset_loaded(self, dataset_name, data):
        self._note("after_load", dataset_name, data)

    @hookimpl
    def before_node_run(self, node, inputs, is_async, run_id):
        self._note("before_run", node.name, inputs, is_async, run_id)

    @hookimpl
    def after_node_run(self, node, outputs):
        self._note("after_run", node.name, outputs)

    @hookimpl
    def on_node_error(self, error, node):
        self._note("error", node.name, error)

    @hookimpl
    def before_dataset_saved(self, dataset_name, data):
        self._note("before_save", dataset_name, data)

    @hookimpl
    def after_dataset_saved(self, dataset_name):
        self._note("after_save", dataset_name)

    @property
    def lines(self):  # pluggy looks at it, too
        path = Path(self.path)
        return path.read_text().splitlines() if path.exists() else []


def table_of(n):
    import pandas as pd

    return pd.DataFrame({"n": range(n)})


def total(table):
    return int(table["n"].sum())


def twice(table):
    return table * 2


class NodeCalls:
    """Writes down the nodes that are about to run, and the process."""

    def __init__(self, path):
        self.path = path

    @hookimpl
    def before_node_run(self, node):
        append(self.path, f"{node.name}:{os.getpid()}")


class DeadlySetUp:
    """Kills the worker that it should set up."""

    @hookimpl
    def motorpool_worker_started(self):
        os._exit(8)


class OddError(Exception):
    """Pickles, and does not unpickle."""

    def __init__(self, a, b):
        super().__init__(a + b)


def present(path, name):
    """Write down that a node runs."""
    with Path(path).open("a") as file:
        file.write(f"{name}\n")


class TryRecorder:
    """Writes down which try each hook was told of."""

    def __init__(self, path):
        self.path = path

    @hookimpl
    def before_node_run(self, attempt):
        """Before."""
        present(self.path, f"before{attempt}")

    @hookimpl
    def after_node_run(self, attempt):
        """After."""
        present(self.path, f"after{attempt}")

    @hookimpl
    def on_node_error(self, error, attempt):
        """Between."""
        present(self.path, f"error{attempt}")


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
    """Sleep in C without letting anybody else in this process run."""
    ctypes.PyDLL(None).sleep(600)


def hang_in_a_read(x):
    """Read from a pipe that nobody writes to."""
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


def say(x):
    sys.stdout.write("said\n")
    sys.stdout.flush()
    return x


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


def make_allocated(n):
    """An array in the store, which its maker keeps as well."""
    array = allocate((n, 2))
    array[:] = 3
    make_allocated.kept = array
    return array


def change_what_was_kept(array):
    before = array.sum()
    make_allocated.kept[:] = 100
    return float(before + array.sum())


def crash_if_large(x):
    if x > 1000:
        os._exit(9)
    return x


def fail_if_odd(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def make_range(n):
    import numpy as np  # not above: a fresh worker would take 0.3 s longer to begin with any node

    return np.arange(n, dtype="float64")


def keep_range(n):
    KEPT[:] = [make_range(n)]
    return KEPT[0]


def range_is_kept(_copy, n):
    return bool((KEPT.pop() == make_range(n)).all())


def add_path(_number, path):
    return path


class LoadingHooks:
    """Writes down what nodes are about to read."""

    def __init__(self, path):
        self.path = str(path)

    @hookimpl
    def before_node_run(self, node, catalog):
        for name in node.inputs:
            append(self.path, f"{name}={catalog.load(name)}")


def increment_slowly_now_and_then(x):
    """So that the time a node takes is known wrongly."""
    time.sleep(0.05 if x % 10 == 9 else 0)
    return x + 1
