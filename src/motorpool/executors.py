"""The direct pool, for backends that bring a process context or a pickler of their own.

A subclass of `DirectBackend` returns a `DirectExecutor` from `_get_executor`, made with its own
context, `dumps` and `loads`; everything else stays as it is with the backend `direct`.
"""

from motorpool._backends.direct.executor import DirectBackend, DirectExecutor, DirectOptions

__all__ = ["DirectBackend", "DirectExecutor", "DirectOptions"]
