"""The pytest plug-in: levels, capabilities that are not declared, and known failures."""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from motorpool.testing._marks import DECLARABLE, LEVELS, is_declared

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from motorpool.backend import Capabilities

_SUITES = ("cluster", "data", "executor", "fault", "life", "node")
pytest.register_assert_rewrite(*(f"motorpool.testing._{name}_tests" for name in _SUITES))
#: Under this name a report says what is known of its test.
PROPERTY = "motorpool"
_NOT_RUN = ("isolation", "cluster")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--motorpool-level`."""
    parser.getgroup("motorpool").addoption(
        "--motorpool-level", choices=LEVELS, default=None,
        help="run the conformance tests of backends up to this level",
    )  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is above the level, and mark what is expected to fail."""
    wanted, out = [], []
    known: dict[type[Any], dict[str, str]] = {}
    for item in items:
        cls = _suite_of(item)
        if cls is None:
            wanted.append(item)
            continue
        level = config.getoption("motorpool_level") or cls.level
        test = getattr(item, "function", None)
        own = getattr(test, "motorpool_level", LEVELS[0])
        if LEVELS.index(own) > LEVELS.index(level):
            out.append(item)
            continue
        wanted.append(item)
        if cls not in known:
            known[cls] = _known_failures(cls)
        _prepare(item, cls, known[cls])
    for cls, failures in known.items():
        _warn_of_unknown(cls, failures, items)
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = wanted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure for want of a capability that is not declared is an expected one."""
    report = yield
    cls = _suite_of(item)
    if cls is None:
        return report
    missing = _missing(item, cls)
    facts = {
        "backend": _name_of(cls), "test": item.name,
        "needs": list(_needs(item)), "missing": missing,
        "level": getattr(getattr(item, "function", None), "motorpool_level", LEVELS[0]),
    }  # fmt: skip
    report.user_properties = [*report.user_properties, (PROPERTY, facts)]
    if missing and call.when == "call" and report.failed:
        report.outcome = "skipped"
        report.wasxfail = f"does not declare {', '.join(missing)}"
        _forget(call)
    return report


def _forget(call: pytest.CallInfo[None]) -> None:
    """Let go of what an expected failure holds, such as an executor; it is not debugged."""
    for name in ("last_exc", "last_value", "last_traceback"):
        if hasattr(sys, name):
            setattr(sys, name, None)
    if call.excinfo is not None:
        traceback.clear_frames(call.excinfo.tb)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what backends may declare."""
    reports = [r for each in terminalreporter.stats.values() for r in each]
    for backend, names in sorted(undeclared_and_proven(reports).items()):
        terminalreporter.write_line(
            f"motorpool: the backend {backend} may declare {', '.join(names)}: all tests that "
            "need it pass."
        )


def facts_of(report: Any) -> dict[str, Any] | None:
    """What a report says of a test of the kit, or None for any other."""
    return dict(getattr(report, "user_properties", ())).get(PROPERTY)


def undeclared_and_proven(reports: Iterable[Any]) -> dict[str, list[str]]:
    """Capabilities that a backend does not declare, and all of whose tests pass."""
    passed: dict[tuple[str, str], bool] = {}
    for report in reports:
        facts = facts_of(report)
        if facts is None or getattr(report, "when", None) != "call":
            continue
        for name in facts["missing"]:
            key = facts["backend"], name
            if name in DECLARABLE and len(facts["missing"]) == 1:
                passed[key] = passed.get(key, True) and report.passed
    found: dict[str, list[str]] = {}
    for (backend, name), well in passed.items():
        if well:
            found.setdefault(backend, []).append(name)
    return found


def _suite_of(item: pytest.Item) -> Any | None:
    """The class of a test, if that is a backend's suite."""
    cls = getattr(item, "cls", None)
    return cls if hasattr(cls, "backend_class") and hasattr(cls, "expected_failures") else None


def _name_of(cls: Any) -> str:
    """What to call the backend of a suite."""
    if not _is_known(cls):
        return str(cls.backend)
    kind = cls.backend_class()
    return str(kind.name or kind.__name__)


def _is_known(cls: Any) -> bool:
    """Whether there is such a backend; if not, each test says so itself."""
    try:
        cls.capabilities()
    except Exception:  # noqa: BLE001, whatever a plug-in raises
        return False
    return True


def _needs(item: pytest.Item) -> tuple[str, ...]:
    return getattr(getattr(item, "function", None), "motorpool_needs", ())


def _missing(item: pytest.Item, cls: Any) -> list[str]:
    """What a test needs and the backend does not declare."""
    if not _is_known(cls):
        return []
    able: Capabilities = cls.capabilities()
    return [name for name in _needs(item) if not is_declared(able, name)]


def _prepare(item: pytest.Item, cls: Any, known: dict[str, str]) -> None:
    absent = [name for name in _missing(item, cls) if name in _NOT_RUN]
    if absent:
        reason = "nodes run in this process" if absent[0] == "isolation" else "not a cluster"
        item.add_marker(pytest.mark.skip(reason=f"{absent[0]}: {reason}"))
    for name in (item.name, getattr(item, "originalname", item.name)):
        if name in known:
            item.add_marker(pytest.mark.xfail(reason=known[name], strict=True))


def _known_failures(cls: Any) -> dict[str, str]:
    if cls.expected_failures is None:
        return {}
    found = {}
    for line in Path(cls.expected_failures).read_text().splitlines():
        name, _, reason = line.partition("#")
        if name.strip():
            found[name.strip()] = reason.strip() or "known to fail"
    return found


def _warn_of_unknown(cls: Any, known: dict[str, str], items: Iterable[pytest.Item]) -> None:
    mine = [item for item in items if _suite_of(item) is cls]
    names = {item.name for item in mine} | {getattr(i, "originalname", i.name) for i in mine}
    for name in known.keys() - names:
        warnings.warn(
            pytest.PytestWarning(f"{cls.expected_failures}: there is no test {name}."),
            stacklevel=1,
        )
