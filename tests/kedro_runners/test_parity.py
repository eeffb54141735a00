"""What people's own tests, scripts and plug-ins find as with Kedro's runners."""

import gc
import multiprocessing
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path

import kedro.runner
import pytest
from functions import add, identity, increment
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import (
    CachedDataset,
    DataCatalog,
    DatasetError,
    MemoryDataset,
    SharedMemoryDataCatalog,
)
from kedro.pipeline import node, pipeline
from kedro.runner.parallel_runner import ParallelRunnerManager
from kedro_datasets.json import JSONDataset
from kedro_functions import HoldingNotes, Pickled, Released, error_together, shout

from motorpool import kedro as ours
from motorpool.errors import PipelineError, WorkerCountError

RUNNERS = ["ParallelRunner", "ThreadRunner", "SequentialRunner"]


@pytest.fixture(params=RUNNERS)
def kind(request):
    """Each of our three classes, made as people make Kedro's."""
    return getattr(ours, request.param)


@pytest.mark.parametrize("name", RUNNERS)
def test_repr_names_kedros_class(name):
    """Kedro-viz looks for it in there, to know whether it can follow a run."""
    theirs = getattr(kedro.runner, name)
    assert f"{theirs.__module__}.{name} object" in repr(getattr(ours, name)())


@pytest.mark.parametrize("name", ["ParallelRunner", "ThreadRunner"])
def test_of_several_failures_one_is_raised(name, tmp_path):
    """As itself, so that `except KeyError` goes on working; a note names all that failed."""
    catalog = DataCatalog({"x": MemoryDataset("a"), "folder": MemoryDataset(str(tmp_path))})
    nodes = [node(error_together, ["x", "folder"], each, name=each) for each in ("one", "two")]
    with pytest.raises(KeyError) as caught:
        getattr(ours, name)(max_workers=2).run(pipeline(nodes), catalog)
    (note,) = [n for n in caught.value.__notes__ if "have failed" in n]
    assert sorted(note.partition(": ")[2].split(", ")) == ["one", "two"]


def test_input_without_data_is_kedros_error_before_anything_starts(kind, tmp_path):
    """With its class and its words, and who reads it."""
    catalog = DataCatalog({"x": MemoryDataset("a"), "y": MemoryDataset()})
    catalog["f"] = Pickled(tmp_path / "f")
    nodes = [node(shout, "x", "f"), node(add, ["f", "y"], "z", name="reader")]
    with pytest.raises(DatasetError, match="has not been saved yet") as caught:
        kind().run(pipeline(nodes), catalog)
    assert "'y', read by reader" in str(caught.value)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("name", ["ParallelRunner", "ThreadRunner"])
def test_number_of_workers_is_refused_in_kedros_words(name):
    """And in ours, which say what would do."""
    with pytest.raises(WorkerCountError, match="max_workers should be positive: .* not -1"):
        getattr(ours, name)(max_workers=-1)


def test_threads_do_without_async():
    """With Kedro's warning, which names the way."""
    with pytest.warns(UserWarning, match="'ThreadRunner' doesn't support .*Setting 'is_async'"):
        runner = ours.ThreadRunner(is_async=True)
    catalog = DataCatalog({"x": MemoryDataset(1)})
    assert runner.run(pipeline([node(increment, "x", "y")]), catalog)["y"].load() == 2


def test_transcoded_datasets_are_released_under_both_names(kind, tmp_path):
    """And no input or output is."""
    catalog = SharedMemoryDataCatalog(
        {name: Released(tmp_path / name.replace("@", "_")) for name in ("a", "t@x", "t@y", "end")}
    )
    (tmp_path / "a").write_text("a")
    (tmp_path / "t_y").write_text("t")
    Released.released.clear()
    nodes = [node(shout, "a", "t@x"), node(shout, "t@y", "end")]
    kind().run(pipeline(nodes), catalog)
    assert sorted(Released.released) == ["t_x", "t_y"]
    assert (tmp_path / "end").read_text() == "t!"


def test_hooks_that_hold_the_catalog_leave_its_caches_alone(kind, tmp_path, caplog):
    """They go to workers with it; Kedro's own way to pickle a cache empties it."""
    cached = CachedDataset(JSONDataset(filepath=str(tmp_path / "c.json")))
    cached.save(3)
    catalog = SharedMemoryDataCatalog({"c": cached, "x": MemoryDataset(1)})
    manager = _create_hook_manager()
    hooks = HoldingNotes()
    hooks.after_catalog_created(catalog)
    manager.register(hooks)
    nodes = [node(add, ["c", "x"], "y"), node(increment, "x", "z")]
    assert kind().run(pipeline(nodes), catalog, manager)["y"].load() == 4
    assert cached._cache.exists()
    assert "clearing cache" not in caplog.text


def test_sequential_runner_keeps_the_order_of_the_pipeline(caplog):
    """Whatever is on the critical path: people read logs, and set breakpoints."""
    caplog.set_level("INFO")
    nodes = [
        node(identity, "x", "a", name="a"),
        node(identity, "x", "b", name="b"),
        node(identity, "b", "c", name="c"),
        node(identity, "c", "d", name="d"),
        node(identity, "a", "e", name="e"),
    ]
    orders = []
    for each in (kedro.runner.SequentialRunner(), ours.SequentialRunner()):
        caplog.clear()
        each.run(pipeline(nodes), DataCatalog({"x": MemoryDataset(1)}))
        said = [record.getMessage() for record in caplog.records]
        orders.append([text.split()[-1] for text in said if text.startswith("Completed node")])
    assert orders[0] == orders[1] == [n.name for n in pipeline(nodes).nodes]


class Logged:
    """Passes for a dataset, in a manager's process, and writes down what is done with it."""

    def __init__(self, log, name, value=None):
        self._log, self._name, self._value = log, name, value

    def load(self):
        self._log.append(("load", self._name))
        return self._value

    def save(self, data):
        self._value = data

    def exists(self):
        return self._value is not None

    def release(self):
        self._log.append(("release", self._name))
        self._value = None


ParallelRunnerManager.register("Logged", Logged)


def test_manager_of_kedros_runner_is_there_for_those_who_ask():
    """Datasets that live in its process are loaded, saved and released there."""
    runner = ours.ParallelRunner(2)
    assert "_manager" not in vars(runner)
    manager = runner._manager
    log = manager.list()
    catalog = SharedMemoryDataCatalog(
        {name: manager.Logged(log, name, value) for name, value in (("x", 1), ("y", None))}
    )
    nodes = [node(increment, "x", "y"), node(increment, "y", "z")]
    assert runner.run(pipeline(nodes), catalog)["z"].load() == 3
    assert list(log) == [("load", "x"), ("load", "y"), ("release", "y")]


class Strange:
    """A pipeline with a node that waits for none of its nodes."""

    def __init__(self):
        self.nodes = [node(increment, "x", "y", name="one")]
        self.node_dependencies = {self.nodes[0]: {"nobody"}}

    def inputs(self):
        return {"x"}

    def outputs(self):
        return {"y"}

    def datasets(self):
        return {"x", "y"}


def test_node_that_waits_for_none_of_the_nodes_is_named(kind):
    """In Kedro's words, with the node."""
    with pytest.raises(RuntimeError, match="Unable to schedule new tasks") as caught:
        kind().run(Strange(), DataCatalog({"x": MemoryDataset(1)}))
    assert "'one' waits for 'nobody'" in str(caught.value)
    assert isinstance(caught.value.__cause__, PipelineError)


FORKS = """
import logging, os, sys, threading
from kedro.io import MemoryDataset, SharedMemoryDataCatalog
from kedro.pipeline import node, pipeline
from kedro_functions import parent
from motorpool.kedro import ParallelRunner

def forked(runner):
    catalog = SharedMemoryDataCatalog({"x": MemoryDataset(1)})
    runner.run(pipeline([node(parent, "x", "y")]), catalog)
    return catalog.load("y") == os.getpid()

if __name__ == "__main__":
    logging.disable()
    kept, fresh, early = ParallelRunner(1), ParallelRunner(1), ParallelRunner(1)
    print(forked(fresh))
    with kept:
        print(forked(kept))
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait)
        thread.start()
        print(forked(kept), forked(fresh), forked(ParallelRunner(1)))
    with early:
        print(forked(early))
    print(forked(ParallelRunner(1, start_method="fork")))
    ended.set()
    thread.join()
    print(forked(fresh), forked(ParallelRunner(1)), forked(ParallelRunner(1, backend="process")))
    os.environ["KEDRO_MP_CONTEXT"] = "forkserver"
    print(forked(ParallelRunner(1)))
"""


def test_workers_are_forked_where_kedros_are_and_no_thread_is_missed(tmp_path):
    """Until there are threads; an option and KEDRO_MP_CONTEXT have the last word."""
    script = tmp_path / "forks.py"
    script.write_text(FORKS)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    env.pop("KEDRO_MP_CONTEXT", None)
    printed = subprocess.run(
        [sys.executable, str(script)], env=env, text=True, capture_output=True, timeout=300,
        check=True,
    ).stdout  # fmt: skip
    printed = re.findall(r"\b(?:True|False)\b", printed)  # and not what Kedro logs
    usual = str(multiprocessing.get_all_start_methods()[0] == "fork")
    assert printed[:2] == [usual, usual]
    assert printed[2:5] == [usual, "False", "False"]  # the kept worker is there already
    assert printed[5:7] == ["False", "True"]
    assert printed[7:] == ["False", usual, usual, "False"]


def test_runner_goes_when_the_last_name_for_it_does(kind):
    """Not at the next collection of garbage: a server makes one for each request."""
    runner = kind()
    runner.run(pipeline([node(increment, "x", "y")]), DataCatalog({"x": MemoryDataset(1)}))
    gone = weakref.ref(runner)
    gc.disable()
    try:
        del runner
        assert gone() is None
    finally:
        gc.enable()
