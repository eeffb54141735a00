"""`motorpool new-backend`."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from motorpool import registry

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Where each file of the skeleton goes.
_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "gitignore.txt": ".gitignore",
    "ci.yml.txt": ".github/workflows/tests.yml",
    "__init__.py.txt": "src/motorpool_{name}/__init__.py",
    "py.typed.txt": "src/motorpool_{name}/py.typed",
    "test.py.txt": "tests/test_{name}.py",
}


@click.command("new-backend")
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path),
              help="Folder to make; by default motorpool-NAME.")  # fmt: skip
def new_backend(name: str, into: Path | None) -> None:
    """Write a small distribution with a backend called NAME, which passes its own tests.

    NAME is what people will write to choose it: lower-case letters, digits and underscores.
    """
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            f"{name!r} is not made of lower-case letters, digits and single underscores between "
            "them, as the name of a module is.",
            param_hint="NAME",
        )
    if name in registry.names():
        raise click.BadParameter(
            f"there is a backend {name!r} already, and two of one name are an error where "
            "both are installed. Choose another.",
            param_hint="NAME",
        )
    folder = into or Path(f"motorpool-{name.replace('_', '-')}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.BadParameter(
            f"{folder} exists, and is not an empty folder; nothing was written.",
            param_hint="--into",
        )
    _write(name, folder)
    click.echo(f"Wrote {folder}. Next:\n")
    click.echo(f"    cd {folder}\n    pip install -e '.[dev]'\n    pytest\n")
    click.echo(f"Then put your executor into src/motorpool_{name}/__init__.py.")


def _write(name: str, folder: Path) -> None:
    major, minor = version("motorpool").split(".")[:2]
    words = {
        "name": name, "dashed": name.replace("_", "-"),
        "class_name": "".join(word.capitalize() for word in name.split("_")),
        "version": f"{major}.{minor}", "next_version": f"{major}.{int(minor) + 1}",
    }  # fmt: skip
    skeleton = files("motorpool.cli") / "_skeleton"
    for source, target in _FILES.items():
        path = folder / target.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (skeleton / source).read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(words), encoding="utf-8")
