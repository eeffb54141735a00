"""Nodes that look at their context and environment, and a hook that sets it up."""

import contextlib
import contextvars
import decimal
import logging
import os
from pathlib import Path

import numpy as np

from motorpool import hookimpl


def files_with(variable):
    """How many files of runs there are on this machine, and which hold the value of a variable."""
    wanted = os.environ[variable].encode()
    seen, holding = 0, []
    for place in [*Path("/dev/shm").glob("*motorpool*"), Path(".motorpool")]:
        for folder, _, names in os.walk(place):  # what other runs remove meanwhile is left out
            for name in names:
                with contextlib.suppress(OSError):
                    holding += [name] * (wanted in Path(folder, name).read_bytes())
                    seen += 1
    return seen, holding


TOKEN = contextvars.ContextVar("token", default="")


def token(_):
    return TOKEN.get()


class SetsUp:
    """Sets up each worker."""

    @hookimpl
    def motorpool_worker_started(self):
        decimal.getcontext().prec = 7
        np.seterr(divide="raise")


def look(_):
    """What a node finds."""
    return [len(str(decimal.Decimal(1) / 3)) - 2, np.geterr()["divide"]]


def say(name):
    """Log a line, with a logger that has levels above it."""
    logging.getLogger("probe.inner").warning("said of %s", name)


def processors(_x):
    """Those that this may run on."""
    return os.sched_getaffinity(0)
