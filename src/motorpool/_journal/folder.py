"""Where journals of runs go."""

from __future__ import annotations

import os

_FOLDER = ".motorpool/runs"
_VARIABLE = "MOTORPOOL_RUNS"
_OFF = frozenset({"", "0", "false", "no", "off"})


def runs_folder(
    chosen: str | os.PathLike[str] | bool | None = None, base: str | os.PathLike[str] = ""
) -> str | None:
    """Where journals go.

    Args:
        chosen: A folder; None for the usual one, which is `$MOTORPOOL_RUNS` or else
            `.motorpool/runs` in `base`; False for none at all.
        base: A folder; by default the working directory.
    """
    usual = os.path.join(base, _FOLDER)  # noqa: PTH118, relative paths stay so
    if isinstance(chosen, bool):
        return usual if chosen else None
    if chosen is None:
        named = os.environ.get(_VARIABLE, usual).strip()
        return None if named.lower() in _OFF else named
    return os.fspath(chosen)
