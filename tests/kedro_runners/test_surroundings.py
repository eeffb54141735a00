"""Where else Kedro's runs start: its HTTP server, and notebooks."""

import sys

import pytest
from kedro_projects import Project


@pytest.fixture
def project(tmp_path):
    """A copy of the project, which lets its server take our runners."""
    of = Project(tmp_path / "kp")
    with (of.folder / "src/pool_test/settings.py").open("a") as settings:
        settings.write('RUNNER_MODULE_ALLOWLIST = ["motorpool.kedro"]\n')
        settings.write("RUNNER_MODULES_WHITELIST = RUNNER_MODULE_ALLOWLIST  # its name in 1.5\n")
    return of


SERVER = """
import json, os, socket, sys, threading, time, urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import psutil
import uvicorn
from kedro.server.http_server import create_http_server

def run(**request):
    data = json.dumps(request).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=300) as answer:
        found = json.load(answer)
    error = found.get("error") or {}
    return found["status"], error.get("type", ""), error.get("message", "")

def say(*what):  # where no thread logs
    with open("said", "a") as file:
        print(*what, file=file)

def names():
    return sorted(" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True))

def left():
    workers = lambda: [n for n in names() if "forkserver" not in n and "resource_tracker" not in n]
    deadline = time.monotonic() + 60
    while workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    return workers()

if __name__ == "__main__":
    line = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{line.getsockname()[1]}/run"
    server = uvicorn.Server(uvicorn.Config(create_http_server(Path.cwd()), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [line]})
    thread.start()
    ours = "motorpool.kedro.ParallelRunner"
    say("all", run(runner=ours))
    say("again", run(runner=ours))
    with ThreadPoolExecutor(2) as requests:
        for answer in requests.map(lambda _: run(runner=ours, pipeline_names=["scores"]), "12"):
            say("together", answer)
    say("async", run(runner=ours, is_async=True, pipeline_names=["scores"]))
    say("failed", run(runner=ours, pipeline_names=["fail"]))
    say("crashed", run(runner=ours, pipeline_names=["crash"]))
    say("after", run(runner=ours, pipeline_names=["small"]))
    say("left", left())
    server.should_exit = True
    thread.join()
"""


def test_http_server_runs_on_our_workers(project, tmp_path):
    """Request after request and two at a time; after failures and crashes; no worker is left."""
    script = tmp_path / "serve.py"
    script.write_text(SERVER)
    printed, _ = project.start(sys.executable, "-u", str(script)).communicate(timeout=300)
    said = (project.folder / "said").read_text().splitlines()
    success = "('success', '', '')"
    assert said[:5] == [
        f"all {success}", f"again {success}", f"together {success}", f"together {success}",
        f"async {success}",
    ], printed[-3000:]  # fmt: skip
    assert said[5] == "failed ('failure', 'ValueError', 'this node always fails')"
    assert said[6].startswith("crashed ('failure', 'WorkerCrashedError', ")
    assert "'crash'" in said[6]
    assert said[7:] == [f"after {success}", "left []"]
    assert project.log.read_text().count("before eu.score of kp") == 5


NOTEBOOK = """
%load_ext kedro.ipython
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from motorpool.kedro import ParallelRunner
found = session.run(runner=ParallelRunner(max_workers=2), node_names=["clean", "scale"])
print("rows", len(found["scaled"].load()))
step = 1
def double(x):
    return 2 * x + step
pipe = pipeline([node(double, "x", "y"), node(lambda y: y + step, "y", "z")])
with ParallelRunner(max_workers=2) as runner:
    print("first", runner.run(pipe, DataCatalog({"x": MemoryDataset(20)}))["z"].load())
    step = 2
    print("then", runner.run(pipe, DataCatalog({"x": MemoryDataset(20)}))["z"].load())
%reload_kedro
print("rows", len(session.run(runner=ParallelRunner(), node_names=["clean"])), list(catalog)[:1])
"""


def test_notebooks_run_projects_and_their_own_functions(project, tmp_path):
    """With Kedro's extension: its session, and what is defined in cells, as it is now."""
    cells = tmp_path / "cells.ipy"
    cells.write_text(NOTEBOOK)
    command = (sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(cells))
    printed, _ = project.start(*command, IPYTHONDIR=str(tmp_path / "ipython")).communicate(
        timeout=300
    )
    said = [line for line in printed.splitlines() if line.startswith(("rows", "first", "then"))]
    assert said == ["rows 3", "first 42", "then 44", "rows 1 ['companies']"], printed[-3000:]
