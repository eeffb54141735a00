"""The kit without a test file: run it on an installed backend, and say what was found."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from motorpool import registry
from motorpool._system.process import usable_cores
from motorpool.testing._marks import LEVELS, is_declared
from motorpool.testing._plugin import facts_of, undeclared_and_proven
from motorpool.testing._timings import Timing, timings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from motorpool.backend import Capabilities

_SUITE = """
from motorpool.testing import BackendConformance

class TestBackend(BackendConformance):
    backend = {backend!r}
    options = {options!r}
"""
_NO_PLUGINS = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
_ISOLATION = "test_isolation_is_what_it_declares"
PASSED, FAILED, NOT_DECLARED, NOT_RUN = "passed", "failed", "not declared", "not run"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What has become of one test.

    Attributes:
        test: Its name.
        level: Its level.
        needs: The capabilities that it needs.
        outcome: "passed", "failed", "not declared" (it fails, and what it needs is not declared)
            or "not run".
        message: What is wrong, or why it was not run.
        seconds: How long it took.
    """

    test: str
    level: str
    needs: tuple[str, ...]
    outcome: str
    message: str
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What has become of all of them.

    Attributes:
        backend: Name of the backend.
        distributions: Name and version of where it comes from.
        level: Up to which level it was tested.
        where: Python, system and number of cores.
        isolation: What it declares to stand between a node and the driver.
        declared: Capability to whether it is declared.
        proven: Capability, isolation among them, to whether all its tests pass; None if there was
            none.
        may_declare: What it could declare, and does not.
        found: The tests.
        timings: What basic operations take.
    """

    backend: str
    distributions: tuple[str, ...]
    level: str
    where: str
    isolation: str
    declared: dict[str, bool]
    proven: dict[str, bool | None]
    may_declare: list[str]
    found: list[Found]
    timings: list[Timing]

    def of(self, outcome: str) -> list[Found]:
        """The tests with an outcome."""
        return [each for each in self.found if each.outcome == outcome]

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return dataclasses.asdict(self)


def check(
    name: str, *, level: str = "faults", options: dict[str, Any] | None = None,
    progress: Callable[[int, int, str], None] = lambda _done, _of, _test: None,
) -> CheckReport:  # fmt: skip
    """Test an installed backend.

    Args:
        name: Its name.
        level: Up to which level: "core", "data", "faults" or "distributed".
        options: Its options.
        progress: Called before each test, with how many are done, of how many, and its name.

    Raises:
        BackendError: If there is no such backend, or it is broken, or an option is wrong.
        KeyboardInterrupt: If it was interrupted.
    """
    options = options or {}
    kind = registry.get(name)
    able = kind(**options).capabilities
    collector = _Collector(progress)
    with tempfile.TemporaryDirectory(prefix="motorpool-check-") as folder, _without_plugins():
        suite = Path(folder, "test_backend.py")
        suite.write_text(_SUITE.format(backend=name, options=options))
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        code = pytest.main(
            [
                str(suite), "--rootdir", folder, "-c", str(Path(folder, "pytest.ini")),
                "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "motorpool.testing._plugin",
                "--motorpool-level", level,
            ],
            [collector],
        )  # fmt: skip
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    listed = {info.name: info.distributions for info in registry.listing()}
    cores = usable_cores()
    where = f"Python {platform.python_version()}, {platform.system()}, {cores} cores"
    return CheckReport(
        backend=name, distributions=listed.get(name, ()), level=level, where=where,
        isolation=able.isolation.value, declared=_declared(able),
        proven=_proven(able, collector.found),
        may_declare=undeclared_and_proven(collector.reports).get(name, []),
        found=collector.found, timings=timings(kind(**options)),
    )  # fmt: skip


@contextlib.contextmanager
def _without_plugins() -> Iterator[None]:
    """Whatever plug-ins of pytest are installed here have nothing to do with the backend."""
    before = os.environ.get(_NO_PLUGINS)
    os.environ[_NO_PLUGINS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NO_PLUGINS]
        else:
            os.environ[_NO_PLUGINS] = before


class _Collector:
    """A plug-in of pytest that keeps what becomes of each test."""

    def __init__(self, progress: Callable[[int, int, str], None]) -> None:
        self._progress = progress
        self._total = 0
        self.reports: list[pytest.TestReport] = []
        self.found: list[Found] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._progress(len(self.found), self._total, nodeid.rpartition("::")[2])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        facts = facts_of(report)
        if facts is None or (report.when != "call" and report.passed):
            return
        self.reports.append(report)
        if report.when == "teardown":  # the call has been counted, and what follows has failed
            if self.found[-1].outcome == FAILED:
                return
            self.found.pop()
        outcome = FAILED if report.failed else PASSED if report.passed else NOT_RUN
        if hasattr(report, "wasxfail"):
            outcome = NOT_DECLARED
        self.found.append(
            Found(
                test=facts["test"],
                level=facts["level"],
                needs=tuple(facts["needs"]),
                outcome=outcome,
                message=_message_of(report),
                seconds=report.duration,
            )
        )


def _message_of(report: pytest.TestReport) -> str:
    """What is wrong, in the words of the test."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", report.longrepr))
    lines = [line for line in text.splitlines() if not line.startswith("assert ")]
    return " ".join(lines).removeprefix("AssertionError: ").removeprefix("Failed: ")


def _declared(able: Capabilities) -> dict[str, bool]:
    names = [field.name for field in dataclasses.fields(able) if field.name != "isolation"]
    return {name: is_declared(able, name) for name in names}


def _proven(able: Capabilities, found: list[Found]) -> dict[str, bool | None]:
    """Whether all tests pass that need a capability, and nothing else that is not declared."""
    isolation = [each.outcome for each in found if each.test == _ISOLATION]
    proven: dict[str, bool | None] = {"isolation": isolation == [PASSED] if isolation else None}
    for name in _declared(able):
        outcomes = {
            each.outcome for each in found
            if name in each.needs
            and all(other == name or is_declared(able, other) for other in each.needs)
        } - {NOT_RUN}  # fmt: skip
        proven[name] = outcomes == {PASSED} if outcomes else None
    return proven


__all__ = ["LEVELS", "CheckReport", "Found", "check"]
