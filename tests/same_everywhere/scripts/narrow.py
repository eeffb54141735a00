"""Runs a pipeline in a narrow place, and writes what came of it to a file, as JSON.

python narrow.py BACKEND PLACE FILE
"""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
from functools import partial

import numpy as np

from motorpool import ParallelRunner, node, pipeline
from motorpool.errors import ValidationError


def say(x):
    print("hello")
    return x + 1


def make(x, i):
    return np.full(10_000, i, "float64")


def total(*arrays):
    return int(sum(array[0] for array in arrays))


class Counter:
    def __init__(self):
        self.lock, self.value = threading.RLock(), 0

    def up(self, n):
        with self.lock:
            self.value += n
            return self.value


def run(backend, pipe, data):
    return ParallelRunner(backend, max_workers=2, runs_folder=False).run(pipe, data)


def small(backend):
    pipe = pipeline([node(say, "x", "y"), node(say, "x", "z")])
    return run(backend, pipe, {"x": 1})["y"].load()


def plain(backend):
    return small(backend)


def descriptors(backend):
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    makers = [node(partial(make, i=i), "x", f"y{i}", name=f"n{i}") for i in range(500)]
    adder = node(total, [f"y{i}" for i in range(500)], "sum")
    found = run(backend, pipeline([*makers, adder]), {"x": 1})["sum"].load()
    result = run(backend, pipeline(makers), {"x": 1})
    return [found, total(*(dataset.load() for dataset in result.values()))]


def long_path(backend):
    with tempfile.TemporaryDirectory() as base:
        folder = os.path.join(base, *["scratch-folder-of-the-job"] * 4)
        os.makedirs(folder)
        os.environ["TMPDIR"], tempfile.tempdir = folder, None
        return small(backend)


def work(backend, pipe_end):
    pipe_end.send(small(backend))


def daemon(backend):
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    child = context.Process(target=work, args=(backend, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        child.join()


def no_streams(backend):
    if len(sys.argv) == 4:  # once more, with none
        command = (
            f"exec '{sys.executable}' '{__file__}' {backend} no_streams '{sys.argv[3]}' again"
        )
        subprocess.run(["sh", "-c", command + " <&- >&- 2>&-"], check=True)
        sys.exit()
    return small(backend)


def streams_of_none(backend):
    sys.stdin = sys.stdout = sys.stderr = None
    return small(backend)


def folder_that_is_gone(backend):
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    return small(backend)


def taken_lock(backend):
    counter = Counter()
    with counter.lock:
        try:
            return run(backend, pipeline([node(counter.up, "x", "y")]), {"x": 3})["y"].load()
        except ValidationError as error:
            return "refused" if "RLock" in str(error) else str(error)


if __name__ == "__main__":
    backend, place, file = sys.argv[1:4]
    found = globals()[place](backend)
    with open(file, "w") as stream:
        json.dump(found, stream)
