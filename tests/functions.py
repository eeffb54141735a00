"""Functions that tests run in workers; workers import them from here."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from motorpool import Dataset


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


class FileDataset(Dataset):
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


def table_of(n):
    import pandas as pd

    return pd.DataFrame({"n": range(n)})


def total(table):
    return int(table["n"].sum())


def twice(table):
    return table * 2


class OddError(Exception):
    """Pickles, and does not unpickle."""

    def __init__(self, a, b):
        super().__init__(a + b)


def present(path, name):
    """Write down that a node runs."""
    with Path(path).open("a") as file:
        file.write(f"{name}\n")


def say(x):
    sys.stdout.write("said\n")
    sys.stdout.flush()
    return x


def crash_if_large(x):
    if x > 1000:
        os._exit(9)
    return x


def fail_if_odd(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def add_path(_number, path):
    return path


def increment_slowly_now_and_then(x):
    """So that the time a node takes is known wrongly."""
    time.sleep(0.05 if x % 10 == 9 else 0)
    return x + 1


def version_of(name):
    """What a module of the user says its version is, imported in the node."""
    return importlib.import_module(name).VERSION


def hash_of(text):
    """Its hash, and the variable that would set the seed."""
    return hash(text), os.environ.get("PYTHONHASHSEED")


def layout(*arrays):
    """Of each, whether it is laid out in rows, and whether in columns."""
    return [(array.flags.c_contiguous, array.flags.f_contiguous) for array in arrays]


def set_item(mapping):
    """Change a mapping."""
    mapping["key"] = "value"
    return True


def files_of_runs_with(wanted):
    """How many files of runs there are on this machine, and which of them hold some bytes."""
    seen, holding = 0, []
    for place in [*Path("/dev/shm").glob("*motorpool*"), Path(".motorpool")]:
        for folder, _, names in os.walk(place):  # what other runs remove meanwhile is left out
            for name in names:
                with contextlib.suppress(OSError):
                    holding += [name] * (wanted in Path(folder, name).read_bytes())
                    seen += 1
    return seen, holding


class SlowDataset(Dataset):
    """Keeps a number in a file, and takes its time."""

    def __init__(self, path, value=None):
        self.path = str(path)
        if value is not None:
            Path(path).write_text(str(value))

    def load(self):
        time.sleep(0.1)
        return int(Path(self.path).read_text())

    def save(self, data):
        time.sleep(0.1)
        Path(self.path).write_text(str(data))


def repeated(x):
    return b"x" * x * 1_000_000


def log_it(x):
    logging.getLogger("mine").warning("logged %s", x)
    return x


def zeros(n):
    import numpy as np

    return np.zeros(n)


#: Taken by a handler of log records, for a test.
LOCK = threading.Lock()


def can_lock(x):
    """Whether this process can have it; a copy of it that is taken is never given back."""
    return LOCK.acquire(timeout=10)


def exit_if_set(variable):
    """End this process, with 1 if a variable is set in it."""
    sys.exit(variable in os.environ)


def slow_text(x):
    """A text, after 0.1 s."""
    time.sleep(0.1)
    return str(x)


def interval(seconds, *_):
    """When this was called and when it returned, by a clock that all processes share."""
    began = time.monotonic()
    time.sleep(seconds)
    return began, time.monotonic()


def call_twice(function, *arguments):
    """Call a function two times; return what it returns the second time."""
    function(*arguments)
    return function(*arguments)


def slow_once(x, mark):
    """Add one; take long if that was never done before."""
    if not os.path.exists(mark):
        append(mark, "here")
        time.sleep(0.5)
    return x + 1
