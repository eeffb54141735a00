"""What `soak.py` looks at in the system."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any


def unpickled(path: Path) -> Any:
    """Load a value from a file of our own."""
    return pickle.loads(path.read_bytes())


def _processes() -> dict[int, tuple[int, int]]:
    """Parent and group of each live process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if state != "Z":
                    found[int(entry.name)] = int(parent), int(group)
    return found


def group_members(number: int) -> list[int]:
    """Live processes of a process group."""
    return [pid for pid, (_, group) in _processes().items() if group == number]


def workers() -> set[int]:
    """Descendants of this process, but for the helpers that it keeps."""
    parents = {pid: parent for pid, (parent, _) in _processes().items()}
    children = {p for p, parent in parents.items() if parent == os.getpid()}
    helpers = {p for p in children if _is_helper(p)}
    return (children - helpers) | {p for p, parent in parents.items() if parent in helpers}


def _is_helper(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return True
    return "forkserver" in command or "resource_tracker" in command
