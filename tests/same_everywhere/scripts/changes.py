"""Defines names again between runs of one runner, as in a notebook."""

import json
import sys

from motorpool import ParallelRunner, node, pipeline


def version(n):
    return "old"


class Model:
    def version(self):
        return "old"


VALUE = 1


def value(n):
    return VALUE


def of_class(n):
    return Model().version()


def of_object(model):
    return [model.version(), type(model).__name__ == "Model"]


found = {"function": [], "class": [], "variable": []}
with ParallelRunner(sys.argv[1], max_workers=1, runs_folder=False) as runner:

    def look():
        nodes = [node(version, "n", "v"), node(of_class, "n", "c"), node(value, "n", "x")]
        result = runner.run(pipeline(nodes), {"n": 1})
        return [result[name].load() for name in "vcx"]

    first = look()
    old = Model()

    def version(n):
        return "new"

    class Model:
        def version(self):
            return "new"

    VALUE = 2
    second = look()
    Model.version = lambda self: "patched"
    third = look()
    result = runner.run(pipeline([node(of_object, "model", "seen")]), {"model": old})
    found = {
        "function": [first[0], second[0]],
        "class": [first[1], second[1], third[1]],
        "variable": [first[2], second[2]],
        "of the old class": result["seen"].load(),
    }
print(json.dumps(found))
