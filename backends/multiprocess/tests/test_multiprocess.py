"""What is multiprocess's own, beside what the kit tests."""

import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa

from motorpool import ParallelRunner, node, pipeline, registry
from motorpool.testing import BackendConformance


class TestMultiprocess(BackendConformance):
    """By the kit."""

    backend = "multiprocess"
    patience = 300.0


def test_entry_point_names_the_backend():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("multiprocess").__module__ == "motorpool_multiprocess"


def test_dill_pickles_what_cloudpickle_cannot():
    """A lock, for one."""
    lock = threading.Lock()
    pipe = pipeline(node(lambda x: lock.locked(), "x", "y"))
    assert ParallelRunner("multiprocess", max_workers=1).run(pipe, {"x": 1})["y"].load() is False


SCRIPT = """
import enum
from motorpool import ParallelRunner, node, pipeline

class Color(enum.Enum):
    RED = 1

class Point:
    pass

nodes = [
    node(lambda c: c is Color.RED, "red", "same", name="same"),
    node(lambda p: isinstance(p, Point), "point", "kind", name="kind"),
    node(lambda x: Point(), "x", "made", name="made"),
    node(lambda p: isinstance(p, Point), "made", "chained", name="chained"),
]
data = {"red": Color.RED, "point": Point(), "x": 1}
result = ParallelRunner("multiprocess", max_workers=1).run(pipeline(nodes), data)
print([result[name].load() for name in ("same", "kind", "chained")])
"""


def test_objects_of_a_class_in_main_keep_their_class(tmp_path):
    """Dill alone makes a new class at each unpickling, of which nothing is an instance."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout == "[True, True, True]\n", done.stderr
    assert "Warning" not in done.stderr


def test_equal_one_byte_buffers_are_not_merged():
    """As a table of Arrow with few rows has them; Python's own pickler took them for one."""
    backend = registry.get("multiprocess")
    table = pa.table({"a": pa.array([1, None]), "b": pa.array([None, 2])})
    value = [table, np.zeros(1, "u1"), np.zeros(1, "u1")]
    loaded = backend.loads(backend.dumps(value))
    assert loaded[0].equals(table)
    assert [a.tolist() for a in loaded[1:]] == [[0], [0]]
