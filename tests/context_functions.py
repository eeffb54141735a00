"""Nodes that look at their context and environment, and a hook that sets it up."""

import contextvars
import decimal
import logging
import os

import functions
import numpy as np

from motorpool import hookimpl


def files_with(variable):
    """How many files of runs there are on this machine, and which hold the value of a variable."""
    return functions.files_of_runs_with(os.environ[variable].encode())


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


def refuse(_value):
    """Applies no setting."""
    raise ValueError("no such option")
