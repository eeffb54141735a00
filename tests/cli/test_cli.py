"""The command line, in processes of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = """
from motorpool import DataCatalog, Pipeline, node
from text_file import TextFile

def load():
    return [1, 2, 3]

def total(numbers):
    return str(sum(numbers))

def fail(numbers):
    raise ValueError("no such number")

pipeline = Pipeline([node(load, None, "numbers", name="load", tags="t"),
                     node(total, "numbers", "total", name="total")])
failing = pipeline + Pipeline([node(fail, "numbers", "bad", name="bad")])
pipeline_of_both = pipeline + Pipeline([node(max, "numbers", "most", name="most")])
hopeless = Pipeline([node(lambda: 1 / 0, None, "never")])
catalog = DataCatalog({"total": TextFile("total.txt")})

def create():
    return pipeline

def broken():
    return undefined_name

no_pipeline = 5
"""
TEXT_FILE = """
from pathlib import Path

from motorpool import Dataset

class TextFile(Dataset):
    def __init__(self, path):
        self.path = Path(path)

    def load(self):
        return self.path.read_text()

    def save(self, data):
        self.path.write_text(data)

    def exists(self):
        return self.path.exists()
"""

KEDRO = """
from kedro.pipeline import Pipeline, node
pipeline = Pipeline([node(lambda x: x, "x", "y", name="first")])
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "text_file.py").write_text(TEXT_FILE)
    (tmp_path / "kedro_one.py").write_text(KEDRO)
    return tmp_path


@pytest.fixture
def motorpool(folder):
    """Call the command line in the folder."""

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "motorpool", *arguments],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return call


@pytest.mark.parametrize(
    "target",
    [
        ".", "pipeline.py", "pipeline.py:pipeline", "pipeline.py:create", "pipeline:pipeline",
        "pipeline",
    ],
)  # fmt: skip
def test_run_takes_targets_of_every_form(motorpool, folder, target):
    """A folder, a file, a module, with and without the attribute."""
    done = motorpool("run", target, "-w", "2")
    assert done.returncode == 0, done.stderr
    assert (folder / "total.txt").read_text() == "6"
    assert "2 of 2 completed" in done.stderr
    for word in ("wall time", "time in nodes", "speed-up", "peak memory"):
        assert word in done.stderr


def test_run_on_a_backend_with_options(motorpool, folder):
    """The name, and its options as strings."""
    done = motorpool("run", ".", "-b", "process", "-o", "start_method=spawn", "-w", "1")
    assert done.returncode == 0, done.stderr
    assert "process, 1 worker" in done.stderr


def test_catalog_may_be_elsewhere(motorpool, folder):
    """With --catalog."""
    (folder / "other.py").write_text(
        "from motorpool import DataCatalog\nfrom text_file import TextFile\n"
        "def catalog():\n    return DataCatalog({'total': TextFile('elsewhere.txt')})\n"
    )
    assert motorpool("run", ".", "--catalog", "other.py").returncode == 0
    assert (folder / "elsewhere.txt").read_text() == "6"


@pytest.mark.parametrize(
    ("options", "ran"),
    [
        (["--nodes", "load"], ["load"]),
        (["--to-nodes", "load"], ["load"]),
        (["--tags", "t,u"], ["load"]),
        (["--from-nodes", "load"], ["load", "total"]),
    ],
)
def test_nodes_are_chosen_by_name_from_to_and_tag(motorpool, folder, options, ran):
    """By name, by place and by tag; the events list what ran."""
    done = motorpool("run", ".", "--events", "events.jsonl", *options)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [e["node"] for e in events if e["event"] == "NodeCompleted"] == ran
    assert events[-1]["summary"]["completed"] == len(ran)


def test_outputs_are_listed_and_printed(motorpool, folder):
    """Files with their size, values with their type; those asked for on standard output."""
    done = motorpool("run", "pipeline.py:pipeline_of_both", "--print", "total", "--print", "most")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "6\n3\n"
    assert re.search(r"^written +total: total.txt, 1 B \(TextFile\)$", done.stderr, re.MULTILINE)
    assert re.search(r"^in memory +most: int 3$", done.stderr, re.MULTILINE)
    assert "--print NAME shows it, and a dataset in the catalog keeps it" in done.stderr
    wrong = motorpool("run", "pipeline.py:pipeline_of_both", "--print", "numbers")
    assert wrong.returncode == 2
    assert "no output 'numbers'. There are: most, total. What other nodes read is" in wrong.stderr


def test_summary_goes_to_a_file_as_json(motorpool, folder):
    """With the times of each node; also after a failure."""
    assert motorpool("run", ".", "--summary-json", "summary.json").returncode == 0
    found = json.loads((folder / "summary.json").read_text())
    assert (found["completed"], found["failed"], found["backend"]) == (2, [], "direct")
    assert [each["node"] for each in found["nodes"]] == ["load", "total"] == found["critical_path"]
    assert found["speedup"] == found["call_time"] / found["wall_time"]
    done = motorpool("run", "pipeline.py:failing", "--summary-json", "-")
    assert done.returncode == 1
    assert json.loads(done.stdout)["failed"] == ["bad"]


def test_summary_has_lines_that_make_sense(motorpool):
    """With nothing done there is no speed-up, and one node is one."""
    one = motorpool("run", ".", "--nodes", "load").stderr
    assert "Running 1 node on backend" in one
    assert re.search(r"^node +1 of 1 completed$", one, re.MULTILINE)
    assert "critical path" not in one
    none = motorpool("run", "pipeline.py:hopeless").stderr
    assert re.search(r"^node +0 of 1 completed$", none, re.MULTILINE)
    assert not re.search("^(speed-up|time in nodes|waiting|slowest)", none, re.MULTILINE)


def test_only_missing_outputs_runs_what_has_no_output(motorpool, folder):
    """What is there is not made again."""
    (folder / "total.txt").write_text("old")
    done = motorpool("run", ".", "--only-missing-outputs")
    assert "nothing to do" in done.stderr
    assert (folder / "total.txt").read_text() == "old"


def test_failed_node_shows_its_own_traceback_and_a_command(motorpool, folder):
    """Exit code 1; the frames are the user's, and the command can be pasted."""
    done = motorpool("run", "pipeline.py:failing", "--on-failure", "continue")
    assert done.returncode == 1
    assert 'raise ValueError("no such number")' in done.stderr
    assert "in node 'bad'" in done.stderr
    assert re.search(r"failed +bad", done.stderr)
    assert str(Path("motorpool", "_task.py")) not in done.stderr
    command = re.search(r"To run the rest:\n  (?:uv run |\S+ -m )?motorpool (.*)", done.stderr)[1]
    assert command.startswith("run --resume 20")
    again = motorpool(*command.split())
    assert again.returncode == 1
    assert "To run the rest" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nope.py"], "no file or folder .*'nope.py'"),
        (["run", "piepline.py"], "do you mean 'pipeline.py'"),
        (["run", "no.such.module"], "no module, file or folder 'no.such.module'"),
        (["run", "pipeline.py:nope"], "no attribute 'nope'.*failing"),
        (["run", "pipeline.py:no_pipeline"], "is a int, not a pipeline"),
        (["run", "pipeline.py:broken"], "pipeline.py, line 2.: NameError.*undefined_name"),
        (["run", ".", "-b", "direkt"], "do you mean 'direct'"),
        (["run", "pipeline.py:failling"], "do you mean 'failing'"),
        (["run", ".", "--nodes", ""], "it names nothing"),
        (["run", ".", "--events", "no/such/folder"], "No such file"),
        (["run", "kedro_one.py", "--nodes", "fisrt"], "do you mean 'first'"),
        (["run", "kedro_one.py", "--tags", "none"], "contains no nodes"),
        (["run", ".", "-w", "0"], "max_workers must be a whole number of at least 1"),
        (["run", ".", "-w", "many"], "'many' is not a valid integer"),
        (["run", ".", "-o", "start_method=sprawn"], "expected 'fork'"),
        (["run", ".", "-o", "nonsense"], "not of the form name=value"),
        (["run", ".", "--nodes", "lood"], "do you mean 'load'"),
        (["run", ".", "--timeout", "5", "-b", "threads"], "cannot end a running node"),
        (["run", ".", "--on-failure", "panic"], "stop.*continue.*kill"),
        (["graph", ".", "--format", "png"], "tree.*mermaid.*json"),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(motorpool, arguments, message):
    """With the valid choices, and without a traceback."""
    done = motorpool(*arguments)
    assert done.returncode == 2, done.stderr
    assert re.search(message, done.stderr, re.DOTALL), done.stderr
    assert "Traceback" not in done.stderr


def test_missing_input_is_a_users_mistake(motorpool, folder):
    """Exit code 2 as well: nothing has run."""
    (folder / "lacks.py").write_text(
        "from motorpool import Pipeline, node\npipeline = Pipeline([node(len, 'a', 'b')])\n"
    )
    done = motorpool("run", "lacks.py")
    assert done.returncode == 2
    assert "'a', read by len__b" in done.stderr
    assert "Traceback" not in done.stderr


def test_error_in_the_users_file_is_one_line(motorpool, folder):
    """With file and line."""
    (folder / "wrong.py").write_text("x = 1\ny = (\n")
    done = motorpool("run", "wrong.py")
    assert done.returncode == 2
    assert re.search(r"wrong.py, line 2: SyntaxError", done.stderr)


def test_graph_in_every_format(motorpool):
    """A tree for people, mermaid for pages, JSON for programs."""
    tree = motorpool("graph", ".").stdout
    assert "2 nodes in 2 layers" in tree
    assert "total: numbers -> total" in tree
    mermaid = motorpool("graph", ".", "--format", "mermaid").stdout
    assert mermaid.startswith("flowchart LR")
    assert 'n0["load"]' in mermaid
    found = json.loads(motorpool("graph", ".", "--format", "json").stdout)
    assert found["outputs"] == ["total"]
    assert [n["parents"] for n in found["nodes"]] == [[], ["load"]]


def test_backends_are_listed_with_options(motorpool):
    """For people and for programs."""
    text = motorpool("backends").stdout
    assert "direct" in text
    rows = {row["name"]: row for row in json.loads(motorpool("backends", "--json").stdout)}
    assert {"direct", "process", "threads", "sequential", "loky", "multiprocess"} <= set(rows)
    assert rows["direct"]["can"]["exact_blame"] is True
    assert rows["process"]["options"][0] == {
        "name": "start_method", "type": "'fork' | 'forkserver' | 'spawn' | None", "default": None,
    }  # fmt: skip
    assert rows["loky"]["distributions"][0].startswith("motorpool-loky ")
    assert all(row["error"] is None for row in rows.values())


def test_backends_that_are_broken_are_listed_and_found_by_a_check(motorpool, folder):
    """One that cannot be imported, and one whose options have a default that fails."""
    sound = motorpool("backends", "--check")
    assert (sound.returncode, sound.stderr) == (0, "")
    for name, code in {"bad": "raise SystemExit('no licence')", "odd": ODD}.items():
        (folder / f"plugin_{name}.py").write_text(code)
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[motorpool.backends]\n{name} = plugin_{name}\n")
    listed, checked = motorpool("backends"), motorpool("backends", "--check")
    assert (listed.returncode, checked.returncode) == (0, 1)
    assert listed.stdout == checked.stdout
    assert "bad 1.0 cannot be imported: SystemExit: no licence" in listed.stdout
    assert "-o size=[OSError: no file]  (int)" in listed.stdout
    assert "-o place=required  (str)" in listed.stdout


ODD = """
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from motorpool import Capabilities, ExecutorBackend, Isolation, hookimpl

def read():
    raise OSError("no file")

@dataclass(frozen=True, kw_only=True)
class Options:
    place: str
    size: int = field(default_factory=read)

class Backend(ExecutorBackend):
    capabilities = Capabilities(isolation=Isolation.THREAD)
    options_type = Options

    def _get_executor(self, max_workers):
        return ThreadPoolExecutor(max_workers)

@hookimpl
def motorpool_register_backend():
    return Backend
"""


def test_version_and_help_exit_with_0(motorpool):
    """As every command has them."""
    assert "version" in motorpool("--version").stdout
    assert "TARGET" in motorpool("run", "--help").stdout


def test_summary_says_what_was_skipped_and_why(motorpool, folder):
    """Grouped by reason."""
    (folder / "skips.py").write_text(
        "from motorpool import Pipeline, node\n"
        "def fail(x):\n    raise ValueError\n"
        "pipeline = Pipeline([node(lambda: 1, None, 'x', name='first'),"
        " node(fail, 'x', 'y', name='bad'), node(abs, 'y', 'z', name='one'),"
        " node(abs, 'z', 'w', name='two')])\n"
    )
    done = motorpool("run", "skips.py", "--on-failure", "continue")
    assert re.search(r"nodes +1 of 4 completed", done.stderr)
    text = " ".join(done.stderr.split())
    assert "skipped one, two: it needs the node 'bad', which failed" in text


LOGS = """
import logging, sys
from logging.config import dictConfig
from motorpool import DataCatalog, node, pipeline

CONSOLE = {{"class": {handler!r}{stream}}}
dictConfig({{
    "version": 1, "disable_existing_loggers": False,
    "handlers": {{"own": CONSOLE, "all": CONSOLE}},
    "loggers": {{"chatty": {{"level": "INFO", "handlers": ["own"], "propagate": False}}}},
    "root": {{"level": "INFO", "handlers": ["all"]}},
}})

def shout(x):
    logging.getLogger("chatty").info("of its own")
    logging.getLogger("other").info("of the root")
    return x

pipeline = pipeline(node(shout, "x", "y"))
catalog = DataCatalog({{"x": 41}})
"""


@pytest.mark.parametrize("flag", ["--progress", "--no-progress"])
@pytest.mark.parametrize(
    ("handler", "stream"),
    [
        ("logging.StreamHandler", ', "stream": "ext://sys.stdout"'),
        ("rich.logging.RichHandler", ""),
    ],
)
def test_log_lines_of_a_projects_own_settings_go_to_standard_error(
    motorpool, folder, flag, handler, stream
):
    """Each once, beside a bar as well; standard output has what --print asks for."""
    (folder / "pipeline.py").write_text(LOGS.format(handler=handler, stream=stream))
    done = motorpool("run", ".", "--print", "y", flag)
    assert (done.returncode, done.stdout) == (0, "41\n"), done.stderr
    assert done.stderr.count("of its own") == 1
    assert done.stderr.count("of the root") == 1
