"""Several interpreters in one process, from Python 3.14 on."""

from __future__ import annotations

import importlib
import sys
from functools import cache


@cache
def is_beside_others() -> bool:
    """Whether this code runs in an interpreter that was started by the main one of its process."""
    if sys.version_info < (3, 14):
        return False
    interpreters = importlib.import_module("concurrent.interpreters")
    return bool(interpreters.get_current() != interpreters.get_main())
