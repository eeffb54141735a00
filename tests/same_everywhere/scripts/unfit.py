"""A global that belongs to the process."""

import json
import sys

from motorpool import ParallelRunner, node, pipeline
from motorpool.errors import ValidationError

generator = (i for i in range(3))


def direct_use(n):
    return next(generator)


def helper(n):
    return direct_use(n)


def indirect_use(n):
    return helper(n)


def no_use(n):
    return n.generator


class Holding:
    """A class that belongs to the process as well."""

    other = (i for i in range(3))


def message(nodes, catalog):
    try:
        runner = ParallelRunner(sys.argv[1], max_workers=2, runs_folder=False)
        runner.run(pipeline(nodes), catalog)
    except ValidationError as error:
        return str(error)


if __name__ == "__main__":
    nodes = [
        node(f, "n", f.__name__ + "_out", name=f.__name__)
        for f in (direct_use, indirect_use, no_use)
    ]
    found = {
        "message": message(nodes, {"n": 1}),
        "of an input": message([node(str, "x", "y")], {"x": Holding()}),
    }
    print(json.dumps(found))
