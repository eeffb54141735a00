"""Where a Kedro project is, read from its pyproject.toml: Kedro takes a second to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

#: What workers need for nodes of Kedro, which takes a second to import; its MemoryDataset looks
#: for pandas at each value.
WORKER_MODULES = ("kedro.pipeline", "motorpool.kedro._host", "motorpool.kedro._project", "pandas")
_FILE = "pyproject.toml"
_SECTION = b"tool.kedro"


class ProjectFolder(NamedTuple):
    """A Kedro project.

    Attributes:
        path: Its folder, absolute.
        package: The folder of its package, absolute, which need not exist.
    """

    path: Path
    package: Path


def project_of(target: str) -> ProjectFolder | None:
    """The Kedro project that a target is, or is a part of.

    Args:
        target: As for `motorpool run`. A folder at or below a project means the project, unless
            it has a pipeline.py and is no package.
    """
    folder = Path(target)
    if not folder.is_dir():
        return None
    found = find_project(folder)
    if found is None or found.path == folder.resolve():
        return found
    is_script = (folder / "pipeline.py").is_file() and not (folder / "__init__.py").is_file()
    return None if is_script else found


def find_project(start: Path) -> ProjectFolder | None:
    """The Kedro project that a folder is, or is a part of; the rule is that of `kedro run`."""
    folder = start.resolve()
    for path in (folder, *folder.parents):
        section = _section(path / _FILE)
        if section is not None:
            name, source = str(section.get("package_name", "")), section.get("source_dir", "src")
            return ProjectFolder(path, path / str(source) / name)
    return None


def _section(file: Path) -> dict[str, Any] | None:
    """What a file says of a Kedro project, or None if it speaks of none."""
    try:
        text = file.read_bytes()
    except OSError:
        return None
    if _SECTION not in text:
        return None
    import tomllib  # noqa: PLC0415, few targets need it

    try:
        tool = tomllib.loads(text.decode()).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}  # Kedro says what is wrong
    found: dict[str, Any] | None = tool.get("kedro")
    return found
