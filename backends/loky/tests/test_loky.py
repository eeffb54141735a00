"""What is loky's own; the rest of its behaviour is tested with all other backends."""

import pytest

from motorpool import ParallelRunner, node, pipeline, registry
from motorpool.errors import BackendOptionError


def test_entry_point_leads_here():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("loky").__module__ == "motorpool_loky"


def test_workers_start_in_another_context():
    """An option that is passed on."""
    runner = ParallelRunner("loky", max_workers=1, context="spawn", idle_timeout=5)
    assert runner.run(pipeline(node(len, "w", "n")), {"w": "loky"})["n"].load() == 4


def test_unknown_context_is_an_error():
    """With the contexts that there are."""
    with pytest.raises(BackendOptionError, match="'loky', 'loky_init_main' or 'spawn'"):
        ParallelRunner("loky", context="fork")
