"""Nodes that start processes; prints what is left a while after the run, as JSON.

python outliving.py BACKEND
"""

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from joblib import Parallel, delayed

from motorpool import ParallelRunner, node, pipeline

KEPT = []


def slow_square(n):
    time.sleep(0.2)  # so that all workers of a pool come up
    return n * n


def with_joblib(n):
    return Parallel(n_jobs=2)(delayed(slow_square)(i) for i in range(n))


def with_futures(n):
    KEPT.append(ProcessPoolExecutor(2))  # never shut down
    return list(KEPT[-1].map(slow_square, range(n)))


def with_pool(n):
    KEPT.append(multiprocessing.get_context("spawn").Pool(2))
    return KEPT[-1].map(slow_square, range(n))


def with_command(n):
    KEPT.append(subprocess.Popen(["sleep", "300"]))
    return [i * i for i in range(n)]


def others():
    """Commands of the other processes of this session, but trackers, which end by themselves."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as stream:
            command = stream.read().replace(b"\0", b" ").decode()
            if int(pid) != os.getpid() and os.getsid(int(pid)) == os.getsid(0) and command:
                found.append(command)
    return [c for c in found if "resource_tracker" not in c and "forkserver" not in c]


if __name__ == "__main__":
    nodes = [
        node(f, "n", f.__name__) for f in (with_joblib, with_futures, with_pool, with_command)
    ]
    began = time.monotonic()
    result = ParallelRunner(sys.argv[1], max_workers=2, runs_folder=False).run(
        pipeline(nodes), {"n": 4}
    )
    found = [result[name].load() for name in sorted(result)]
    deadline = time.monotonic() + 10
    while others() and time.monotonic() < deadline:
        time.sleep(0.05)
    print(json.dumps({"found": found, "left": others(), "soon": time.monotonic() - began < 60}))
