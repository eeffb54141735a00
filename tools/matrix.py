"""The whole suite on every Python that is here, once with the lowest dependencies, and installs.

The tests of Kedro run on its newest version, its lowest, and one between.

    uv run just matrix [pytest's arguments]

A release needs it green, as it needs `stress 20` and `soak 30`.
"""

from __future__ import annotations

import sys

from pythons import Python, installed
from stages import ROOT, Stage, run_all

ALL = ["pytest", "-q", "--second-look", "-m", ""]


def suite(python: Python, arguments: list[str]) -> list[Stage]:
    """An environment with all that the tests need, and all tests."""
    env = {"UV_PROJECT_ENVIRONMENT": f".venv-{python.name}", "UV_PYTHON": python.path}
    return [
        Stage(name=f"environment {python.name}", commands=[["uv", "sync", "--quiet"]], env=env),
        Stage(
            name=f"tests {python.name}",
            commands=[["uv", "run", "--no-sync", *ALL, *arguments]],
            env=env,
        ),
    ]


def lowest(arguments: list[str]) -> list[Stage]:
    """The same with the oldest version of each dependency that pyproject.toml admits."""
    folder = ROOT / ".venv-lowest"
    plugins = [x for p in sorted(ROOT.glob("backends/*")) for x in ("--editable", str(p))]
    install = [
        "uv", "pip", "install", "--quiet", "--python", str(folder),
        "--resolution", "lowest-direct", "--group", "dev", "--editable", ".", *plugins,
    ]  # fmt: skip
    return [
        Stage(
            name="environment lowest",
            commands=[["uv", "venv", "--quiet", "--clear", str(folder)], install],
        ),
        Stage(
            name="tests lowest",
            commands=[[str(folder / "bin" / "python"), "-m", *ALL, *arguments]],
        ),
    ]


def kedro(version: str) -> Stage:
    """The tests of Kedro on a version between the lowest and the newest."""
    tests = [*ALL, "tests/kedro_runners", "tests/test_kedro.py"]
    return Stage(
        name=f"tests kedro {version}",
        commands=[["uv", "run", "--isolated", "--with", f"kedro=={version}", *tests]],
    )


def main(arguments: list[str]) -> int:
    """Run it."""
    stages = [stage for python in installed() for stage in suite(python, arguments)]
    install = Stage(name="install", commands=[["uv", "run", "python", "tools/install.py"]])
    return run_all([*stages, *lowest(arguments), kedro("1.6.*"), install])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
