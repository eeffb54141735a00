"""A pytest plug-in: what has failed is run once more, by itself and in series.

What fails again is a failure. What passes then is listed, and the session passes: a test that
depends on luck, or a race in the product. Either is a defect to mend; work goes on meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

#: With more failures than this, something is broken that a second look cannot excuse.
MOST = 20
HEADING = "passed only at the second try"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--second-look`."""
    parser.addoption(
        "--second-look", action="store_true",
        help="run what has failed once more, by itself and in series; what passes then is listed",
    )  # fmt: skip
    parser.addoption("--write-failed", metavar="FILE", help="write the failed tests to a file")


def pytest_configure(config: pytest.Config) -> None:
    """Not in xdist's workers, which know only of their own tests."""
    wanted = config.getoption("second_look") or config.getoption("write_failed")
    if wanted and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SecondLook(config), "second-look")


class SecondLook:
    """Collects the tests that fail, and runs them again at the end of the session.

    Args:
        config: Of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._failed: dict[str, None] = {}
        self._broken = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what fails, in its set-up and its clearing up as well."""
        if report.failed:
            self._failed[report.nodeid] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected has no tests to run again."""
        self._broken = self._broken or report.failed

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """After the summary with the first tracebacks: the second try, and what came of it."""
        result = yield
        if path := self._config.getoption("write_failed"):
            Path(path).write_text("\n".join(self._failed))
        if not self._config.getoption("second_look"):
            return result
        if self._failed and exitstatus == pytest.ExitCode.TESTS_FAILED and not self._broken:
            session.exitstatus = self._look_again()
        return result

    def _look_again(self) -> int:
        write = self._config.get_terminal_writer()
        names = list(self._failed)
        if len(names) > MOST:
            write.line(f"{len(names)} tests have failed: too many for a second look.")
            return pytest.ExitCode.TESTS_FAILED
        write.sep("=", f"second look at {len(names)}")
        still = [name for name in names if not self._passes(name)]
        lucky = [name for name in names if name not in still]
        if lucky:
            write.sep("=", HEADING)
            for name in lucky:
                write.line(name)
            write.line("Each is a defect to mend; its first traceback is above.")
        return pytest.ExitCode.TESTS_FAILED if still else pytest.ExitCode.OK

    def _passes(self, name: str) -> bool:
        """Run one test in a session of its own; print it all if it fails."""
        command = [
            sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "", "-p", "no:cacheprovider",
            name,
        ]  # fmt: skip
        # xdist and pytest tell subprocesses that they are part of this session.
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        done = subprocess.run(
            command,
            cwd=self._config.rootpath,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self._config.get_terminal_writer().write(done.stdout + done.stderr)
        return done.returncode == 0
