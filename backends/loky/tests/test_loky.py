"""What is loky's own; the rest of its behaviour is tested with all other backends."""

import threading

import pytest

from motorpool import ParallelRunner, node, pipeline, registry
from motorpool.errors import BackendOptionError


def test_entry_point_leads_here():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("loky").__module__ == "motorpool_loky"


def test_option_is_passed_on():
    """Workers that idle end, and the next run gets new ones."""
    with ParallelRunner("loky", max_workers=1, idle_timeout=0.2) as runner:
        for word in ("loky", "again"):
            pipe = pipeline(node(len, "w", "n"))
            assert runner.run(pipe, {"w": word})["n"].load() == len(word)
            threading.Event().wait(0.5)


def test_bad_option_is_an_error():
    """Before any worker starts."""
    with pytest.raises(BackendOptionError, match="idle_timeout must be positive, not -1"):
        ParallelRunner("loky", idle_timeout=-1)
