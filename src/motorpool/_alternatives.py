"""Which installed backends can do what this one cannot; asked when a run is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.backend import ExecutorBackend


def who_ends_nodes() -> str:
    """A sentence: the backends that can end a running node."""
    return _sentence(lambda backend: backend.capabilities.ends_nodes)


def who_stays_here() -> str:
    """A sentence: the backends that run nodes in this process."""
    return _sentence(_stays_here)


def who_carries(value: Any) -> str:
    """A sentence: the backends on which a value need not be pickled, or can be."""
    return _sentence(lambda backend: _stays_here(backend) or _pickles(backend, value))


def _stays_here(backend: type[ExecutorBackend]) -> bool:
    return backend.capabilities.isolation.in_process


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
