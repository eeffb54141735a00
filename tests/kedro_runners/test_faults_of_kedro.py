"""Faults of Kedro's ParallelRunner (1.7) that ours does not have; each fails on Kedro's own."""

import contextlib
import functools
import gc
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import kedro.runner
import pytest
from functions import identity
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import MemoryDataset, SharedMemoryDataCatalog
from kedro.pipeline import Pipeline, node, pipeline
from kedro_functions import (
    Pickled,
    RegisteredNotes,
    error_after,
    fetch,
    kill,
    mark,
    pid,
    shout,
    slow_mark,
)
from kedro_projects import Project

from motorpool import kedro as ours
from motorpool.errors import WorkerCrashedError

OURS = "motorpool.kedro.ParallelRunner"


@pytest.fixture(
    params=[
        pytest.param(
            kedro.runner.ParallelRunner, id="kedro",
            marks=[pytest.mark.xfail(strict=True), pytest.mark.matrix],
        ),
        pytest.param(ours.ParallelRunner, id="ours"),
    ]
)  # fmt: skip
def kind(request):
    """Kedro's class, where the fault shows, and ours, where it does not."""
    before = set(multiprocessing.active_children())
    yield request.param
    gc.collect()
    for process in set(multiprocessing.active_children()) - before:  # Kedro's managers
        process.terminate()
        process.join()


def catalog(**values):
    """A catalog with values in memory."""
    return SharedMemoryDataCatalog({k: MemoryDataset(v) for k, v in values.items()})


def test_hooks_and_settings_reach_spawned_workers(kind, tmp_path):
    """1: lost under spawn and forkserver."""
    project = Project(tmp_path / "kp")
    name = "ParallelRunner" if kind is kedro.runner.ParallelRunner else OURS
    project.run(f"--runner={name}", "--pipelines=small", KEDRO_MP_CONTEXT="spawn")
    assert project.hooks()["before scale of kp "] == 1


def test_intermediate_values_are_freed(kind):
    """2: never freed."""
    held = catalog(x=1)
    kind(2).run(pipeline([node(identity, "x", "y"), node(identity, "y", "z")]), held)
    assert held.load("z") == 1
    assert not held.exists("y")


def test_failure_does_not_let_the_queue_run(kind, tmp_path):
    """3: what was only queued runs on."""
    values = catalog(x="a", folder=str(tmp_path))
    nodes = [node(error_after, ["x", "folder"], "bad", name="bad")]
    nodes += [node(slow_mark, ["x", "folder"], f"o{i}", name=f"n{i}") for i in range(20)]
    with pytest.raises(KeyError):
        kind(2).run(pipeline(nodes), values)
    assert len(list(tmp_path.iterdir())) < 20


def test_resume_suggestion_knows_what_ran_last(kind, tmp_path, caplog):
    """4: computed before running nodes have ended."""
    path = str(tmp_path / "begun")
    values = catalog(x="a", path=path, folder=str(tmp_path))
    nodes = [
        node(error_after, ["x", "folder"], "bad", name="bad"),
        node(mark, ["x", "path"], "good", name="good"),
    ]
    with pytest.raises(KeyError):
        kind(2).run(pipeline(nodes), values)
    (said,) = [r.getMessage() for r in caplog.records if "have not run" in r.getMessage()]
    assert said.startswith("There are 1 nodes")


class CountingPipeline(Pipeline):
    """Counts how often it works out its inputs."""

    asked = 0

    def inputs(self):
        CountingPipeline.asked += 1
        return super().inputs()


def test_release_does_not_look_at_the_whole_pipeline_each_time(kind):
    """5: once for each dataset of each node."""
    nodes = [node(identity, f"y{i}", f"y{i + 1}", name=f"n{i}") for i in range(10)]
    pipe = CountingPipeline(nodes)
    CountingPipeline.asked = 0
    kind(2).run(pipe, catalog(y0=1))
    assert CountingPipeline.asked < 10


def test_catalog_is_not_sent_with_each_node(kind, tmp_path):
    """6: pickled once a node, used or not."""
    held = SharedMemoryDataCatalog({"x": Pickled(tmp_path / "x"), "y": Pickled(tmp_path / "y")})
    held["x"].save("a")
    Pickled.pickles.clear()
    kind(2).run(pipeline([node(shout, "x", f"o{i}", name=f"n{i}") for i in range(10)]), held)
    assert Pickled.pickles == ["x"]


def test_crash_names_its_node(kind):
    """7: BrokenProcessPool, without the name of a node."""
    with pytest.raises(Exception, match="'culprit'") as caught:
        kind(2).run(pipeline([node(kill, "x", "y", name="culprit")]), catalog(x=1))
    assert isinstance(caught.value, WorkerCrashedError)


def test_validation_names_the_node_that_holds_a_lock(kind):
    """8: a TypeError without a name."""
    holding = functools.partial(fetch, threading.Lock())
    with pytest.raises(AttributeError, match="locked"):
        kind(2).run(pipeline([node(holding, "x", "y", name="locked")]), catalog(x=1))


def test_executor_need_not_be_the_standard_librarys(kind):
    """9: anything else gets no hook manager, and fails."""
    from loky import ProcessPoolExecutor

    class OnLoky(kind):
        def _get_executor(self, max_workers):
            return ProcessPoolExecutor(max_workers)

    held = catalog(x=1)
    OnLoky(1).run(pipeline([node(identity, "x", "y")]), held)
    assert held.load("y") == 1


def test_results_outlive_the_runner(kind):
    """10: gone with its manager process."""
    runner = kind(2)
    found = runner.run(pipeline([node(identity, "x", "y")]), catalog(x=1))
    del runner
    assert found["y"].load() == 1


@pytest.mark.filterwarnings("ignore:max_workers=100 is more than Windows can wait for")
def test_windows_cap_holds_for_an_explicit_number(kind, monkeypatch):
    """11: only for the default; Windows is played by its name alone."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert kind._validate_max_workers(100) == 61


def test_nothing_starts_before_the_arguments_are_checked(kind):
    """12: the manager process is up before the number of workers is looked at."""
    before = set(multiprocessing.active_children())
    with pytest.raises(ValueError, match="max_workers") as caught:
        kind(max_workers=0)
    assert set(multiprocessing.active_children()) <= before
    del caught


def test_bogus_start_method_is_an_error(kind, monkeypatch):
    """13: ignored."""
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "bogus")
    with pytest.raises(ValueError, match="bogus"):
        kind(2).run(pipeline([node(identity, "x", "y")]), catalog(x=1))


ORDER = """
import logging, sys
from functions import identity
from kedro.io import MemoryDataset, SharedMemoryDataCatalog
from kedro.pipeline import node, pipeline

class Keep(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("Completed node"):
            print("took", record.args[0])

def runner(ours):
    if not ours:  # one worker, one node at a time: they end in the order in which they are taken
        from kedro.runner import ParallelRunner
        logging.getLogger().addHandler(Keep())
        logging.getLogger("kedro").setLevel("INFO")
        return ParallelRunner(1)
    from motorpool.events import NodeSubmitted
    from motorpool.kedro import ParallelRunner
    class Observer:
        wants = (NodeSubmitted,)
        def on_event(self, event):
            print("took", event.node)
    return ParallelRunner(1, observers=(Observer(),))

if __name__ == "__main__":
    nodes = [node(identity, "x", f"y{i}", name=f"n{i}") for i in range(6)]
    catalog = SharedMemoryDataCatalog({"x": MemoryDataset(1)})
    runner(sys.argv[1] == "ours").run(pipeline(nodes), catalog)
"""


def test_order_is_the_same_in_every_run(kind, tmp_path):
    """14: that of a set, so of the hash seed."""
    whose = "ours" if "motorpool" in kind.__module__ else "kedro's"
    script = tmp_path / "order.py"
    script.write_text(ORDER)
    orders = []
    for seed in "12":
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, str(script), whose]
        printed = subprocess.run(command, env=env, check=True, text=True, capture_output=True,
                                 timeout=300).stdout  # fmt: skip
        orders.append(re.findall("^took (.*)$", printed, flags=re.MULTILINE))
    assert len(orders[0]) == 6
    assert orders[0] == orders[1]


def test_workers_serve_several_runs(kind):
    """15: a new pool for every run."""
    with contextlib.ExitStack() as stack:
        runner = kind(1)
        if hasattr(runner, "__enter__"):
            stack.enter_context(runner)
        held = [catalog(x=i) for i in range(2)]
        for each in held:
            runner.run(pipeline([node(pid, "x", "p")]), each)
        assert held[0].load("p") == held[1].load("p")


def test_hooks_are_registered_once_a_worker(kind, tmp_path, monkeypatch):
    """16: a new hook manager for every task."""
    hooks = RegisteredNotes(tmp_path / "registered")
    known = SimpleNamespace(HOOKS=(hooks,), DISABLE_HOOKS_FOR_PLUGINS=())
    monkeypatch.setattr("kedro.runner.task.settings", known)  # as a project would
    manager = _create_hook_manager()
    manager.register(hooks)
    nodes = [node(identity, "x", f"y{i}", name=f"n{i}") for i in range(10)]
    kind(1).run(pipeline(nodes), catalog(x=1), manager)
    here, *elsewhere = (tmp_path / "registered").read_text().splitlines()
    assert here == str(os.getpid())
    assert len(elsewhere) == 1
