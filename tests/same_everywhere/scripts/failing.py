"""Functions that fail, of a script or of the cells of a notebook: where they say that they have."""

import json
import sys

from motorpool import DataCatalog, ParallelRunner, node, pipeline


def divide(x):
    return x / 0  # plainly


class Model:
    def fit(self, x):
        return divide(x)


def look_up_in(table):
    def look_up(x):
        return table[x]  # in a closure

    return look_up


def touch_nothing(_x):
    import ctypes

    ctypes.string_at(0)  # the last line


if __name__ == "__main__":
    found = {}
    for name, func in {
        "method": Model().fit,
        "closure": look_up_in({}),
        "death": touch_nothing,
    }.items():
        runner = ParallelRunner(sys.argv[1], 1, runs_folder=False)
        try:
            runner.run(pipeline(node(func, "x", "y", name=name)), DataCatalog({"x": 1}))
        except Exception as error:
            found[name] = str(error.__cause__ or error)
    print(json.dumps(found))
