"""A real Kedro project for tests, and how to run it."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).parent / "kedro_project"
KEDRO = str(Path(sys.executable).with_name("kedro"))


class Project:
    """A copy of the project, and how to run it."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.log = folder / "log"

    def variables(self):
        """The environment that it needs."""
        return {
            **os.environ, "DO_NOT_TRACK": "1", "COLUMNS": "200", "POOL_LOG": str(self.log),
            "PYTHONPATH": str(self.folder / "plugin"),
        }  # fmt: skip

    def start(self, *command, **variables):
        """Start a command in the project."""
        env = self.variables() | variables
        return subprocess.Popen(
            command, cwd=self.folder, env=env, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def python(self, code):
        """Run a script in the project; return what it printed."""
        printed, _ = self.start(sys.executable, "-u", "-c", code).communicate(timeout=300)
        return printed

    def run(self, *arguments, code=0, **variables):
        """Run `kedro run`; return what it printed."""
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        self.log.unlink(missing_ok=True)
        process = self.start(KEDRO, "run", *arguments, **variables)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == code, printed[-5000:]
        return printed

    def outputs(self):
        """Each file's content; versions go by the time of the run."""
        files = [path for path in (self.folder / "out").rglob("*") if path.is_file()]
        return {re.sub(r"20[0-9T.:-]*Z", "now", str(f.relative_to(self.folder))): f.read_bytes()
                for f in files}  # fmt: skip

    def hooks(self):
        """What the hooks of the project and of the plug-in have said, and how often."""
        said = self.log.read_text()
        said = re.sub(r" in [0-9]+$|run 20\S*", "", said, flags=re.MULTILINE)
        return Counter(line for line in said.splitlines() if not line.startswith("seen"))
