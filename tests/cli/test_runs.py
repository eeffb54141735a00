"""`motorpool runs`."""

import json
import re
import subprocess
import sys

import pytest

from motorpool import DataCatalog, ParallelRunner, node, pipeline
from motorpool._journal.records import list_runs


def fail(x):
    raise ValueError("no such number")


GOOD = [node(len, "x", "a", name="first"), node(str, "a", "b", name="second")]
BAD = [*GOOD, node(fail, "b", "c", name="bad"), node(str, "c", "d", name="after")]


@pytest.fixture
def folder(tmp_path):
    """Two runs: a complete one and one that has failed."""
    runner = ParallelRunner("sequential", runs_folder=tmp_path / "runs", retries=1)
    runner.run(pipeline(GOOD), DataCatalog({"x": "word"}), run_id="good")
    with pytest.raises(ValueError, match="no such"):
        runner.run(pipeline(BAD), DataCatalog({"x": "word"}), run_id="bad-one")
    return tmp_path / "runs"


@pytest.fixture
def runs(folder):
    """Call the command."""

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "motorpool", "runs", "--folder", str(folder), *arguments],
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    return call


def test_runs_are_listed_with_what_became_of_them(runs):
    """For people and for programs."""
    lines = runs().stdout.splitlines()
    assert lines[0].split() == ["run", "started", "backend", "outcome", "nodes", "seconds"]
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"good +{when}  sequential  complete  2/2 +\d+\.\d\d", lines[1])
    assert re.fullmatch(rf"bad-one +{when}  sequential  failed +2/4 +\d+\.\d\d", lines[2])
    found = json.loads(runs("--json").stdout)
    assert [(run["run_id"], run["outcome"], run["failed"]) for run in found] == [
        ("good", "complete", []), ("bad-one", "failed", ["bad"]),
    ]  # fmt: skip


def test_one_run_is_shown_node_by_node(runs):
    """By default the latest; by the beginning of its id; with the way to go on."""
    for done in (runs("show"), runs("show", "bad")):
        assert re.search(r"^first +done +\d+\.\d\d +1$", done.stdout, re.MULTILINE)
        assert re.search(
            r"^bad +failed +2 +ValueError: no such number$", done.stdout, re.MULTILINE
        )
        assert re.search(r"^after +not run$", done.stdout, re.MULTILINE)
        assert done.stdout.endswith("motorpool run TARGET --resume bad-one\n")
    found = json.loads(runs("show", "good", "--json").stdout)
    assert [n["outcome"] for n in found["nodes"]] == ["done", "done"]
    assert "There is no run 'bda-one'; do you mean 'bad-one'" in runs("show", "bda-one").stderr


def test_resumed_run_says_what_was_done_before(folder):
    """It has a journal of its own."""
    runner = ParallelRunner("sequential", runs_folder=folder)
    mended = [*BAD[:2], node(str, "b", "c", name="bad"), BAD[3]]
    runner.run(pipeline(mended), DataCatalog({"x": "word"}), run_id="again", resume="bad-one")
    again = list_runs(folder)[-1]
    assert (again.outcome, again.done) == ("complete", 4)
    assert {n.outcome for n in again.nodes} <= {"done", "done before"}


def test_clean_leaves_what_can_be_resumed(runs, folder):
    """Unless it is asked for; other folders' files are not touched."""
    (folder / "notes.txt").write_text("mine")
    assert runs("clean").stdout == "1 run removed, 1 left.\n"
    assert [run.run_id for run in list_runs(folder)] == ["bad-one"]
    assert runs("clean", "bad").stdout == "1 run removed, 0 left.\n"
    assert runs().stdout == f"There are no runs in {folder}.\n"
    assert runs("show").returncode == 2
    assert (folder / "notes.txt").read_text() == "mine"


def test_run_under_way_is_neither_cleaned_nor_taken_for_killed(runs, folder):
    """Its lock is held; one that was killed has none, and no end."""
    journal = folder / "good.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-2]) + '\n{"compl')  # as a kill leaves it
    assert [run.outcome for run in list_runs(folder)] == ["killed", "failed"]

    def clean_meanwhile(x):
        states = [run.outcome for run in list_runs(folder)]
        done = runs("clean", "--all")
        return states, done.stdout, done.stderr

    runner = ParallelRunner("sequential", runs_folder=folder)
    pipe = pipeline(node(clean_meanwhile, "x", "y"))
    states, said, complained = runner.run(pipe, {"x": 1}, run_id="now")["y"].load()
    assert states == ["killed", "failed", "running"]
    assert said == "2 runs removed, 1 left.\n"
    assert complained == "now is under way, and stays.\n"


def test_unreadable_journal_is_listed_as_such(folder):
    """And nothing else is lost."""
    (folder / "good.jsonl").write_text("{")
    assert [run.outcome for run in list_runs(folder)] == ["unreadable", "failed"]
