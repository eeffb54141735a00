"""Runs that end early, and runs that go on where they ended."""

import logging
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import awkward_functions
import functions
import numpy as np
import pytest
from functions import present

from motorpool import (
    DataCatalog,
    Dataset,
    MemoryDataset,
    ParallelRunner,
    PickleDataset,
    node,
    pipeline,
)
from motorpool._journal.fingerprint import code_hash
from motorpool._journal.reader import records, run_ids
from motorpool._journal.records import read_run
from motorpool.errors import ResumeError, ValidationError
from motorpool.events import RunStarted

PIPELINE = """
import os, signal, time
import numpy as np
from motorpool import DataCatalog, node
from motorpool import pipeline as make

def note(name):
    with open("roll-call", "a") as file:
        file.write(name + "\\n")

def large(n):
    note("large")
    time.sleep(0.06)  # a run that is over within 50 ms leaves no journal
    return np.arange(n)

def twice(x):
    note("twice")
    return x * 2

def fragile(x):
    note("fragile")
    if os.path.exists("broken"):
        raise ValueError("broken")
    while os.path.exists("slow"):
        time.sleep(0.01)
    return int(x.sum())

def side(n):
    note("side")
    return n

def last(total, n):
    note("last")
    with open("result", "w") as file:
        file.write(str(total + n))

pipeline = make([
    node(large, "n", "a", name="large"), node(twice, "a", "b", name="twice"),
    node(fragile, "b", "total", name="fragile"), node(side, "n", "free", name="side"),
    node(last, ["total", "n"], None, name="last"),
])
catalog = DataCatalog({"n": 30_000})
"""
RESULT = str(sum(range(30_000)) * 2 + 30_000)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a pipeline; returns a function that runs `motorpool` there."""
    monkeypatch.delenv("MOTORPOOL_RUNS")
    (tmp_path / "pipeline.py").write_text(PIPELINE)

    def command(*arguments):
        return [sys.executable, "-m", "motorpool", *arguments]

    def run(*arguments):
        return subprocess.run(
            command(*arguments), cwd=tmp_path, capture_output=True, text=True, check=False,
            timeout=functions.LIMIT,
        )  # fmt: skip

    run.folder, run.command = tmp_path, command
    return run


def ran(project):
    """Who has run since the last time."""
    path = project.folder / "roll-call"
    names = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return sorted(names)


def hint(done):
    """The command that a failed run gives to paste."""
    line = done.stderr.splitlines()[-1].strip()
    words = shlex.split(line)
    return words[words.index("motorpool") + 1 :]


def test_pasted_hint_runs_what_has_not_succeeded(any_backend, project):
    """And what it needs that was in memory only; what is not needed again does not run."""
    (project.folder / "broken").touch()
    failed = project("run", "pipeline.py", "-b", any_backend, "--on-failure", "continue")
    assert failed.returncode == 1
    assert ran(project) == ["fragile", "large", "side", "twice"]
    (project.folder / "broken").unlink()
    resumed = project(*hint(failed))
    assert resumed.returncode == 0, resumed.stderr
    assert ran(project) == ["fragile", "large", "last", "twice"]
    assert (project.folder / "result").read_text() == RESULT


def test_resume_from_a_checkpoint_runs_exactly_what_failed(any_backend, project):
    """Values come from the folder, whatever the backend that reads them."""
    (project.folder / "broken").touch()
    arguments = ["run", "pipeline.py", "-b", any_backend, "--checkpoint", "kept"]
    failed = project(*arguments, "--on-failure", "continue")
    ran(project)
    again = project(*hint(failed))  # it is broken still: a resumed run can be resumed
    assert again.returncode == 1
    assert ran(project) == ["fragile"]
    (project.folder / "broken").unlink()
    resumed = project(*hint(again))
    assert resumed.returncode == 0, resumed.stderr
    assert ran(project) == ["fragile", "last"]
    assert (project.folder / "result").read_text() == RESULT
    assert not list((project.folder / "kept").rglob("*.new"))


def test_run_whose_driver_was_killed_is_resumed(process_backend, project):
    """The journal says what it had done, and the latest run is found without its name."""
    (project.folder / "slow").touch()
    command = project.command(
        "run", "pipeline.py", "-b", process_backend, "--checkpoint", "kept", "-w", "2"
    )
    driver = subprocess.Popen(command, cwd=project.folder, stderr=subprocess.PIPE, text=True)
    path = project.folder / "roll-call"
    assert functions.wait_until(
        lambda: path.exists() and {"fragile", "side"} <= set(path.read_text().split())
    )
    (journal,) = (project.folder / ".motorpool/runs").glob("*.jsonl")
    assert functions.wait_until(lambda: journal.read_text().count('"completed"') == 3)
    alive = project("run", "pipeline.py", "--resume")
    assert alive.returncode == 2
    assert "is still under way" in alive.stderr
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    (project.folder / "slow").unlink()
    ran(project)
    resumed = project("run", "pipeline.py", "--resume", "--checkpoint", "kept")
    assert resumed.returncode == 0, resumed.stderr
    assert ran(project) == ["fragile", "last"]
    assert (project.folder / "result").read_text() == RESULT


def test_other_pipeline_is_refused_by_name(project):
    """What is new, gone or different; an unknown run; and no run at all."""
    none = project("run", "pipeline.py", "--resume")
    assert none.returncode == 2
    assert "no run to resume" in none.stderr
    assert project("run", "pipeline.py", "--nodes", "large,twice").returncode == 0
    other = project("run", "pipeline.py", "--resume")
    assert other.returncode == 2
    assert "'fragile' is new, 'last' is new, 'side' is new" in other.stderr
    unknown = project("run", "pipeline.py", "--resume", "2001")
    assert unknown.returncode == 2
    assert "There is no run '2001'" in unknown.stderr
    assert ran(project) == ["large", "twice"]
    assert (project.folder / ".motorpool/.gitignore").read_text() == "*\n"


def failing_once(tmp_path):
    """A pipeline of three; the second node fails until the file `ok` is there."""
    ok, path = tmp_path / "ok", str(tmp_path / "calls")

    def first(x):
        present(path, "first")
        return np.full(20_000, x)

    def second(x):
        present(path, "second")
        if not ok.exists():
            raise ValueError("not yet")
        return float(x.sum())

    def third(x):
        present(path, "third")
        return x + 1

    pipe = pipeline(
        [
            node(first, "x", "big", name="first"),
            node(second, "big", "sum", name="second"),
            node(third, "x", "more", name="third"),
        ]
    )
    return pipe, ok, Path(path)


def test_results_of_a_resumed_run_are_complete(any_backend, tmp_path):
    """What the first run made is loaded from its checkpoint."""
    pipe, ok, calls = failing_once(tmp_path)
    runner = ParallelRunner(
        any_backend, max_workers=2, on_failure="continue", runs_folder=tmp_path / "runs",
        checkpoint=tmp_path / "kept",
    )  # fmt: skip
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipe, {"x": 3})
    ok.touch()
    result = runner.run(pipe, {"x": 3}, resume=True)
    assert result["sum"].load() == 60_000.0
    assert result["more"].load() == 4
    assert sorted(calls.read_text().split()) == ["first", "second", "second", "third"]
    assert result.summary.completed == 1
    del result
    again = runner.run(pipe, {"x": 3}, resume=True)  # nothing is left to run, nothing is lost
    assert again["sum"].load() == 60_000.0
    assert len(list((tmp_path / "kept").rglob("*.segment"))) == 3


def test_result_that_was_not_kept_is_made_again(any_backend, tmp_path):
    """A caller gets all results; the command line, which drops them, makes none again."""
    pipe, ok, calls = failing_once(tmp_path)
    runner = ParallelRunner(
        any_backend, max_workers=2, on_failure="continue", runs_folder=tmp_path / "runs"
    )
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipe, {"x": 3}, run_id="one")
    ok.touch()
    result = runner.run(pipe, {"x": 3}, resume="one")
    assert result["sum"].load() == 60_000.0
    assert result["more"].load() == 4
    assert calls.read_text().split().count("third") == 2


def test_lost_checkpoint_file_costs_no_more_than_the_node(tmp_path):
    """Its maker runs again."""
    pipe, ok, calls = failing_once(tmp_path)
    runner = ParallelRunner(
        max_workers=2, on_failure="continue", runs_folder=tmp_path / "r", checkpoint=tmp_path / "k"
    )
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipe, {"x": 3})
    ok.touch()
    next((tmp_path / "k").rglob("big-*.segment")).unlink()
    assert runner.run(pipe, {"x": 3}, resume=True)["sum"].load() == 60_000.0
    assert sorted(calls.read_text().split()) == ["first", "first", "second", "second", "third"]


class Text(Dataset):
    """A persistent dataset."""

    def __init__(self, path):
        self.path = path

    def load(self):
        """Read."""
        return Path(self.path).read_text()

    def save(self, data):
        """Write."""
        Path(self.path).write_text(data)

    def exists(self):
        """Look."""
        return Path(self.path).exists()


def test_persisted_values_are_used_if_they_are_still_there(tmp_path):
    """And made again if not."""
    pipe = pipeline(
        [
            node(lambda x: str(x), "x", "text", name="write"),
            node(lambda t: 1 // 0, "text", "y", name="bad"),
        ]
    )
    catalog = DataCatalog({"x": 7, "text": Text(tmp_path / "text")})
    runner = ParallelRunner("threads", max_workers=1, runs_folder=tmp_path / "runs")
    completed = []
    for remove in (False, False, True):
        if remove:
            (tmp_path / "text").unlink()
        with pytest.raises(ZeroDivisionError):
            runner.run(pipe, catalog, resume=bool(completed))
        (newest,) = (p for p in (tmp_path / "runs").iterdir() if p.name not in completed)
        completed.append(newest.name)
        known = records(newest.read_text(), ["write", "bad"])  # told alone or not, as it came
        (write,) = (x for x in known if x.get("completed") == "write")
        assert ("in" in write) == (len(completed) == 2)


def test_changed_code_of_a_failed_node_is_used_and_of_a_completed_one_warned_of(tmp_path, caplog):
    """The failed node's new code runs; a completed node's old result is used, with a warning."""

    def build(change, good):
        return pipeline(
            [
                node((lambda x: x + 1) if change else (lambda x: x), "x", "a", name="first"),
                node(lambda a: a if good else 1 // 0, "a", "b", name="second"),
            ]
        )

    runner = ParallelRunner(
        "threads", max_workers=1, runs_folder=tmp_path / "r", checkpoint=tmp_path / "k"
    )
    with pytest.raises(ZeroDivisionError):
        runner.run(build(change=False, good=False), {"x": 1})
    with caplog.at_level(logging.WARNING):
        assert runner.run(build(change=True, good=True), {"x": 1}, resume=True)["b"].load() == 1
    assert "The code of 'first' has changed since the run" in caplog.text
    assert "'second'" not in caplog.text


def test_code_hash_follows_the_code_only():
    """Not the process, the line or the closure's values."""

    def one(x):
        return x in {"a", "b", "c"}

    def other(x):
        return x in {"a", "b", "d"}

    code = (
        "from motorpool._journal.fingerprint import code_hash\n"
        "def one(x):\n    return x in {'a', 'b', 'c'}\nprint(code_hash(one))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == code_hash(one)
    assert code_hash(one) != code_hash(other)
    assert code_hash(len) == ""


def test_disk_that_is_full_costs_a_warning(any_backend, run, tmp_path, caplog):
    """A value that cannot be kept does not fail its node."""
    folder = tmp_path / "kept"
    pipe = pipeline([node(functions.identity, "x", "y"), node(functions.identity, "y", "z")])

    def remove(event):
        if isinstance(event, RunStarted):
            (path,) = folder.iterdir()
            path.rmdir()
            path.write_text("no folder any more")

    observer = type("Remove", (), {"on_event": staticmethod(remove)})()
    runner = ParallelRunner(any_backend, max_workers=1, checkpoint=folder, observers=[observer])
    assert runner.run(pipe, {"x": 1})["z"].load() == 1
    assert "The dataset 'z' could not be kept" in caplog.text


def test_bad_settings_are_refused(tmp_path):
    """Before anything runs."""
    with pytest.raises(ValidationError, match="checkpoint must be a path, not 3"):
        ParallelRunner(checkpoint=3)
    with pytest.raises(ValidationError, match="checkpoint needs journals"):
        ParallelRunner(checkpoint="x", runs_folder=False)
    with pytest.raises(ResumeError, match="no run to resume"):
        ParallelRunner(runs_folder=tmp_path).run(pipeline(node(len, "x", "y")), {"x": ""},
                                                 resume=True)  # fmt: skip


def test_no_journal_is_kept_where_none_is_wanted(tmp_path, monkeypatch, caplog):
    """By argument, by environment, or because the folder cannot be written."""
    monkeypatch.chdir(tmp_path)
    pipe = pipeline(node(len, "x", "y"))
    assert (
        ParallelRunner("threads", runs_folder=False).run(pipe, {"x": ""}).summary.journal is None
    )
    monkeypatch.setenv("MOTORPOOL_RUNS", "")
    assert ParallelRunner("threads").run(pipe, {"x": ""}).summary.journal is None
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    runner = ParallelRunner("sequential", runs_folder=tmp_path / "file" / "runs")
    result = runner.run(pipe, {"x": ""})
    assert result.summary.journal is None
    assert "cannot be resumed, for it keeps no journal" in caplog.text
    kept = ParallelRunner(runs_folder=tmp_path / "file" / "runs", checkpoint=tmp_path / "kept")
    with pytest.raises(ValidationError, match="cannot be written down in .*runs"):
        kept.run(pipe, {"x": ""})


def test_old_journals_are_removed(tmp_path):
    """A loop of runs fills no disk; a run id that is used again gets a number."""
    runner = ParallelRunner("sequential", runs_folder=tmp_path)
    pipe = pipeline(node(int, "x", "y"))
    for _ in range(125):
        with pytest.raises(ValueError, match="invalid literal"):
            runner.run(pipe, {"x": "?"}, run_id="../same")
        assert len(list(tmp_path.iterdir())) <= 120
    assert len(run_ids(tmp_path)) >= 100
    assert os.listdir(tmp_path.parent).count("same") == 0


def test_users_own_memory_dataset_is_filled_from_the_checkpoint(tmp_path):
    """A registered in-memory dataset between two nodes, as in Kedro's catalogs."""
    pipe, ok, calls = failing_once(tmp_path)
    runner = ParallelRunner(
        "direct", max_workers=1, runs_folder=tmp_path / "r", checkpoint=tmp_path / "k"
    )
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipe, DataCatalog({"x": 3, "big": MemoryDataset()}))
    ok.touch()
    result = runner.run(pipe, DataCatalog({"x": 3, "big": MemoryDataset()}), resume=True)
    assert result["sum"].load() == 60_000.0
    assert calls.read_text().split().count("first") == 1


def test_run_ids_that_are_used_again_keep_their_values_apart(tmp_path):
    """Each run has a checkpoint folder of its own; the latest run of an id is resumed."""
    runner = ParallelRunner(
        "threads", max_workers=1, runs_folder=tmp_path / "r", checkpoint=tmp_path / "k"
    )

    def pipe(fails):
        return pipeline(
            [
                node(lambda x: x, "x", "value", name="keep"),
                node(lambda v: 1 // 0 if fails else v, "value", "out", name="use"),
            ]
        )

    for value in ("one", "two"):
        with pytest.raises(ZeroDivisionError):
            runner.run(pipe(fails=True), {"x": value}, run_id="10:30")
    assert runner.run(pipe(fails=False), {"x": "?"}, resume="10:30")["out"].load() == "two"
    assert runner.run(pipe(fails=False), {"x": "?"}, resume="10%3A30")["out"].load() == "one"


def test_only_journals_of_ours_are_removed(tmp_path):
    """A folder that holds other things with a lock is left alone, however many there are."""
    for i in range(120):
        (tmp_path / f"thesis{i}").mkdir()
        (tmp_path / f"thesis{i}/lock").touch()
    runner = ParallelRunner("sequential", runs_folder=tmp_path)
    runner.run(pipeline(node(len, "x", "y")), {"x": ""})
    assert len(list(tmp_path.glob("thesis*/lock"))) == 120


def test_broken_journal_of_another_run_is_passed_over(tmp_path):
    """By `resume=True`; asked for by name, it is an error that says so."""
    pipe, ok, _calls = failing_once(tmp_path)
    runner = ParallelRunner("threads", max_workers=1, runs_folder=tmp_path / "r")
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipe, {"x": 1})
    for name, text in (("a", "not json"), ("b", "[1]"), ("c", "[]")):
        (tmp_path / "r" / f"{name}.jsonl").write_text(text)
        with pytest.raises(ResumeError, match="journal .* cannot be read"):
            runner.run(pipe, {"x": 1}, resume=name)
    ok.touch()
    assert runner.run(pipe, {"x": 1}, resume=True)["sum"].load() == 20_000.0


def test_warm_workers_do_not_keep_a_run_alive(tmp_path):
    """Forked workers share the journal's lock, which is given up all the same."""
    pipe, ok, _calls = failing_once(tmp_path)
    with ParallelRunner(
        "direct", max_workers=1, start_method="fork", runs_folder=tmp_path / "r"
    ) as runner:
        for _ in range(2):  # the second run's workers are forked while it is open
            with pytest.raises(ValueError, match="not yet"):
                runner.run(pipe, {"x": 1})
        ok.touch()
        assert runner.run(pipe, {"x": 1}, resume=True)["sum"].load() == 20_000.0


def test_disk_of_the_journal_that_fills_up_costs_a_warning(any_backend, tmp_path, caplog):
    """The node's own error comes through, and so do results."""

    class Fill:
        def on_event(self, event):
            if isinstance(event, RunStarted):
                for link in Path("/proc/self/fd").iterdir():
                    if str(link.readlink()).startswith(str(tmp_path)) and "jsonl" in str(
                        link.readlink()
                    ):
                        full = os.open("/dev/full", os.O_WRONLY)
                        os.dup2(full, int(link.name))
                        os.close(full)
                        return

    runner = ParallelRunner(
        any_backend, max_workers=1, runs_folder=tmp_path, observers=[Fill()],
        checkpoint=tmp_path / "kept",
    )  # fmt: skip
    assert runner.run(pipeline(node(len, "x", "y")), {"x": "ab"})["y"].load() == 2
    assert "is not written down any more" in caplog.text
    with pytest.raises(ZeroDivisionError):
        runner.run(pipeline(node(lambda x: 1 // 0, "x", "y")), {"x": "ab"})


def test_exception_whose_repr_raises_is_in_the_journal(any_backend, tmp_path):
    """Code of the exception's own runs when it is shown."""
    runner = ParallelRunner(
        any_backend, max_workers=1, runs_folder=tmp_path, on_failure="continue"
    )
    pipe = pipeline(
        [
            node(awkward_functions.raise_without_text, "x", "y", name="bad"),
            node(len, "x", "z", name="good"),
        ]
    )
    with pytest.raises(awkward_functions.NoTextError):
        runner.run(pipe, {"x": ""})
    (journal,) = tmp_path.glob("*.jsonl")
    outcomes = {node.node: node.outcome for node in read_run(journal).nodes}
    assert outcomes == {"bad": "failed", "good": "done"}
    assert "its text cannot be shown" in journal.read_text()


def test_resume_with_only_missing_outputs_keeps_what_was_kept(tmp_path):
    """Both rules leave nodes out; neither leaves results out."""
    pipe, _ok, _calls = failing_once(tmp_path)
    runner = ParallelRunner(
        "threads", max_workers=1, runs_folder=tmp_path / "r", checkpoint=tmp_path / "k",
        on_failure="continue",
    )  # fmt: skip
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipe, {"x": 1})
    result = runner.run(pipe, {"x": 1}, resume=True, only_missing_outputs=True)
    assert result["more"].load() == 2


def test_transcoded_dataset_is_made_again_if_it_is_gone(tmp_path):
    """Who writes `table@text` makes what is read as `table@upper`."""
    text = Text(tmp_path / "table")
    pipe = pipeline(
        [
            node(lambda x: f"made of {x}", "x", "table@text", name="make"),
            node(lambda t: 1 // 0, "table@upper", "y", name="use"),
        ]
    )
    catalog = DataCatalog({"x": 1, "table@text": text, "table@upper": text})
    runner = ParallelRunner("threads", max_workers=1, runs_folder=tmp_path / "r")
    with pytest.raises(ZeroDivisionError):
        runner.run(pipe, catalog)
    (tmp_path / "table").unlink()
    with pytest.raises(ZeroDivisionError):
        runner.run(pipe, catalog, resume=True)
    assert (tmp_path / "table").exists()


def test_output_file_that_is_gone_is_made_again(any_backend, tmp_path):
    """Although its node has run."""
    text = PickleDataset(tmp_path / "text")
    write = node(
        functions.slow_text, "x", "text", name="write"
    )  # a run of less than 50 ms leaves no journal
    pipe = pipeline([write, node(len, "text", "n", name="count")])
    final = pipeline([write])
    runner = ParallelRunner(any_backend, max_workers=1, runs_folder=tmp_path / "r")
    for each in (pipe, final):
        runner.run(each, DataCatalog({"x": 7, "text": text}))
        (tmp_path / "text").unlink()
        runner.run(each, DataCatalog({"x": 7, "text": text}), resume=True)
    assert text.load() == "7"


@pytest.mark.parametrize("size", [0, 10, 100, 100_000])
def test_truncated_checkpoint_file_is_ignored(tmp_path, size):
    """Its maker runs again."""
    pipe, ok, calls = failing_once(tmp_path)
    runner = ParallelRunner(
        max_workers=1, runs_folder=tmp_path / "r", checkpoint=tmp_path / "k",
    )  # fmt: skip
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipe, {"x": 3})
    ok.touch()
    os.truncate(next((tmp_path / "k").rglob("big-*.segment")), size)
    assert runner.run(pipe, {"x": 3}, resume=True)["sum"].load() == 60_000.0
    assert calls.read_text().split().count("first") == 2


def test_other_parameters_are_a_warning(tmp_path, caplog):
    """Results of the first run are used all the same."""
    pipe, ok, calls = failing_once(tmp_path)
    runner = ParallelRunner(
        "threads", max_workers=1, runs_folder=tmp_path / "r", checkpoint=tmp_path / "k"
    )
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipe, {"x": 3})
    ok.touch()
    assert runner.run(pipe, {"x": 4}, resume=True)["sum"].load() == 60_000.0
    assert "The input 'x' is another than in the run" in caplog.text
    assert calls.read_text().split().count("first") == 1
