"""Adds to tracebacks of workers what only the driver knows: source lines, and cells of notebooks.

faulthandler writes no source at all, and a worker has none of what was typed into a notebook.
"""

from __future__ import annotations

import linecache
import re
import sys

# A line of a traceback, and of faulthandler, which puts no comma; in a group of exceptions these
# are drawn beside a rule.
_FRAME = re.compile(r'^(?P<lead>[ |+-]*)File "(?P<file>[^"]+)", line (?P<line>\d+)(?P<rest>.*)$')


def with_sources(text: str) -> str:
    """A traceback, with the source of each frame that has none, as far as it is known here.

    Args:
        text: The traceback.

    Returns:
        The same, with cells of a notebook by their numbers.
    """
    lines, found = text.split("\n"), []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        frame = _FRAME.match(line)
        if frame is None:
            found.append(line)
            continue
        lead, file, number = frame["lead"], frame["file"], int(frame["line"])
        found.append(f"{lead}{_place(file)}, line {number}{frame['rest']}")
        if not following.startswith(f"{lead}  "):
            source = linecache.getline(file, number).strip()
            found += [f"{lead}  {source}"] if source else []
    return "\n".join(found)


def _place(file: str) -> str:
    """How IPython names a cell that it has compiled; a file as Python does."""
    ipython = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    name = getattr(getattr(ipython, "compile", None), "format_code_name", lambda _: None)(file)
    return f'File "{file}"' if name is None else " ".join(name)
