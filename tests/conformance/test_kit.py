"""The kit itself: each broken backend is caught by the test meant for it, in words."""

import re

import pytest

pytest_plugins = "pytester"

CAUGHT = {
    "LosesResult": (
        "test_every_result_goes_to_its_future",
        "Task 49 of 200 has neither a result nor",
    ),
    "SwapsResults": (
        "test_every_result_goes_to_its_future",
        "Task 49 got 50, the result of another",
    ),
    "RunsTwice": ("test_each_task_runs_once", "ran more than once: {'task 9': 2}"),
    "IgnoresCancel": ("test_queued_task_can_be_cancelled", "is not cancelled"),
    "SwallowsException": ("test_exception_is_raised", "raised ValueError, and its result is None"),
    "ManglesTraceback": ("test_traceback_leads_to_the_line", "does not show the function that"),
    "LeaksProcess": ("test_shutdown_leaves_nothing_behind", "have left {'processes': 3"),
    "LeaksSegment": ("test_values_are_given_back", "files still hold its values"),
    "DiesOnShutdown": ("test_shutdown_twice", "The second shutdown raised RuntimeError"),
    "TakesInterpreterAlong": ("test_interpreter_ends_after_shutdown", "script ended with 7"),
    "ClaimsExactBlame": ("test_only_the_culprit_fails", "`exact_blame` is declared, and the"),
    "ClaimsToKillOne": ("test_one_worker_is_killed", "`kills_workers` is declared, and the task"),
    "ClaimsToPlaceTasks": ("test_task_runs_where_it_is_sent", "A task for the idle worker"),
    "ClaimsToQueueTasks": ("test_task_queues_behind_another", "lone_calls has"),
    "ClaimsIsolation": ("test_isolation_is_what_it_declares", "tasks run as with THREAD"),
    "BlocksOnFullPipe": ("test_large_arguments_and_results_do_not_block", "(a full pipe?)"),
    "HangsOnUnpicklableResult": (
        "test_result_that_cannot_be_pickled_is_an_error",
        "whose result cannot be pickled",
    ),
    "SharesMutatedInput": (
        "test_change_in_place_is_not_seen_by_others",
        "has seen what another did",
    ),
    "TooManyWorkers": ("test_as_many_at_once_as_workers", "max_workers is 3, and 4 tasks"),
    "TooFewWorkers": ("test_as_many_at_once_as_workers", "max_workers is 3, and only 1 tasks"),
    "LosesTheCap": ("test_contract_is_kept_in_form", "It overrides get_executor"),
    "IsNotReusable": (
        "test_executors_one_after_the_other_and_side_by_side",
        "Executor 1 takes no task",
    ),
    "SubmitsAfterShutdown": ("test_no_submit_after_shutdown", "DID NOT RAISE"),
    "DoesNotWait": ("test_shutdown_waits_for_what_was_submitted", "returned before tasks"),
    "SwallowsOptions": ("test_unknown_option_is_refused", "An unknown option was accepted"),
    "HidesDeath": ("test_death_is_answered and kill", "A task that dies (kill) has neither"),
    "GivesUpInSilence": ("test_death_of_idle_workers_is_answered", "submitted after idle workers"),
    "WaitsForTheDead": (
        "test_death_before_the_first_task_is_answered",
        "killed as it started has neither a result nor",
    ),
    "KeepsFilesFromTheCluster": ("test_no_folder_of_this_host", "workers would have to see them"),
    "KeepsInterpreterAlive": ("test_interpreter_ends_without_shutdown", "has not ended after"),
    "NamesTheWrongWorkers": ("test_worker_pids_are_those_of_workers", "a worker that hangs could"),
    "NeverCallsBack": ("test_callback_is_called_once", "The callback was called 0 times"),
}
# What these do wrong shows in that something does not come, and the kit waits all its patience.
LATE = {
    "BlocksOnFullPipe", "GivesUpInSilence", "HidesDeath", "KeepsInterpreterAlive", "LeaksProcess",
    "LeaksSegment", "LosesResult", "NeverCallsBack", "TooFewWorkers", "WaitsForTheDead",
}  # fmt: skip
SUITE = """
import sys
sys.path.insert(0, {here!r})
import broken
from motorpool.testing import BackendConformance

class Test(BackendConformance):
    backend = broken.{backend}
    patience = {patience}
"""


@pytest.fixture
def suite(pytester, request, monkeypatch, tmp_path):
    """Run the kit, or a part of it, on a class; what pytest has found and printed."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def suite(backend, *arguments, patience=100.0, lines=""):
        here = str(request.path.parent)
        text = SUITE.format(here=here, backend=backend, patience=patience)
        pytester.makepyfile(test_it=text + lines)
        return pytester.runpytest_subprocess(
            "-p", "motorpool.testing._plugin", "-rA", *arguments, timeout=300
        )

    return suite


# One of each part of the kit.
IN_THE_GATE = {
    "LosesResult", "SwapsResults", "LeaksSegment", "DiesOnShutdown", "ClaimsExactBlame",
    "SharesMutatedInput", "LosesTheCap", "HidesDeath", "KeepsFilesFromTheCluster",
}  # fmt: skip


@pytest.mark.parametrize(
    "backend",
    [name if name in IN_THE_GATE else pytest.param(name, marks=pytest.mark.matrix)
     for name in CAUGHT],
)  # fmt: skip
def test_broken_backend_is_caught(suite, backend):
    """By the test that is meant for it, in words."""
    test, message = CAUGHT[backend]
    found = suite(backend, "-k", test, patience=10.0 if backend in LATE else 100.0)
    assert found.parseoutcomes().get("failed"), found.stdout.str()
    assert re.search(rf"^FAILED .*{test.split()[0]}", found.stdout.str(), re.MULTILINE)
    assert message in found.stdout.str()


def test_sound_backend_passes(suite):
    """What the broken ones are made of has nothing wrong with it; the other is `process`."""
    found = suite("InThreads")
    assert "failed" not in found.parseoutcomes(), found.stdout.str()
    assert "errors" not in found.parseoutcomes(), found.stdout.str()
    assert found.parseoutcomes()["passed"] > 30


def test_undeclared_capability_that_holds_is_reported(suite):
    """As a line of the summary; and a failure for want of it is an expected one."""
    found = suite("PlacesTasks", "-k", "sent or killed")
    assert {"passed": 1, "xfailed": 1}.items() <= found.parseoutcomes().items()
    assert "PlacesTasks may declare places_tasks: all tests" in found.stdout.str()
    assert "does not declare kills_workers" in found.stdout.str()


def test_known_failures_are_expected(suite, tmp_path):
    """With their reason; one that passes is an error, one that no test has a warning."""
    known = tmp_path / "known"
    known.write_text(
        "test_traceback_leads_to_the_line  # lost on the way, issue 7\n"
        "\n"
        "test_exception_is_raised  # works by now\n"
        "test_no_such_thing\n"
    )
    lines = f"\n    expected_failures = {str(known)!r}\n"
    found = suite("ManglesTraceback", "-k", "exception_is_raised or traceback", lines=lines)
    expected = {"failed": 1, "xfailed": 1, "warnings": 1}
    assert expected.items() <= found.parseoutcomes().items()
    assert "lost on the way, issue 7" in found.stdout.str()
    assert "[XPASS(strict)] works by now" in found.stdout.str()
    assert "known: there is no test test_no_such_thing." in found.stdout.str()


def collected(found):
    """Names of the tests that pytest has listed."""
    return [line for line in found.outlines if "::" in line]


def test_each_level_includes_the_tests_of_those_before(suite):
    """By the class, or by the command line; each has the tests of those before it."""
    counts = [
        len(collected(suite("InThreads", "--collect-only", "-q", "--motorpool-level", level)))
        for level in ("core", "data", "faults", "distributed")
    ]
    assert counts == sorted(set(counts))
    lines = '\n    level = "core"\n'
    assert len(collected(suite("InThreads", "--collect-only", "-q", lines=lines))) == counts[0]


def test_unknown_backend_is_named(suite):
    """In each test, and not as an error of the kit."""
    found = suite("InThreads", "-k", "each_task", lines='\n    backend = "lokky"\n')
    assert found.parseoutcomes()["failed"] == 1
    assert "There is no backend 'lokky'; do you mean 'loky'?" in found.stdout.str()
