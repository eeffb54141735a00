"""What is multiprocess's own; the rest of its behaviour is tested with all other backends."""

import threading

from motorpool import ParallelRunner, node, pipeline, registry


def test_entry_point_leads_here():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("multiprocess").__module__ == "motorpool_multiprocess"


def test_dill_takes_what_cloudpickle_does_not():
    """A lock, for one."""
    lock = threading.Lock()
    pipe = pipeline(node(lambda x: lock.locked(), "x", "y"))
    assert ParallelRunner("multiprocess", max_workers=1).run(pipe, {"x": 1})["y"].load() is False
