"""Which installed backends can do what a run asks for; read when a run is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool._protocol.problem import Problem
    from motorpool.backend import ExecutorBackend


def who_ends_nodes() -> str:
    """A sentence: the backends that can end a running node."""
    return _sentence(lambda backend: backend.capabilities.ends_nodes)


def in_words(problem: Problem) -> str:
    """A problem, and the backends that do not have it."""

    def can(backend: type[ExecutorBackend]) -> bool:
        if backend.capabilities.isolation.in_process:
            return True
        return not problem.in_process_only and _pickles(backend, problem.subject)

    return f"{problem.text} {_sentence(can)}"


def _pickles(backend: type[ExecutorBackend], value: Any) -> bool:
    try:
        backend.dumps(value, lambda _buffer: None)  # large data are not copied
    except Exception:  # noqa: BLE001, whatever pickling raises
        return False
    return True


def _sentence(can: Callable[[type[ExecutorBackend]], bool]) -> str:
    known = (info.backend for info in registry.listing())
    names = [backend.name for backend in known if backend is not None and can(backend)]
    return f"These can: {', '.join(names)}." if names else "No installed backend can."
