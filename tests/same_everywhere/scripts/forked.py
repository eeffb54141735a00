"""Runs a pipeline, forks, and runs it in both processes, with one runner; prints what came of it.

python forked.py BACKEND
"""

import json
import os
import sys

from motorpool import ParallelRunner, node, pipeline


def same(x):
    return x


def run(runner):
    return runner.run(pipeline([node(same, "x", "y")]), {"x": 1})["y"].load()


if __name__ == "__main__":
    with ParallelRunner(sys.argv[1], max_workers=1, runs_folder=False) as runner:
        found = [run(runner)]
        child = os.fork()
        if not child:
            os._exit(0 if run(runner) == 1 else 1)
        found += [os.waitpid(child, 0)[1], run(runner)]
    print(json.dumps(found))
