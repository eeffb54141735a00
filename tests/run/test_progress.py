"""What is shown of a run while it goes on."""

import io
import json
import subprocess
import sys

import functions
import pytest
from functions import fail, identity, increment
from rich.console import Console

from motorpool import DataCatalog, ParallelRunner, node, pipeline
from motorpool._run.progress import NotebookProgress, Progress, TerminalProgress, progress_for
from motorpool.errors import ValidationError
from motorpool.events import RunProgressed


class Opens:
    """Lets a node go on once it is seen to run, and keeps what was said."""

    wants = (RunProgressed,)

    def __init__(self, gate, count):
        self.gate, self.count = gate, count
        self.seen = []

    def on_event(self, event):
        self.seen.append(event)
        if len([e for e in self.seen if e.running == ("waits",)]) > self.count:
            functions.touch(self.gate)


@pytest.mark.parametrize("backend", ["direct", "process", "threads"])
def test_last_node_is_seen_to_run_for_as_long_as_it_does(backend, tmp_path):
    """The others are through; its time grows, and what is queued is not among those that run."""
    gate = tmp_path / "gate"
    nodes = [node(increment, "x", f"y{i}") for i in range(5)]
    nodes += [
        node(functions.wait_for, "gate", "z", name="waits"),
        node(identity, "z", "end", name="queued"),
    ]
    observer = Opens(gate, count=3)
    runner = ParallelRunner(backend, 1, observers=[observer], runs_folder=False)
    runner.run(pipeline(nodes), DataCatalog({"x": 1, "gate": str(gate)}))
    alone = [e for e in observer.seen if e.running == ("waits",)]
    times = [e.seconds[0] for e in alone]
    assert times == sorted(times)
    assert len(set(times)) == len(times)
    assert alone[-1].failed == 0
    assert all("queued" not in e.running for e in observer.seen if not gate.exists())


def test_node_that_runs_in_this_thread_is_announced():
    """Nothing can be said while it runs."""
    seen = Opens("nowhere", count=100)
    runner = ParallelRunner("sequential", observers=[seen], runs_folder=False)
    runner.run(pipeline(node(increment, "x", "y", name="one")), DataCatalog({"x": 1}))
    assert ("one",) in [e.running for e in seen.seen]


def test_line_on_a_terminal(tmp_path):
    """What is happening before the first node, then what runs; it does not end full on failure."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    shown = TerminalProgress(console)
    shown.say("importing the pipeline")
    gate = tmp_path / "gate"
    nodes = [
        node(functions.wait_for, "gate", "z", name="waits"),
        node(fail, "z", "never", name="bad"),
        node(identity, "never", "end", name="after"),
    ]
    observers = [shown, Opens(gate, count=3)]
    runner = ParallelRunner("direct", 1, observers=observers, runs_folder=False)
    with pytest.raises(ValueError, match="cannot use"):
        runner.run(pipeline(nodes), DataCatalog({"x": 1, "gate": str(gate)}))
    text = screen.getvalue()
    assert "importing the pipeline" in text
    assert "running: waits" in text
    last = text.rpartition("nodes")[0][-5:], text.rpartition("nodes")[2]
    assert "1/3" in last[0]
    assert "1 failed; 1 skipped" in last[1]
    assert "running" not in last[1]


def test_progress_may_be_asked_for():
    """As True, False or "auto"; here there is nobody to see it."""
    assert progress_for(False) is None
    assert isinstance(progress_for(True), TerminalProgress)
    with pytest.raises(ValidationError, match="progress must be True, False or 'auto', not 'yes'"):
        ParallelRunner(progress="yes")


CELLS = """
from motorpool import DataCatalog, ParallelRunner, node, pipeline
pipe = pipeline([node(lambda x: x + 1, "x", "<y>"), node(lambda y: y + 1, "<y>", "z")])
result = ParallelRunner("direct", 1, progress="auto", runs_folder=False).run(pipe, {"x": 1})
"""
KERNEL = """
import json, sys
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="python3", startup_timeout=300)
shown = []
def hook(message):
    if "data" in message["content"]:
        shown.append([message["msg_type"], message["content"]["data"].get("text/html")])
answer = client.execute_interactive(sys.argv[1], output_hook=hook, timeout=300)
client.stop_channels()
manager.shutdown_kernel(now=True)
print(json.dumps([answer["content"]["status"], shown]))
"""


def test_notebook_shows_html_below_the_cell(tmp_path):
    """One output, brought up to date."""
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, CELLS], capture_output=True, text=True, check=True,
        cwd=tmp_path, timeout=300,
    )  # fmt: skip
    status, shown = json.loads(done.stdout)
    assert status == "ok"
    assert shown[0][0] == "display_data"
    assert {kind for kind, _ in shown[1:]} == {"update_display_data"}
    assert '<progress value="0" max="2">' in shown[0][1]
    assert '<progress value="2" max="2"></progress> 2 of 2 nodes, ' in shown[-1][1]


def test_names_are_no_html(monkeypatch):
    """They may have any characters."""
    shown = NotebookProgress()
    shown._progress.note(RunProgressed(run_id="r", finished=0, running=("<b>",), seconds=(None,)))
    assert "running: &lt;b&gt;" in shown._html()


def test_long_times_and_many_nodes_are_short():
    """A few names, and hours as hours."""
    progress = Progress()
    names = tuple(f"n{i}" for i in range(5))
    progress.note(
        RunProgressed(
            run_id="r", finished=1, completed=0, failed=1, running=names,
            seconds=(3700.0, 61.0, 1.0, 0.0, 0.0),
        )
    )  # fmt: skip
    assert progress.status() == "1 failed; running: n0 1:01:40, n1 1:01, n2 1.0 s, 2 more"
