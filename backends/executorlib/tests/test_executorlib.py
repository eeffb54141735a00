"""What is executorlib's own, beside what the kit tests."""

import pytest

from motorpool import registry
from motorpool.testing import BackendConformance


@pytest.mark.matrix
class TestExecutorlib(BackendConformance):
    """By the kit."""

    backend = "executorlib"
    patience = 300.0


def test_entry_point_leads_here():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("executorlib").__module__ == "motorpool_executorlib"
