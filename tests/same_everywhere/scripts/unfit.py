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


if __name__ == "__main__":
    nodes = [
        node(f, "n", f.__name__ + "_out", name=f.__name__)
        for f in (direct_use, indirect_use, no_use)
    ]
    try:
        ParallelRunner(sys.argv[1], max_workers=2, runs_folder=False).run(
            pipeline(nodes), {"n": 1}
        )
    except ValidationError as error:
        print(json.dumps({"message": str(error)}))
