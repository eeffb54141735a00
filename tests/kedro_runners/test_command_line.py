"""`motorpool run`, `graph`, `bench` and `runs` in a Kedro project, as people call them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from motorpool._system.kedro_project import project_of
from motorpool.cli import main

MOTORPOOL = (sys.executable, "-m", "motorpool")


def run(project, *arguments, code=0, below=""):
    """Run a command; return its standard output and its standard error."""
    env = project.variables()
    del env["MOTORPOOL_RUNS"]  # the tests' own
    done = subprocess.run(
        [*MOTORPOOL, *arguments], cwd=project.folder / below, env=env, text=True,
        capture_output=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-5000:]
    return done.stdout, done.stderr


def test_run_from_below_is_that_of_the_sequential_runner(project, reference):
    """Outputs and hooks; Kedro's log lines and our summary; the journal is the project's."""
    printed, said = run(project, "run", ".", "-w", "2", "--print", "total", below="src/pool_test")
    assert printed == "37.5\n"
    assert project.outputs() == reference[0]
    assert project.hooks() == reference[1]
    assert "Completed 12 out of 12 tasks" in said
    assert "12 of 12 completed" in said
    (journal,) = (project.folder / ".motorpool/runs").iterdir()
    printed, _ = run(project, "runs", below="conf")
    assert journal.stem in printed


def test_hooks_in_the_driver_see_all_nodes(project, reference):
    """The project's own object, which counts them."""
    run(project, "run", ".", "-w", "2", "--hooks", "driver")
    assert project.hooks() == reference[1]
    assert "seen 12" in project.log.read_text()


def test_failed_run_names_its_node_and_is_resumed(project):
    """By the command that it says; what has run does not run again."""
    _, said = run(project, "run", ".", "--pipeline", "fail", "-w", "1", code=1)
    assert "in node 'fail', on backend 'direct'" in said
    assert "You can resume" not in said  # Kedro's way, by names of nodes
    assert "failed         fail" in said
    (hint,) = [line for line in said.splitlines() if "motorpool run --resume" in line]
    nodes = project.folder / "src/pool_test/nodes.py"
    text = nodes.read_text().replace('raise ValueError("this node always fails")', "return 1")
    nodes.write_text(text)
    done = {line.split()[1] for line in project.log.read_text().splitlines() if "after " in line}
    project.log.unlink()
    _, said = run(project, "run", *hint.partition("motorpool run ")[2].split())
    again = {line.split()[1] for line in project.log.read_text().splitlines() if "after " in line}
    assert again.isdisjoint(done)
    assert len(again | done) == 11
    # All is there now; to resume and to leave out what exists is to do nothing.
    scores = ("run", ".", "--pipeline", "scores")
    run(project, *scores)
    _, said = run(project, *scores, "--resume", "--only-missing-outputs")
    assert "nothing to do" in said


def test_parameters_environment_and_several_pipelines(project):
    """In threads, where a session has the catalog of the project's own class."""
    conf = project.folder / "conf/other"
    shutil.copytree(project.folder / "conf/local", conf)
    (conf / "parameters.yml").write_text("regions: {eu: 7}")
    run(project, "run", ".", "--params", "factor:10,regions.us=3", "-b", "threads")
    mean = (3.5 + 4 + 5) / 3 * (10 + 1)  # the project's hook adds one
    assert _score(project, "eu") == pytest.approx(mean * 10 + mean)
    assert _score(project, "us") == pytest.approx(mean * 3 + mean)
    parameters = project.folder / "p.yml"
    parameters.write_text("factor: 3")
    run(project, "run", str(project.folder), "--env", "other", "--params", str(parameters),
        "--pipeline", "small,scores", "--namespaces", "eu", "-b", "sequential")  # fmt: skip
    assert _score(project, "eu") == pytest.approx(mean * 7 + mean)


def _score(project, region):
    return json.loads((project.folder / f"out/{region}_score.json").read_text())["score"]


MISTAKES = """
import sys
from motorpool.cli import main
for arguments in sys.stdin.read().splitlines():
    print("==", arguments, file=sys.stderr)
    try:
        main(["run", ".", *arguments.split()])
    except SystemExit as error:
        print("exit", error.code, file=sys.stderr)
"""


def test_mistakes_are_said_on_a_line_before_anything_starts(project):
    """Each with the culprit, and exit code 2."""
    mistakes = {
        "--pipeline smal": "There is no pipeline 'smal'; do you mean 'small'?",
        "--nodes clen": "There is no node 'clen'; do you mean 'clean'?",
        "--env nowhere": "conf/nowhere",
        "--params factor": "'factor' is neither a file of YAML nor of the form",
        "--catalog catalog.yml": "--env chooses",
        "--tags nothing": "no nodes",
        "--print totl": "There is no output 'totl'; do you mean 'total'?",
        "--resume": "no run",
        "-b lokky": "do you mean 'loky'?",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", MISTAKES], cwd=project.folder, env=project.variables(), text=True,
        input="\n".join(mistakes), capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    said = dict(zip(mistakes, done.stderr.split("\n== ")[0:], strict=True))
    for arguments, words in mistakes.items():
        assert words in said[arguments], said[arguments]
        assert "exit 2" in said[arguments]
        assert "Traceback" not in said[arguments]
    assert not project.log.exists()  # no node has run


def test_broken_project_is_said_on_a_line(project):
    """With the place in the project's own file."""
    registry = project.folder / "src/pool_test/pipeline_registry.py"
    registry.write_text(registry.read_text() + "\n1 / 0\n")
    _, said = run(project, "graph", ".", code=2)
    line = len(registry.read_text().splitlines())
    assert f"pipeline_registry.py, line {line}: ZeroDivisionError" in said
    assert "Traceback" not in said


def test_graph_of_a_pipeline_and_of_a_part_of_it(project):
    """Standard output is JSON and nothing else."""
    printed, _ = run(project, "graph", ".", "--pipeline", "scores", "--format", "json")
    assert [node["name"] for node in json.loads(printed)["nodes"]] == ["eu.score", "us.score"]
    printed, _ = run(project, "graph", ".", "--namespaces", "us", "--format", "json")
    assert [node["name"] for node in json.loads(printed)["nodes"]] == ["us.score"]


def test_bench_leaves_the_projects_data_alone(project):
    """Each run has the project's hooks, and writes elsewhere."""
    printed, _ = run(
        project, "bench", ".", "--backends", "sequential,threads", "--repeat", "1", "-w", "2",
        "--params", "factor=3",
    )  # fmt: skip
    assert "sequential, 1" in printed
    assert "threads, 2" in printed
    assert not (project.folder / "out").exists()
    assert not (project.folder / ".motorpool").exists()
    assert "before scale of kp" in project.log.read_text()


def test_target_is_the_project_or_a_script_within(tmp_path, monkeypatch):
    """A folder at or below it; one with a pipeline.py that is no package is what it was."""
    (tmp_path / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "p"\n')
    (tmp_path / "src/p/part").mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/pipeline.py").touch()
    (tmp_path / "src/p/part/__init__.py").touch()
    (tmp_path / "src/p/part/pipeline.py").touch()
    found = (tmp_path, tmp_path / "src/p")
    assert project_of(str(tmp_path)) == project_of(str(tmp_path / "src/p/part")) == found
    assert project_of(str(tmp_path / "scripts")) is None
    assert project_of(str(tmp_path / "pyproject.toml")) is None
    (tmp_path / "scripts/pyproject.toml").write_text("[tool.other]\nname = 'tool.kedro'")
    monkeypatch.chdir(tmp_path / "scripts")
    assert project_of(".") is None


@pytest.mark.parametrize(
    ("flag", "value"), [("--pipeline", "x"), ("--env", "x"), ("--hooks", "driver")]
)
def test_options_of_projects_need_one(tmp_path, capsys, flag, value):
    """And the line says which option, and what the target is."""
    (tmp_path / "plain.py").write_text("from motorpool import pipeline\npipeline = pipeline([])")
    with pytest.raises(SystemExit) as caught:
        main(["run", str(Path(tmp_path, "plain.py")), flag, value])
    assert caught.value.code == 2
    assert f"{flag} goes with a Kedro project" in capsys.readouterr().err
