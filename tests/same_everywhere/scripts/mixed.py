"""Nodes on several backends that hand each other objects of the script's classes."""

import json
import sys

from motorpool import ParallelRunner, node, pipeline


class Local:
    def __init__(self, n):
        self.n = n


class Remote(Local):
    pass


def local(n):
    return Local(n)


def remote(n):
    return Remote(n)


def look(one, other):
    return [type(one).__name__, type(other).__name__, one.n + other.n]


def check(one, other):
    return [type(one) is Local, type(other) is Remote]


if __name__ == "__main__":
    pipe = pipeline(
        [
            node(local, "n", "one", backend="threads"),
            node(remote, "m", "other"),
            node(look, ["one", "other"], "seen"),
            node(check, ["one", "other"], "here", backend="sequential"),
        ]
    )
    result = ParallelRunner(sys.argv[1], max_workers=2, runs_folder=False).run(
        pipe, {"n": 2, "m": 3}
    )
    print(json.dumps({name: result[name].load() for name in ("seen", "here")}))
