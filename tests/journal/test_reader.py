"""What earlier runs have left on disk, whole or damaged."""

import json

import pytest

from motorpool._journal.reader import durations, find_run, run_ids
from motorpool._journal.records import read_run
from motorpool._journal.writer import RunJournal
from motorpool.errors import ResumeError

MANIFEST = [["a", ["x"], ["y"], "1"], ["b", ["y"], ["z"], "2"]]


@pytest.fixture
def journal(tmp_path):
    """A run of two nodes, of which the first has run, and which was ended then."""
    journal = RunJournal(tmp_path, "the run", MANIFEST, {"backend": "direct"})
    journal.completed("a", attempt=1, seconds=0.5, kept={"y": "/kept/y"})
    journal.close()
    return journal.path


def test_run_is_read_as_it_was_written(journal, tmp_path):
    """Nodes that ran, where their values are, and what the run was."""
    run = find_run(tmp_path, "the run", MANIFEST)
    assert run.completed == {"a": {"y": "/kept/y"}}
    assert run.manifest == MANIFEST
    assert (run.head["run_id"], run.head["backend"], run.alive) == ("the run", "direct", False)
    assert durations(journal, ["a"]) == {"a": ("1", 0.5)}


def test_nodes_that_ran_in_one_unit_are_written_in_one_line(tmp_path):
    """By their positions in the pipeline of the head, with their microseconds."""
    journal = RunJournal(tmp_path, "the run", MANIFEST, {"backend": "direct"})
    journal.ran(["b", "a"], [0.25, 0.5])
    journal.begin()
    journal.close()
    assert journal.path.read_text().count("\n") == 2
    assert find_run(tmp_path, None, MANIFEST).completed == {"a": {}, "b": {}}
    assert durations(journal.path, ["a"]) == {"a": ("1", 0.5), "b": ("2", 0.25)}
    nodes = [(n.node, n.outcome, n.seconds, n.attempts) for n in read_run(journal.path).nodes]
    assert nodes == [("a", "done", 0.5, 1), ("b", "done", 0.25, 1)]


@pytest.mark.parametrize(("version", "is_read"), [(1, False), (2, True), (3, True), (4, False)])
def test_journals_of_the_version_before_are_read(journal, tmp_path, version, is_read):
    """They have a line for each node; what other versions have is not known here."""
    text = journal.read_text()
    assert text.startswith('{"journal": 3,')
    journal.write_text(text.replace("3", str(version), 1))
    if is_read:
        assert set(find_run(tmp_path, "the run", MANIFEST).completed) == {"a"}
    else:
        with pytest.raises(ResumeError, match="of another version"):
            find_run(tmp_path, "the run", MANIFEST)


def test_line_that_was_cut_ends_the_journal(journal, tmp_path):
    """What stands before it counts."""
    journal.write_text(journal.read_text() + '{"completed": "b", "atte')
    assert set(find_run(tmp_path, None, MANIFEST).completed) == {"a"}


@pytest.mark.parametrize(
    "line",
    [
        "7", "[]", "null", '"completed"', '{"completed": ["b"]}',
        '{"completed": "b", "kept": 7}', '{"completed": "b", "seconds": "long"}',
        '{"ran": [1], "us": []}', '{"ran": [2], "us": [1]}', '{"ran": [-1], "us": [1]}',
        '{"ran": [1], "us": ["long"]}', '{"ran": ["b"], "us": [1]}', '{"ran": 1, "us": 1}',
    ],
)  # fmt: skip
def test_line_that_is_no_record_ends_the_journal(journal, tmp_path, line):
    """As a disk may leave it: text that JSON takes, and no record of ours."""
    journal.write_text(f"{journal.read_text()}{line}\n" + '{"completed": "b"}\n')
    assert set(find_run(tmp_path, None, MANIFEST).completed) == {"a"}
    assert durations(journal, ["a"]) == {"a": ("1", 0.5)}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", '{"journal": 99}', '{"journal": 99, "pipeline": []}',
        '{"journal": 2}', '{"journal": 2, "pipeline": [1, 2]}',
        '{"journal": 2, "pipeline": [["a", ["x"]]]}', '{"journal": 2, "pipeline": null}',
    ],
)  # fmt: skip
def test_damaged_run_is_an_error_that_names_the_file(journal, tmp_path, text):
    """Where it is asked for; where any run would do, there is none."""
    journal.write_text(text + "\n")
    with pytest.raises(ResumeError, match="the run"):
        find_run(tmp_path, "the run", MANIFEST)
    with pytest.raises(ResumeError, match="no journal in .* can be read"):
        find_run(tmp_path, None, MANIFEST)
    assert durations(journal, ["a"]) == {}


def test_undecodable_journal_is_an_error(journal, tmp_path):
    """Half a page of zeros and noise, as a file system may leave after a power failure."""
    journal.write_bytes(b"\xff\xfe\x00" * 100)
    with pytest.raises(ResumeError, match="cannot be read"):
        find_run(tmp_path, "the run", MANIFEST)


def test_resume_of_other_nodes_names_them(journal, tmp_path):
    """What is new, gone or reads something else, all together."""
    other = [["a", ["w"], ["y"], "1"], ["c", ["y"], ["z"], "2"]]
    with pytest.raises(ResumeError, match="'a' has other inputs or outputs, 'b' is gone, 'c' is"):
        find_run(tmp_path, "the run", other)


def test_resume_accepts_changed_code(journal, tmp_path):
    """A node that was mended is why people resume."""
    assert find_run(tmp_path, None, [[*row[:3], "mended"] for row in MANIFEST]).completed


def test_unknown_run_names_the_latest(journal, tmp_path):
    """With the one that is nearest."""
    with pytest.raises(ResumeError, match="do you mean 'the run'"):
        find_run(tmp_path, "the rum", MANIFEST)


def test_missing_or_empty_runs_folder_is_an_error(tmp_path):
    """Where no journal was ever kept."""
    for folder in (None, tmp_path, tmp_path / "none"):
        with pytest.raises(ResumeError, match="no run to resume"):
            find_run(folder, None, MANIFEST)
    assert run_ids(tmp_path / "none") == []


def test_run_that_is_under_way_is_not_resumed(tmp_path):
    """Its lock says so."""
    journal = RunJournal(tmp_path, "alive", MANIFEST, {})
    journal.begin()
    journal.flush()
    try:
        with pytest.raises(ResumeError, match="'alive' is still under way"):
            find_run(tmp_path, None, MANIFEST)
    finally:
        journal.close()


def test_run_ids_that_are_no_file_names_are_found(tmp_path):
    """Slashes, dots and empty ones; two of one id are told apart by their folders."""
    for run_id in ("a/b", "..", "", "twice", "twice"):
        journal = RunJournal(tmp_path, run_id, MANIFEST, {})
        journal.begin()
        journal.close()
    assert len(run_ids(tmp_path)) == 5
    for run_id in ("a/b", "..", "twice"):
        assert find_run(tmp_path, run_id, MANIFEST).head["run_id"] == run_id
    assert find_run(tmp_path, "twice", MANIFEST).run_id == "twice-2"
    assert run_ids(tmp_path)[-2:] == ["twice", "twice-2"]  # as they have begun
    assert json.loads((tmp_path / "twice.jsonl").read_text())["pipeline"] == MANIFEST


def test_short_run_that_is_complete_leaves_nothing(tmp_path):
    """Others do: what fails, what is left out, what keeps values, and what takes longer."""
    figures = {"completed": 2, "failed": 0, "skipped": 0, "wall_time": 0.01}

    def run(name, *, kept=None, **changed):
        journal = RunJournal(tmp_path, name, MANIFEST, {})
        journal.completed("a", attempt=1, seconds=0.1, kept=kept or {})
        if name == "long":
            journal._begin_at = 0.0  # as if 50 ms had gone by
        journal.flush()
        journal.finished(**figures | changed)
        path = journal.path
        journal.close()
        assert path == journal.path
        assert (path is None) == (name == "short")

    run("short")
    run("failed", failed=1)
    run("stopped", skipped=1)
    run("keeps", kept={"y": "/kept/y"})
    run("long")
    assert sorted(run_ids(tmp_path)) == ["failed", "keeps", "long", "stopped"]
