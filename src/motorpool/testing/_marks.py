"""What a test of the kit needs, and from which level on it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.backend import Capabilities

#: Each includes those before it.
LEVELS = ("core", "data", "faults", "distributed")
#: What a backend may declare if the tests that need it pass.
DECLARABLE = ("exact_blame", "kills_workers", "places_tasks", "queues_tasks", "restarts")

_Test = TypeVar("_Test", bound="Callable[..., Any]")


def level(name: str) -> Callable[[type[Any]], type[Any]]:
    """Say of which level the tests of a class are."""

    def mark(cls: type[Any]) -> type[Any]:
        for key, value in vars(cls).items():
            if key.startswith("test_"):
                value.motorpool_level = name
        return cls

    return mark


def needs(*capabilities: str) -> Callable[[_Test], _Test]:
    """Say what a test needs: names of fields or properties of `Capabilities`.

    "isolation" means that nodes run in other processes than the driver's. Without it the test is
    not run; without any other, it is, and may fail.
    """

    def mark(test: _Test) -> _Test:
        test.motorpool_needs = capabilities  # type: ignore[attr-defined]
        return test

    return mark


def is_declared(capabilities: Capabilities, name: str) -> bool:
    """Whether a backend declares that it can do something."""
    if name == "isolation":
        return not capabilities.isolation.in_process
    if name == "cluster":
        return capabilities.isolation.value == "cluster"
    return bool(getattr(capabilities, name))
