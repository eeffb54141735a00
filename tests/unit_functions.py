"""Functions of nodes that run many at a time."""

import os
import time
from pathlib import Path

import numpy as np

import motorpool


class Loader:
    """Looks like a dataset, and is none."""

    def load(self):
        """As a dataset has it."""

    def save(self, data):
        """Likewise."""


def a_list(_x):
    """Something that can be changed."""
    return [0]


def first(x):
    """What is in it."""
    return x[0]


def collect(*values):
    """All of them."""
    return list(values)


def appended(made, x):
    """Changes what it reads."""
    made.append(x)
    return made


def pair(value, _x):
    """A value, and what it is."""
    return value, type(value).__name__


def nth(x, i):
    """A number, by now and then something else."""
    return i if x[i] is None else x[i](i)


def fail(i):
    """Raise something."""
    return 1 // (i - i)


def loader(_i):
    """Something that looks like a dataset."""
    return Loader()


def nothing(_i):
    """None, which cannot be saved."""


def large(i):
    """An array that goes to the store."""
    return np.full(20_000, float(i))


def allocated(i):
    """Likewise, made in the store."""
    array = motorpool.allocate(20_000)
    array[:] = i
    return array


def stream(i):
    """A generator; what it yields last stays."""
    return (n for n in [-1, i])


def die(_i):
    """End the worker."""
    os._exit(5)


def fork(i):
    """Come back twice."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return -i if child else i


def once(i, folder):
    """Fail the first time."""
    mark = Path(folder, f"{i}")
    if mark.exists():
        return i
    mark.touch()
    raise OSError(i)


def minus(i):
    """The opposite."""
    return -i


def note(path, i):
    """Write down that it was called."""
    with Path(path).open("a") as file:
        file.write(f"{i}\n")
    return i


def array(i):
    """An array that nothing else refers to."""
    return np.full(3, i)


def plus_one_slowly(x):
    """Take so long that what is done before is told first."""
    time.sleep(0.05)
    return x + 1


def turned(a=None, b=None, **_others):
    """Two values, the other way round."""
    return b, a


def by_key(a, b=None):
    """The same, with names."""
    return {"first": b, "second": a}


def one_in_a_list(value, *_others):
    """A value that is the only one of several."""
    return [value]


def nothing_at_all(*_values):
    """Nothing that anyone would keep."""
    return object()


def as_many(count, at):
    """So many values, for the number of a node."""
    return [at] * count
