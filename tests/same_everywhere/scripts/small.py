"""A script that may be a module of a package, or a text without a file."""

import dataclasses
import enum
import json
import multiprocessing
import sys

from motorpool import ParallelRunner, node, pipeline


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Row:
    a: int


def make(n):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return [Colour.RED, Row(n), pool.map(Row, [n])[0]]


def look(rows):
    return [rows[0] is Colour.RED, rows[1] == Row(3), rows[1] == rows[2]]


def relative(n):
    if __package__ is None:
        return None
    from .helpers import double

    return double(n)


def spec(n):
    spec = sys.modules["__main__"].__spec__
    return {"name": spec and spec.name}


if __name__ == "__main__":
    nodes = [node(make, "n", "rows"), node(look, "rows", "same"), node(spec, "n", "spec")]
    if __package__ is not None:
        nodes.append(node(relative, "n", "relative"))
    result = ParallelRunner(sys.argv[1], max_workers=2, runs_folder=False).run(
        pipeline(nodes), {"n": 3}
    )
    print(
        json.dumps(
            {
                "same": result["same"].load(),
                "spec": result["spec"].load()["name"],
                "relative": result["relative"].load() if "relative" in result else None,
            }
        )
    )
