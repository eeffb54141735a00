"""Runs scripts as users do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture
def script(tmp_path):
    """Run a script of this folder, or what else Python's command line takes; return its JSON."""

    def run(*command, **options):
        known = SCRIPTS / str(command[0])
        if known.suffix == ".py":
            command = (known, *command[1:])
        done = subprocess.run(
            [sys.executable, *map(str, command)], capture_output=True, text=True, cwd=tmp_path,
            timeout=100, check=False, **options,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
