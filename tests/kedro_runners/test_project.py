"""A real project, run by the real command line: one flag is changed, and nothing else."""

import itertools
import os
import re
import signal

import kedro
import pytest
from functions import wait_until
from kedro_projects import KEDRO

OURS = "motorpool.kedro.ParallelRunner"
START_METHODS = ("fork", "forkserver", "spawn")
OF_SEVERAL_METHODS = ("direct", "process", "multiprocess", "pebble")
OF_ONE = ("loky", "executorlib", "threads")
WAYS = [
    *itertools.product(OF_SEVERAL_METHODS, START_METHODS, ["workers"]),
    *itertools.product(OF_ONE, [""], ["workers"]),
    *itertools.product(["direct", "loky"], [""], ["driver"]),
]
IN_THE_GATE = [
    ("direct", "forkserver", "workers"), ("process", "fork", "workers"), ("loky", "", "driver"),
]  # fmt: skip

with_parameters = pytest.mark.skipif(
    tuple(map(int, kedro.__version__.split(".")[:2])) < (1, 6),
    reason="Kedro 1.5 has no --runner-params",
)


def marked(way):
    """The whole product is for the matrix; Kedro 1.5 has no --runner-params."""
    marks = [] if way in IN_THE_GATE else [pytest.mark.matrix]
    return pytest.param(*way, marks=[*marks, with_parameters] if way[2] == "driver" else marks)


@pytest.mark.parametrize(("backend", "start_method", "hooks"), list(map(marked, WAYS)))
def test_outputs_and_hooks_are_those_of_the_sequential_runner(
    project, reference, backend, start_method, hooks
):
    """On each backend, however its workers start; the project is configured once a worker."""
    parameters = [] if hooks == "workers" else [f"--runner-params=hooks={hooks}"]
    runner = f"--runner=motorpool.kedro.{backend.capitalize()}Runner"
    printed = project.run(runner, *parameters, KEDRO_MP_CONTEXT=start_method)
    assert project.outputs() == reference[0]
    assert project.hooks() == reference[1]
    assert "Completed 12 out of 12 tasks" in printed
    assert "Pipeline execution completed successfully" in printed
    assert printed.count("logging configuration") == 1  # the driver's, and no worker's
    assert printed.count("cleaning 4 rows") == 1
    if hooks == "driver" or backend == "threads":
        assert re.search(r"^seen 12 in", project.log.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("kind", ["ThreadRunner", "SequentialRunner"])
def test_sequential_and_thread_runners_give_the_same(project, reference, kind):
    """The same, with the hooks' own objects."""
    project.run(f"--runner=motorpool.kedro.{kind}")
    assert project.outputs() == reference[0]
    assert project.hooks() == reference[1]
    assert "seen 12" in project.log.read_text()


PARTS = """
import sys
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from motorpool.kedro import ParallelRunner

bootstrap_project(Path.cwd())
with ParallelRunner(max_workers=2) as runner:
    for part in (
        {"tags": ["first"]},
        {"from_nodes": ["scale"], "to_nodes": ["fit", "keep"]},
        {"namespaces": ["eu"]},
        {"pipeline_names": ["scores"], "only_missing_outputs": True},
    ):
        with KedroSession.create() as session:
            session.run(runner=runner, **part)
            print("part")
"""


def test_parts_of_a_pipeline(project):
    """Chosen by nodes, tags, namespaces, and by what is missing; each goes on from the last."""
    printed = project.python(PARTS)
    assert printed.count("\npart") == 4, printed[-3000:]
    ran = re.findall(r"^before (\S+) ", project.log.read_text(), flags=re.MULTILINE)
    assert set(ran[:2]) == {"clean", "copy"}
    assert ran[2:] == ["scale", "fit", "keep", "eu.score", "us.score"]
    assert "Skipping 1 nodes with existing outputs: eu.score" in printed


BLOCK = f"""
run:
  runner: {OURS}
  pipelines: fail
  runner_params:
    backend: {{name: direct, max_tasks_per_child: 100}}
    on_failure: continue
    retries: {{count: 1, delay: 0.1}}
"""


@with_parameters
@pytest.mark.parametrize("nested", [False, True])
def test_failure_names_its_node_and_says_how_to_go_on(project, nested):
    """With settings on the command line, and nested ones in a file."""
    if nested:
        (project.folder / "run.yml").write_text(BLOCK)
        printed = project.run("--config=run.yml", code=1)
        assert printed.count("ERROR    Node fail: fail(") == 2  # a try and a retry
    else:
        flat = "--runner-params=on_failure=continue,backend=process"
        printed = project.run(f"--runner={OURS}", "--pipelines=fail", flat, code=1)
    assert "ValueError: this node always fails" in printed
    assert "in node 'fail'" in printed
    assert '--from-nodes "fail"' in printed
    assert "Completed 10 out of 11 tasks" in printed
    assert "error fail ValueError ['companies']" in project.hooks()


def test_interrupt_ends_all_of_it(project):
    """Ctrl-C to the process group: no worker is left, and the way to go on is said."""
    process = project.start(KEDRO, "run", f"--runner={OURS}", "--pipelines=wait")
    log = project.log
    assert wait_until(lambda: log.exists() and "before wait" in log.read_text())
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "No nodes ran. Repeat the previous command" in printed
    # The server of workers goes when it sees the driver gone.
    assert wait_until(lambda: not _group_lives(process.pid))


def _group_lives(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


@with_parameters
def test_credentials_are_neither_printed_nor_kept(project):
    """Not in the log, nor in a file that the run leaves."""
    printed = project.run(f"--runner={OURS}", "--runner-params=runs_folder=runs")
    assert "xyzzy-not-a-secret-4711" not in printed
    files = [f for f in project.folder.rglob("*") if f.is_file() and "conf" not in f.parts]
    assert any("runs" in f.parts for f in files)
    assert not [f for f in files if b"xyzzy-not-a-secret-4711" in f.read_bytes()]


MANY_RUNS = """
import sys
from pathlib import Path
from kedro.framework.session import KedroSession, KedroServiceSession
from kedro.framework.startup import bootstrap_project
from motorpool.kedro import ParallelRunner

bootstrap_project(Path.cwd())
with ParallelRunner(max_workers=1) as runner:
    for _ in range(2):
        with KedroSession.create() as session:
            found = session.run(runner=runner, node_names=["clean", "scale"])
            print("rows", len(found["scaled"].load()))
    with KedroServiceSession.create() as session:
        for _ in range(2):
            found = session.run(runner=runner, node_names=["clean", "scale"])
            print("rows", len(found["scaled"].load()))
print("after", len(found["scaled"].load()))
"""


def test_sessions_with_many_runs_keep_their_workers(project):
    """One worker serves them all, and results load when it is gone."""
    printed = project.python(MANY_RUNS)
    assert printed.count("rows 3") == 4, printed[-3000:]
    assert "after 3" in printed
    workers = re.findall(r"^before .* in ([0-9]+)$", project.log.read_text(), flags=re.MULTILINE)
    assert len(workers) == 8
    assert len(set(workers)) == 1


def test_runner_that_is_not_kedros_is_refused_with_the_right_name(project):
    """On a line, before anything starts."""
    printed = project.run("--runner=motorpool.ParallelRunner", code=2)
    assert "say --runner=motorpool.kedro.ParallelRunner" in printed
    assert "Traceback" not in printed
    printed = project.run("--runner=motorpool.LokyRunner", code=1)
    assert "runners of Kedro's are in motorpool.kedro" in " ".join(printed.split())
