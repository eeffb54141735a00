"""The Pythons of this machine that the project supports, and environments for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 11)


@dataclass(frozen=True, slots=True, order=True)
class Python:
    """A minor version of CPython.

    Attributes:
        version: Major and minor number.
        is_free_threaded: Whether it is built without a lock.
        path: Of its executable.
    """

    version: tuple[int, int]
    is_free_threaded: bool
    path: str

    @property
    def name(self) -> str:
        """As in python3.13t."""
        return ".".join(map(str, self.version)) + "t" * self.is_free_threaded


def installed() -> list[Python]:
    """One Python of each minor version and kind that uv finds, pyenv's included."""
    env = os.environ | {"PATH": os.pathsep.join([os.environ["PATH"], *_pyenv_folders()])}
    listed = subprocess.run(
        ["uv", "python", "list", "--only-installed", "--output-format", "json"],
        env=env, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Python] = {}
    for row in json.loads(listed.stdout):  # the newest first
        variant = row.get("variant", "default")
        if row["implementation"] == "cpython" and variant in {"default", "freethreaded"}:
            parts = row["version_parts"]
            version = parts["major"], parts["minor"]
            python = Python(version, variant == "freethreaded", row["path"])
            if version >= OLDEST:
                found.setdefault(python.name, python)
    return sorted(found.values())


def others() -> list[Python]:
    """All but the one that this process runs on."""
    mine = sys.version_info[:2], bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    return [p for p in installed() if (p.version, p.is_free_threaded) != mine]


def _pyenv_folders() -> list[str]:
    try:
        root = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(p) for p in sorted(Path(root.stdout.strip()).glob("versions/3.*/bin"))]
