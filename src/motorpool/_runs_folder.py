"""Where journals of runs go."""

from __future__ import annotations

import os

_FOLDER = ".motorpool/runs"
_VARIABLE = "MOTORPOOL_RUNS"


def runs_folder(chosen: str | os.PathLike[str] | bool | None = None) -> str | None:
    """Where journals go.

    Args:
        chosen: A folder; None for the usual one, which is `$MOTORPOOL_RUNS` or else
            `.motorpool/runs` in the working directory; False for none at all.
    """
    if isinstance(chosen, bool):
        return _FOLDER if chosen else None
    if chosen is None:
        named = os.environ.get(_VARIABLE)
        return _FOLDER if named is None else named or None
    return os.fspath(chosen)
