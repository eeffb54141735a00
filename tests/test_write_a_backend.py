"""The commands of docs/how-to/write-a-backend.md, in the order of the page."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs/how-to/write-a-backend.md"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
# Talks to a registry.
NOT_RUN = ["uv publish"]


@pytest.fixture
def environment(tmp_path):
    """A virtual environment with what is installed here, which gets nothing from elsewhere."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    (site,) = home.glob("lib/python*/site-packages")
    ours = sysconfig.get_path("purelib")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    for command in ("motorpool", "pytest"):
        script = home / "bin" / command
        module = {"motorpool": "motorpool"}.get(command, command)
        script.write_text(f'#!/bin/sh\nexec "{home}/bin/python" -m {module} "$@"\n')
        script.chmod(0o755)
    path = os.pathsep.join([str(home / "bin"), os.environ["PATH"]])
    outer = {
        k: v for k, v in os.environ.items() if k not in {"UV_PYTHON", "UV_PROJECT_ENVIRONMENT"}
    }
    return {
        **outer, "PATH": path, "VIRTUAL_ENV": str(home),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "motorpool.testing._plugin",
        "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "false", "PIP_QUIET": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_OFFLINE": "1", "UV_NO_BUILD_ISOLATION": "1",
    }  # fmt: skip


@pytest.mark.matrix
@pytest.mark.skipif(shutil.which("uv") is None, reason="the page builds with uv")
@pytest.mark.skipif(sys.platform == "win32", reason="the page's commands are for a Unix shell")
def test_commands_of_the_page_build_a_wheel(environment, tmp_path):
    """From nothing to a wheel that has the entry point."""
    lines = [line for block in BLOCK.findall(PAGE.read_text()) for line in block.splitlines()]
    assert [line for line in lines if line in NOT_RUN] == NOT_RUN
    script = "\n".join(line for line in lines if line not in NOT_RUN)
    done = subprocess.run(
        ["sh", "-ex", "-c", script], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "motorpool-farm/dist").glob("*.whl")
    assert wheel.name == "motorpool_farm-0.1.0-py3-none-any.whl"
    assert "farm  motorpool-farm 0.1.0, level faults" in done.stdout
