"""How workers start if nobody says: as with Kedro's own runner, where that is safe."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

from motorpool import registry
from motorpool._options import option_types
from motorpool._system.threads import may_fork

# What Kedro's own runner takes its start method from.
_VARIABLE = "KEDRO_MP_CONTEXT"
_OPTION = "start_method"


class StartMethod:
    """How a runner's workers start, as far as its options do not say so.

    By what KEDRO_MP_CONTEXT names. Else by `fork`, where that is Python's default, so Kedro's, and
    this process has no threads that a fork would miss: a forked worker has imported all that is
    imported here. Else as the backend does.

    Args:
        backend: The runner's backend, or its name.
        options: The backend's options, as the user has given them.

    Attributes:
        options: The backend's options that follow from it.
    """

    def __init__(self, backend: Any, options: dict[str, Any]) -> None:
        self.options: dict[str, Any] = {}
        self._forks = False
        if not isinstance(backend, str) or _OPTION in options:
            return
        if _OPTION not in option_types(registry.get(backend).options_type):
            return
        wanted = os.environ.get(_VARIABLE)
        self._forks = not wanted and _fork_is_usual() and may_fork()
        if wanted or self._forks:
            self.options = {_OPTION: wanted or "fork"}

    def has_changed(self) -> bool:
        """Whether it is another one from now on, for this process has got threads since."""
        if not self._forks or may_fork():
            return False
        self.options, self._forks = {}, False
        return True


def _fork_is_usual() -> bool:
    """Whether it is what multiprocessing does here; looked up without making it so for good."""
    chosen = multiprocessing.get_start_method(allow_none=True)
    return (chosen or multiprocessing.get_all_start_methods()[0]) == "fork"
