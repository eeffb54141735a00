"""Sets what holds for a process differently from the default; prints what nodes found, as JSON.

python settings.py BACKEND FOLDER
"""

import contextvars
import decimal
import json
import locale
import logging
import multiprocessing
import os
import resource
import socket
import sys
import tempfile
import time
import warnings

import numpy as np
import pandas as pd

import motorpool
from motorpool import ParallelRunner, node, pipeline

REQUEST = contextvars.ContextVar("request", default="none")
UNSET = contextvars.ContextVar("unset")
GREETING = ["hello"]


def look(n):
    found = {
        "decimal": len(str(decimal.Decimal(1) / 7)),
        "numpy errors": np.geterr(),
        "numpy printing": str(np.array([1 / 3])),
        "pandas": [pd.get_option("display.max_rows"), pd.get_option("display.precision")],
        "recursion": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "argv": sys.argv[1:],
        "path": "/no/such/folder" in sys.path,
        "folder": os.path.basename(os.getcwd()),
        "environment": {k: v for k, v in os.environ.items() if k.startswith("PROBE_")},
        "mask": mask(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "locale": locale.setlocale(locale.LC_ALL),
        "method": multiprocessing.get_start_method(),
        "context": [REQUEST.get(), UNSET.get("unset"), GREETING],
        "hour": time.localtime(0).tm_hour,
        "temporary": tempfile.gettempdir() == os.environ.get("PROBE_TEMPORARY"),
        "wait": socket.getdefaulttimeout(),
        "level": logging.getLogger("probe").getEffectiveLevel(),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("of the script", DeprecationWarning, stacklevel=1)
    found["warned"] = len(caught)
    try:
        warnings.warn("of the script", UserWarning, stacklevel=1)
        found["raised"] = False
    except UserWarning:
        found["raised"] = True
    return found


def mask():
    found = os.umask(0)
    os.umask(found)
    return found


def spoil(n):
    """Changes what the next node must not see."""
    decimal.getcontext().prec = 3
    np.seterr(all="ignore")
    REQUEST.set("spoilt")
    return n


class Plugin:
    @motorpool.hookimpl
    def motorpool_capture_settings(self):
        return [(greet, GREETING[0])]


def greet(word):
    GREETING[0] = word


def differ(folder):
    decimal.getcontext().prec = 50
    np.seterr(divide="raise")
    np.set_printoptions(precision=3)
    pd.set_option("display.max_rows", 7)
    warnings.simplefilter("error", UserWarning)
    warnings.simplefilter("always", DeprecationWarning)
    sys.setrecursionlimit(2345)
    sys.set_int_max_str_digits(9999)
    sys.path.append("/no/such/folder")
    os.makedirs(folder + "/inner", exist_ok=True)
    os.chdir(folder + "/inner")
    os.umask(0o027)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (500, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    locale.setlocale(locale.LC_ALL, "C")
    multiprocessing.set_start_method("spawn")
    REQUEST.set("of the script")
    GREETING[0] = "good morning"
    logging.getLogger("probe").setLevel(12)
    os.environ["PROBE_OLD"] = "old"
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    tempfile.tempdir = folder + "/inner"
    socket.setdefaulttimeout(0.25)


def change():
    """Some of it again, between two runs."""
    decimal.getcontext().prec = 20
    np.seterr(divide="warn")
    pd.reset_option("display.max_rows")
    pd.set_option("display.precision", 2)
    warnings.simplefilter("default", UserWarning)
    sys.argv.append("more")
    os.chdir("..")
    os.umask(0o022)
    REQUEST.set("of the second run")
    UNSET.set("set")
    GREETING[0] = "good evening"
    del os.environ["PROBE_OLD"]
    os.environ["PROBE_NEW"] = "new"
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    os.environ["PROBE_TEMPORARY"] = tempfile.tempdir
    time.sleep(0.5)  # longer than sockets wait: a worker that waits for a task has no such limit


if __name__ == "__main__":
    backend, folder = sys.argv[1:3]
    del sys.argv[1:]
    hooks = motorpool.create_hook_manager()
    hooks.register(Plugin())
    chain = [node(spoil, "n", "m"), node(look, "m", "after")]
    found = []
    with ParallelRunner(backend, max_workers=1, runs_folder=False) as runner:
        differ(folder)
        for turn in range(2):
            pipe = pipeline([node(look, "n", "first"), *chain])
            result = runner.run(pipe, {"n": 1}, hooks)
            found += [result["first"].load(), result["after"].load()]
            if not turn:
                change()
    print(json.dumps(found))
