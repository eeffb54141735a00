"""The conformance kit: tests that a backend inherits, failures included.

    from motorpool.testing import BackendConformance

    class TestMyBackend(BackendConformance):
        backend = "mybackend"

Needs `motorpool[testing]`. `motorpool check mybackend` runs the same tests, without a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motorpool.testing._conformance import BackendConformance

__all__ = ["BackendConformance"]


def __getattr__(name: str) -> Any:
    # Workers import `_tasks` from here, and need no pytest.
    if name == "BackendConformance":
        from motorpool.testing._conformance import BackendConformance  # noqa: PLC0415

        return BackendConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
