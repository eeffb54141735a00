"""The gate: all that a commit must pass.

    uv run just check

Formatting, lint, types, layers and the tests of the gate on this Python, and a short smoke on
every other one that is here.
"""

from __future__ import annotations

import sys

from pythons import Python, others
from stages import Stage, run_all


def smoke(python: Python) -> list[Stage]:
    """An environment with no more than the smoke needs, and the smoke."""
    env = {"UV_PROJECT_ENVIRONMENT": f".venv-smoke-{python.name}", "UV_PYTHON": python.path}
    only = ["--no-default-groups", "--group", "smoke"]
    return [
        Stage(
            name=f"environment {python.name}", commands=[["uv", "sync", "--quiet", *only]], env=env
        ),
        Stage(
            name=f"smoke {python.name}",
            commands=[["uv", "run", "--no-sync", "pytest", "-q", "--second-look", "tests/smoke"]],
            env=env,
        ),
    ]


def main() -> int:
    """Run the gate."""
    stages = [Stage(name=name, commands=[["just", name]]) for name in ("lint", "types", "layers")]
    stages.append(Stage(name="tests", commands=[["pytest", "-q", "--second-look"]]))
    for python in others():
        stages += smoke(python)
    return run_all(stages)


if __name__ == "__main__":
    sys.exit(main())
