"""What a shell has to do with the command: pipes, characters, completion."""

import os
import subprocess
import sys

import pytest

PIPELINE = """
from motorpool import DataCatalog, node, pipeline
print("said when it is imported")

def talk(x):
    for i in range(20_000):
        print("line", i)
    return x

def fail(x):
    talk(x)
    raise ValueError("no")

pipeline = pipeline([
    node(talk, "größe", "said", name="größer", tags="loud"),
    node(len, "größe", "n", name="other"),
])
failing = pipeline + type(pipeline)([node(fail, "größe", "never", name="bad")])
odd = type(pipeline)([node(len, "a", f"b{i}", name=f"n{i}\\udce4") for i in range(3000)])
catalog = DataCatalog({"größe": "x"})
"""


@pytest.fixture
def shell(tmp_path):
    """Run a line of bash in a folder with a pipeline; `m` is the command."""
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    command = f'm() {{ "{sys.executable}" -m motorpool "$@"; }}\n'

    def shell(line, **variables):
        return subprocess.run(
            ["bash", "-c", command + line], capture_output=True, text=True, check=False,
            cwd=tmp_path, timeout=100, env=os.environ | variables,
        )  # fmt: skip

    return shell


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("m run pipeline.py -b direct -w 1", 0),
        ("m run pipeline.py -b process -w 1", 0),
        ("m run pipeline.py -b sequential", 0),
        ("m run pipeline.py -b threads --print said", 0),
        ("m run pipeline.py:failing -w 1", 1),
        ("m graph pipeline.py:odd", 0),
        ("m graph pipeline.py:odd --format json", 0),
        ("m backends", 0),
        ("m runs", 0),
    ],
)
def test_reader_that_ends_early_changes_nothing(shell, line, code):
    """The exit code is the command's own, and nothing is said of the pipe."""
    done = shell(f"{line} | head -1; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == code, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "BrokenPipe" not in done.stderr
    assert ("Traceback" in done.stderr) == (code == 1)


@pytest.mark.parametrize("form", ["tree", "mermaid", "json", "dot", "svg"])
def test_any_name_can_be_shown(shell, form):
    """On a terminal without such characters, and with names that are no text at all."""
    for target in ("pipeline.py", "pipeline.py:odd"):
        show = f"m graph {target} --format {form}"
        for line in (show, f"{show} -o picture && cat picture"):
            done = shell(line, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        (["run", "pipeline.py", "-b", "thr"], ["threads"]),
        (["run", "pipeline.py", "--nodes", ""], ["größer", "other"]),
        (["run", "pipeline.py", "--nodes", "other,g"], ["other,größer"]),
        (["run", "pipeline.py", "--tags", ""], ["loud"]),
        (["run", "--print", "n", "pipeline.py", "--print", "s"], ["said"]),
        (["run", "missing.py", "--nodes", ""], []),
        (["run", "--nodes", ""], []),
        (["bench", "pipeline.py", "--backends", "direct,seq"], ["direct,sequential"]),
        (["check", "seq"], ["sequential"]),
        (["runs", "show", "20"], ["20-a-run"]),
        (["runs", "c"], ["clean"]),
        (["ru"], ["run", "runs"]),
    ],
)
def test_shell_completes_names(shell, tmp_path, words, choices):
    """Of commands, backends, nodes, tags, outputs and runs."""
    runs = tmp_path / ".motorpool" / "runs"
    runs.mkdir(parents=True)
    (runs / "20-a-run.jsonl").write_text("")
    done = shell(
        "m", COMP_WORDS=" ".join(["m", *words]), COMP_CWORD=str(len(words)),
        _MOTORPOOL_COMPLETE="bash_complete", MOTORPOOL_RUNS=".motorpool/runs",
    )  # fmt: skip
    assert done.stdout.split() == [f"plain,{choice}" for choice in choices], done.stderr


def test_shell_completes_files(shell):
    """By itself: it is told that a file is wanted."""
    done = shell("m", COMP_WORDS="m run pip", COMP_CWORD="2", _MOTORPOOL_COMPLETE="bash_complete")
    assert done.stdout == "file,pip\n"
