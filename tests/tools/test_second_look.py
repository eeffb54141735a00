"""What fails is run once more; the report keeps both answers apart."""

from pathlib import Path

import pytest
import second_look

pytest_plugins = "pytester"

ONCE = """
from pathlib import Path

def test_lucky():
    mark = Path({mark!r})
    seen = mark.exists()
    mark.touch()
    assert seen, "for the first time"

def test_sound():
    pass
"""


@pytest.fixture
def session(pytester, monkeypatch):
    """Run a file of tests with a second look; what pytest has printed, and its exit code."""
    monkeypatch.setenv("PYTHONPATH", str(Path(second_look.__file__).parent))
    pytester.makeini("[pytest]\n")

    def session(text, *arguments):
        pytester.makepyfile(text)
        options = ["-p", "second_look", "--second-look", "-p", "no:motorpool"]
        return pytester.runpytest_subprocess(*options, *arguments, timeout=300)

    return session


@pytest.mark.parametrize("processes", ["0", "2"])
def test_test_that_passes_at_the_second_try_is_listed(session, tmp_path, processes):
    """And the session passes, in series or not."""
    found = session(ONCE.format(mark=str(tmp_path / "mark")), "-n", processes)
    assert found.ret == 0
    text = found.stdout.str()
    assert text.index("for the first time") < text.index(second_look.HEADING)
    assert "::test_lucky" in text.partition(second_look.HEADING)[2]
    assert "::test_sound" not in text.partition(second_look.HEADING)[2]


def test_what_fails_again_is_a_failure(session):
    """With both tracebacks, and nothing is called lucky."""
    found = session("def test_bad():\n    assert 1 == 2, 'never'\n")
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    assert found.stdout.str().count("AssertionError: never") >= 2
    assert second_look.HEADING not in found.stdout.str()


def test_failure_after_a_test_counts(session):
    """As that of a fixture which finds something left behind."""
    found = session(
        "import pytest\n"
        "@pytest.fixture\ndef leaves():\n    yield\n    assert False, 'left behind'\n"
        "def test_it(leaves):\n    pass\n"
    )
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    assert "second look at 1" in found.stdout.str()


def test_many_failures_are_not_excused(session):
    """They are no bad luck."""
    found = session(
        "import pytest\n"
        f"@pytest.mark.parametrize('i', range({second_look.MOST + 1}))\n"
        "def test_bad(i):\n    assert False\n"
    )
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    assert "too many for a second look" in found.stdout.str()


def test_file_that_cannot_be_collected_is_not_excused(session):
    """There is nothing to try again."""
    found = session("import there_is_no_such_module\n")
    assert found.ret == pytest.ExitCode.INTERRUPTED
    assert second_look.HEADING not in found.stdout.str()


def test_names_of_the_failed_are_written(session, tmp_path):
    """One name a line, for tools that count them."""
    found = session("def test_bad():\n    assert 0\n", f"--write-failed={tmp_path / 'names'}")
    assert found.ret
    assert (tmp_path / "names").read_text().endswith("::test_bad")
