"""The README's ways to install, each in an empty environment: what they promise is there.

uv run python tools/install.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = """
from motorpool import node, pipeline
pipeline = pipeline([node(lambda: [1, 2, 3], None, "numbers"), node(sum, "numbers", "total")])
"""


def commands() -> list[list[str]]:
    """The README's commands, block by block."""
    text = (ROOT / "README.md").read_text()
    section = re.search(r"^## Install it$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert section is not None, "README.md has no section of this name"
    blocks = re.findall(r"(?:^    .*\n)+", section[1], re.MULTILINE)
    return [[line.partition("  #")[0].strip() for line in b.splitlines()] for b in blocks]


def promised(block: list[str]) -> set[str]:
    """The backends that a block of commands has to bring."""
    plugins = {path.name for path in (ROOT / "backends").iterdir()}
    named = {word for word in re.findall(r"[a-z]+", " ".join(block)) if word in plugins}
    return {"direct", "process", "sequential", "threads"} | named


def check(block: list[str], folder: Path) -> None:
    """Run a block of commands in a new environment, and use what they have installed.

    Raises:
        subprocess.CalledProcessError: If a command fails.
        AssertionError: If something is missing.
    """
    clone, home = folder / "clone", folder / "environment"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    venv.create(home, with_pip=True)
    env = {**os.environ, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT"):
        env.pop(name, None)
    for command in block:
        print(">", command, flush=True)
        subprocess.run(command, shell=True, cwd=clone, env=env, check=True)
    shutil.rmtree(clone)  # what is installed needs it no more
    (folder / "pipeline.py").write_text(PIPELINE)

    def motorpool(*arguments: str) -> str:
        command = [str(home / "bin" / "motorpool"), *arguments]
        done = subprocess.run(
            command, cwd=folder, env=env, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    listed = {row["name"] for row in json.loads(motorpool("backends", "--json", "--check"))}
    assert listed == promised(block), (listed, promised(block))
    for backend in sorted(listed):
        assert motorpool("run", ".", "-b", backend, "-w", "2", "--print", "total") == "6\n"
        print("ok:", backend, flush=True)


def main() -> None:
    """Check all blocks."""
    for block in commands():
        with tempfile.TemporaryDirectory() as folder:
            check(block, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
