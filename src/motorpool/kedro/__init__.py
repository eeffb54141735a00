"""Runners for Kedro projects: change one flag, and nothing else.

    kedro run --runner=motorpool.kedro.ParallelRunner
    kedro run --runner=motorpool.kedro.LokyRunner --runner-params=max_workers=4

There is a runner for each installed backend, named after it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from motorpool import registry

if TYPE_CHECKING:
    from motorpool.kedro._runners import ParallelRunner, SequentialRunner, ThreadRunner

__all__ = ["ParallelRunner", "SequentialRunner", "ThreadRunner"]


# Workers need a part of this package only, and import it in another order.
def __getattr__(name: str) -> Any:
    if name in __all__:
        from motorpool.kedro import _runners  # noqa: PLC0415, as above

        return getattr(_runners, name)
    if name.endswith("Runner") and not name.startswith("_"):
        for backend in registry.names():
            if _runner_name(backend) == name:
                return _runner_on(backend)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; its runners are {', '.join(_names())}"
    )


def __dir__() -> list[str]:
    return _names()


def _names() -> list[str]:
    return sorted({*__all__, *map(_runner_name, registry.names())})


def _runner_name(backend: str) -> str:
    words = backend.replace("-", "_").split("_")
    return "".join(word.capitalize() for word in words) + "Runner"


@functools.cache
def _runner_on(backend: str) -> type[ParallelRunner]:
    from motorpool.kedro._runners import ParallelRunner  # noqa: PLC0415, as above

    return type(
        _runner_name(backend),
        (ParallelRunner,),
        {
            "__doc__": f"`ParallelRunner` on the backend {backend!r}.",
            "__module__": __name__,
            "default_backend": backend,
        },
    )
