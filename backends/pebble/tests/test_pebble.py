"""What is pebble's own, beside what the kit tests."""

import pytest

from motorpool import ParallelRunner, node, pipeline, registry
from motorpool.errors import BackendOptionError
from motorpool.testing import BackendConformance


@pytest.mark.matrix
class TestPebble(BackendConformance):
    """By the kit."""

    backend = "pebble"
    patience = 300.0


def test_entry_point_names_the_backend():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("pebble").__module__ == "motorpool_pebble"


def test_workers_are_replaced():
    """After as many tasks as the option says."""
    import os

    nodes = [node(lambda x: os.getpid(), "x", f"pid{i}", name=f"n{i}") for i in range(4)]
    runner = ParallelRunner("pebble", max_workers=1, max_tasks=1, fuse=False)
    result = runner.run(pipeline(nodes), {"x": 1})
    assert len({result[f"pid{i}"].load() for i in range(4)}) > 1


def test_bad_option_is_an_error():
    """Before any worker starts."""
    with pytest.raises(BackendOptionError, match="max_tasks must be at least 0, not -1"):
        ParallelRunner("pebble", max_tasks=-1)
