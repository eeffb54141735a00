"""Kedro's pipelines on our runners of Kedro: all that its documentation promises of its own."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import kedro.runner
import numpy as np
import pytest
from awkward_functions import one_way
from functions import (
    UnfriendlyError,
    Unpicklable,
    add,
    identity,
    increment,
    make_unpicklable,
    raise_unfriendly,
)
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import (
    CachedDataset,
    DataCatalog,
    DatasetError,
    MemoryDataset,
    SharedMemoryDataCatalog,
)
from kedro.pipeline import node, pipeline
from kedro_datasets.json import JSONDataset
from kedro_datasets.partitions import PartitionedDataset
from kedro_datasets.pickle import PickleDataset
from kedro_functions import (
    LockedNotes,
    Notes,
    OneProcess,
    Pickled,
    ShoutingCatalog,
    Unfriendly,
    WrongAnswer,
    error,
    files_with_secret,
    get_module,
    kill,
    letters,
    none,
    number,
    pid,
    shout,
    spoil,
    summed,
)

import motorpool
from motorpool import kedro as ours
from motorpool.errors import ValidationError, WorkerCrashedError
from motorpool.kedro._relay import Unpicklable as UnpicklableForHooks


def runner(backend, max_workers=2, **settings):
    """A runner of Kedro on a backend, as a project names it."""
    name = "".join(word.capitalize() for word in backend.split("_")) + "Runner"
    if name == "SequentialRunner":
        return ours.SequentialRunner(**settings)
    return getattr(ours, name)(max_workers=max_workers, **settings)


def run(backend, nodes, catalog=None, plugins=(), **settings):
    """Run nodes."""
    manager = _create_hook_manager()
    for each in plugins:
        manager.register(each)
    catalog = SharedMemoryDataCatalog() if catalog is None else catalog
    return runner(backend, **settings).run(pipeline(nodes), catalog, manager, "the-run")


CATALOGS = [DataCatalog, SharedMemoryDataCatalog, ShoutingCatalog]


@pytest.mark.parametrize("kind", CATALOGS)
def test_results_are_in_the_catalog(any_backend, kind):
    """Of Kedro's class, and able to load when the runner is gone."""
    catalog = kind({"n": MemoryDataset(2), "params:step": MemoryDataset(5)})
    nodes = [node(add, ["n", "params:step"], "sum"), node(increment, "sum", "end")]
    found = run(any_backend, nodes, catalog)
    assert found == {"end": catalog["end"]}
    assert found["end"].load() == catalog.load("end") == 8
    with pytest.raises(DatasetError):
        catalog.load("sum")  # released when its last reader had ended


def test_second_run_on_one_catalog_starts_clean(any_backend):
    """Nothing of the first one is left, and what it made can be an input."""
    catalog = SharedMemoryDataCatalog({"n": MemoryDataset(np.zeros(50_000))})
    for start in (0, 1):
        found = run(any_backend, [node(increment, "n", "m")], catalog)
        assert float(found["m"].load().sum()) == 50_000 * (start + 1)
        assert float(run(any_backend, [node(summed, "m", "s")], catalog)["s"].load()) > 0
        catalog["n"] = MemoryDataset(np.ones(50_000))
    catalog.release("m")
    assert not catalog.exists("m")


def test_users_catalog_is_what_nodes_and_hooks_see(any_backend, tmp_path):
    """A catalog class of the user's: its `load` is called, and hooks are shown it."""
    catalog = ShoutingCatalog({"x": MemoryDataset("a"), "f": Pickled(tmp_path / "f.txt")})
    nodes = [node(shout, "x", "f"), node(identity, "f", "end")]
    assert run(any_backend, nodes, catalog)["end"].load() == "A!"


def test_patterns_versions_partitions_and_transcoding(any_backend, tmp_path):
    """Datasets as people declare them."""
    config = {
        "{name}_made": {"type": "json.JSONDataset", "filepath": f"{tmp_path}/{{name}}.json"},
        "v": {"type": "pickle.PickleDataset", "filepath": f"{tmp_path}/v.pkl", "versioned": True},
        "t@json": {"type": "json.JSONDataset", "filepath": f"{tmp_path}/t"},
        "t@text": {"type": "text.TextDataset", "filepath": f"{tmp_path}/t"},
    }
    catalog = SharedMemoryDataCatalog.from_config(config, save_version="2026-11-23T00.00.00.000Z")
    catalog["n"] = MemoryDataset(3)
    catalog["parts"] = PartitionedDataset(
        path=str(tmp_path / "parts"), dataset=PickleDataset, filename_suffix=".pkl"
    )
    nodes = [
        node(increment, "n", "a_made"),
        node(increment, "a_made", "v"),
        node(increment, "v", "t@json"),
        node(number, "t@text", "number"),
        node(lambda n: {"one": n, "two": n + 1}, "number", "parts"),
        node(lambda parts: sum(load() for load in parts.values()), "parts", "total"),
    ]
    assert run(any_backend, nodes, catalog)["total"].load() == 6 + 7
    assert (tmp_path / "v.pkl/2026-11-23T00.00.00.000Z/v.pkl").exists()


def test_cached_dataset_is_read_from_its_file(any_backend, tmp_path, caplog):
    """Saved to its file, seen anew in the driver, and without a warning of lost caches."""
    cached = CachedDataset(JSONDataset(filepath=str(tmp_path / "c.json")))
    cached.save(1)
    catalog = DataCatalog({"n": MemoryDataset(5), "c": cached})
    assert run(any_backend, [node(increment, "c", "end")], catalog)["end"].load() == 2
    nodes = [node(increment, "n", "c"), node(increment, "c", "end")]
    assert run(any_backend, nodes, catalog)["end"].load() == 7
    assert catalog.load("c") == 6
    assert "clearing cache" not in caplog.text


def test_only_what_the_run_uses_is_checked_and_sent_once(process_backend, tmp_path):
    """Not for each node, and not what no node needs."""
    catalog = SharedMemoryDataCatalog(
        {
            "used": Pickled(tmp_path / "used"),
            "unused": Pickled(tmp_path / "unused"),
            "unfit": OneProcess(tmp_path / "unfit"),
        }
    )
    catalog["used"].save("a")
    Pickled.pickles.clear()
    nodes = [node(shout, "used", f"out{i}", name=f"n{i}") for i in range(10)]
    run(process_backend, nodes, catalog)
    assert Pickled.pickles == ["used"]


def test_all_that_cannot_run_elsewhere_is_named_before_anything_starts(process_backend, tmp_path):
    """An AttributeError, as of Kedro's, with each culprit."""
    catalog = SharedMemoryDataCatalog({"x": MemoryDataset("a"), "u": OneProcess(tmp_path / "u")})
    held = Unpicklable()

    def holding(x):
        return held, x

    nodes = [node(shout, "x", "u"), node(holding, "x", "y", name="holds")]
    with pytest.raises(AttributeError, match="'holds' cannot be pickled") as caught:
        run(process_backend, nodes, catalog)
    assert "dataset 'u' (OneProcess)" in str(caught.value)
    assert not (tmp_path / "u").exists()


def test_missing_input_is_kedros_error(any_backend):
    """In its own words."""
    with pytest.raises(
        ValueError, match=r"Pipeline input\(s\) {'x'} not found in the DataCatalog"
    ):
        run(any_backend, [node(shout, "x", "y")], DataCatalog())


def hooks_called(path):
    """What the notes say, without where."""
    return sorted(line.rpartition(" ")[0] for line in path.read_text().splitlines())


@pytest.mark.parametrize("is_async", [False, True])
def test_hooks_are_called_as_by_kedros_sequential_runner(any_backend, tmp_path, is_async):
    """With the same arguments, and what before_node_run returns is used."""
    nodes = [node(shout, "x", "y", name="first"), node(identity, "y", "z", name="second")]

    def catalog():
        return DataCatalog({"x": MemoryDataset("a")})

    found = run(any_backend, nodes, catalog(), [Notes(tmp_path / "ours")], is_async=is_async)
    assert found["z"].load() == "hooked!"
    manager = _create_hook_manager()
    manager.register(Notes(tmp_path / "kedro"))
    kedro.runner.SequentialRunner(is_async).run(pipeline(nodes), catalog(), manager, "the-run")
    assert hooks_called(tmp_path / "ours") == hooks_called(tmp_path / "kedro")


def test_hooks_may_run_in_the_driver(process_backend, tmp_path):
    """The very object sees them, with the same arguments; its answers are used."""
    import os

    notes = LockedNotes(tmp_path / "notes")
    nodes = [node(shout, "x", "y", name="first"), node(letters, "y", "z", name="second")]
    catalog = DataCatalog({"x": MemoryDataset("a")})
    run(process_backend, nodes, catalog, [notes], hooks="driver")
    assert catalog.load("z") == "!"
    assert "before_node_run first the-run False ['x']" in notes.seen
    assert "after_dataset_saved y 'hooked!'" in notes.seen
    assert "after_node_run second ['z']" in notes.seen
    pids = {line.rpartition(" ")[2] for line in (tmp_path / "notes").read_text().splitlines()}
    assert pids == {str(os.getpid())}


def test_hooks_in_the_driver_get_stand_ins_for_what_does_not_unpickle(process_backend):
    """In place of values and exceptions they get descriptions, there and back."""
    hooks = Unfriendly()
    run(process_backend, [node(one_way, "x", "y")],
        SharedMemoryDataCatalog({"x": MemoryDataset(1)}), [hooks], hooks="driver")  # fmt: skip
    assert isinstance(hooks.seen[0]["y"], UnpicklableForHooks)
    assert hooks.seen[0]["y"].kind == "OneWay"
    for function, name in ((shout, "bad"), (raise_unfriendly, "good")):
        with pytest.raises(UnfriendlyError, match="1 and 2"):
            run(process_backend, [node(function, "x", "y", name=name)],
                SharedMemoryDataCatalog({"x": MemoryDataset("a")}), [hooks],
                hooks="driver")  # fmt: skip
    assert hooks.seen[-1] == "UnfriendlyError('1 and 2')"


@pytest.mark.parametrize("where", ["workers", "driver"])
def test_hooks_see_a_failing_node(process_backend, tmp_path, where):
    """And its own exception is raised."""
    notes = Notes(tmp_path / "notes")
    with pytest.raises(KeyError, match="hooked"):
        run(process_backend, [node(error, "x", "y", name="bad")],
            DataCatalog({"x": MemoryDataset("a")}), [notes], hooks=where)  # fmt: skip
    assert "on_node_error bad KeyError('hooked')" in hooks_called(tmp_path / "notes")


@pytest.mark.parametrize("where", ["workers", "driver"])
def test_wrong_return_value_of_a_hook_is_kedros_error(any_backend, where):
    """The same error as Kedro's."""
    with pytest.raises(TypeError, match="before_node_run"):
        run(any_backend, [node(shout, "x", "y")], DataCatalog({"x": MemoryDataset("a")}),
            [WrongAnswer()], hooks=where)  # fmt: skip


def test_unpicklable_hooks_that_no_plugin_registers_are_refused(process_backend, tmp_path):
    """Workers could not make them anew; nothing has started."""
    with pytest.raises(ValidationError, match="cannot be pickled"):
        run(process_backend, [node(shout, "x", "y")], DataCatalog({"x": MemoryDataset("a")}),
            [LockedNotes(tmp_path / "notes")])  # fmt: skip
    assert not (tmp_path / "notes").exists()


def lines(caplog):
    """What was logged under the names of Kedro, without times."""
    said = [r.getMessage() for r in caplog.records if r.name.startswith("kedro")]
    return [re.sub(r"[0-9.]+ sec", "0 sec", line) for line in said]


def test_log_lines_are_those_of_kedros_runners(any_backend, caplog):
    """The same lines from the same loggers, whether said here or in a worker."""
    caplog.set_level(logging.INFO)
    nodes = [node(shout, "x", "y", name="first"), node(identity, "y", "z", name="second")]

    def said(of, kind):
        caplog.clear()
        of.run(pipeline(nodes), kind({"x": MemoryDataset("a")}))
        return lines(caplog)

    own = runner(any_backend)
    if isinstance(own, kedro.runner.ParallelRunner) and any_backend != "threads":
        expected = [
            line if " x " in line else line.replace("(MemoryDataset)", "(SharedMemoryDataset)")
            for line in said(kedro.runner.SequentialRunner(), DataCatalog)
        ]
        # Kedro's own loses what its workers log; several nodes may be reported at once.
        assert sorted(said(own, SharedMemoryDataCatalog)) == sorted(expected)
    else:
        expected = said(kedro.runner.SequentialRunner(), DataCatalog)
        assert said(own, DataCatalog) == expected
    assert [r.name for r in caplog.records if r.getMessage() == "shouting a"] == [
        "kedro_functions"
    ]


def suggestion(caplog):
    """The advice how to go on."""
    return [r.getMessage() for r in caplog.records if "have not run" in r.getMessage()]


def test_resume_suggestion_is_kedros(any_backend, caplog, tmp_path):
    """In its words, and of nodes that have persisted inputs."""
    nodes = [
        node(shout, "x", "f", name="one"),
        node(identity, "f", "y", name="two"),
        node(error, "y", "z", name="three"),
    ]
    catalog = DataCatalog({"x": MemoryDataset("a"), "f": Pickled(tmp_path / "f")})
    with pytest.raises(KeyError):
        run(any_backend, nodes, catalog)
    ours_said = suggestion(caplog)
    caplog.clear()
    with pytest.raises(KeyError):
        kedro.runner.SequentialRunner().run(pipeline(nodes), catalog)
    assert ours_said == suggestion(caplog)
    assert '--from-nodes "two"' in ours_said[0]


def test_all_failures_are_raised_together(any_backend):
    """With `continue`, every branch that can has run."""
    nodes = [
        node(error, "x", "a", name="a"),
        node(error, "x", "b", name="b"),
        node(shout, "x", "c", name="c"),
    ]
    catalog = DataCatalog({"x": MemoryDataset("a")})
    with pytest.raises(ExceptionGroup) as caught:
        run(any_backend, nodes, catalog, on_failure="continue")
    assert [type(e) for e in caught.value.exceptions] == [KeyError, KeyError]


def test_node_that_returns_none_is_kedros_error(any_backend):
    """With its words, and the name of the dataset."""
    with pytest.raises(DatasetError, match="y: Saving 'None' to a 'Dataset' is not allowed"):
        run(any_backend, [node(none, "x", "y")], DataCatalog({"x": MemoryDataset("a")}))


def test_output_that_cannot_be_pickled_is_kedros_error(process_backend):
    """With its words, and the name of the dataset."""
    text = (
        "y: <class 'functions.Unpicklable'> cannot be serialised. ParallelRunner implicit memory"
    )
    with pytest.raises(DatasetError, match=text):
        run(
            process_backend,
            [node(make_unpicklable, "x", "y")],
            DataCatalog({"x": MemoryDataset("a")}),
        )


def test_output_that_its_dataset_refuses_is_kedros_error(any_backend, caplog):
    """With its words and the name; the node has to run again, and the others have their values."""
    nodes = [node(get_module, "x", "y", name="bad"), node(shout, "x", "z", name="good")]
    catalog = DataCatalog({"x": MemoryDataset("a")})
    text = "y: Failed while saving data to dataset .*MemoryDataset"
    with pytest.raises(DatasetError, match=text):
        run(any_backend, nodes, catalog, on_failure="continue")
    assert catalog.load("z") == "a!"
    assert "There are 1 nodes that have not run" in suggestion(caplog)[0]


def test_failure_is_reported_once(any_backend, caplog):
    """By the exception, and not by lines of ours between Kedro's."""
    with pytest.raises(KeyError, match="a"):
        run(any_backend, [node(error, "x", "y")], DataCatalog({"x": MemoryDataset("a")}))
    assert not [r for r in caplog.records if r.name.startswith("motorpool")]


def test_crash_is_blamed(process_backend):
    """On the node, by name."""
    nodes = [node(kill, "x", "y", name="culprit"), node(shout, "x", "z", name="innocent")]
    with pytest.raises(WorkerCrashedError, match="'culprit' died"):
        run(process_backend, nodes, DataCatalog({"x": MemoryDataset("a")}))


def test_generator_streams_chunks(any_backend, tmp_path):
    """To its dataset, one after the other; with is_async an error before anything starts."""
    catalog = DataCatalog({"x": MemoryDataset("abc"), "f": Pickled(tmp_path / "f")})
    run(any_backend, [node(letters, "x", "f")], catalog)
    assert catalog.load("f") == "c"
    with pytest.raises((AttributeError, ValueError), match="letters"):
        run(any_backend, [node(letters, "x", "f")], catalog, is_async=True)


def test_confirms_are_called_after_the_node(any_backend, tmp_path):
    """After the node, in whatever process it is."""
    catalog = DataCatalog({"x": MemoryDataset("a"), "f": Pickled(tmp_path / "f.txt")})
    run(any_backend, [node(shout, "x", "f", confirms="f")], catalog)
    assert (tmp_path / "f.confirmed").exists()


def test_inputs_are_copies_for_each_node(any_backend):
    """A node that changes what it reads changes it for itself."""
    catalog = DataCatalog({"x": MemoryDataset("ab"), "params:p": MemoryDataset(["a"])})
    nodes = [node(list, "x", "l")]
    nodes += [node(spoil, "l", f"n{i}", name=f"n{i}") for i in range(3)]
    nodes += [node(spoil, "params:p", f"p{i}", name=f"p{i}") for i in range(3)]
    found = {name: dataset.load() for name, dataset in run(any_backend, nodes, catalog).items()}
    assert found == {f"n{i}": 3 for i in range(3)} | {f"p{i}": 2 for i in range(3)}


def test_only_missing_outputs_runs_what_has_no_output(any_backend, tmp_path):
    """As Kedro decides it."""
    catalog = DataCatalog({"x": MemoryDataset("a"), "f": Pickled(tmp_path / "f")})
    pipe = pipeline([node(shout, "x", "f", name="one"), node(shout, "f", "g", name="two")])
    catalog["g"] = Pickled(tmp_path / "g")
    of = runner(any_backend)
    of.run(pipe, catalog)
    (tmp_path / "f").write_text("kept")
    of.run(pipe, catalog, only_missing_outputs=True)
    assert catalog.load("g") == "a!!"
    (tmp_path / "g").unlink()
    of.run(pipe, catalog, only_missing_outputs=True)
    assert catalog.load("g") == "kept!"


def test_credentials_are_in_no_file(process_backend, tmp_path, monkeypatch):
    """Not in the plan that workers read, nor in a journal, while a node looks."""
    secret = "xyzzy-4711-" + "secret"
    catalog = DataCatalog({"f": Pickled(tmp_path / "f", credentials={"key": secret})})
    catalog["f"].save("x")
    monkeypatch.chdir(tmp_path)
    found = run(
        process_backend, [node(files_with_secret, "f", "found")], catalog, runs_folder="true"
    )
    seen, holding = found["found"].load()
    assert seen > 0
    assert holding == []


def test_runner_keeps_its_workers_within_a_with_statement(process_backend):
    """Several runs, the same processes."""
    pids = set()
    with runner(process_backend, max_workers=1) as warm:
        for _ in range(3):
            catalog = SharedMemoryDataCatalog({"x": MemoryDataset(1)})
            pids.add(warm.run(pipeline([node(pid, "x", "p")]), catalog)["p"].load())
    assert len(pids) == 1


TWO_PROJECTS = """
from kedro.framework.project import configure_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro_functions import project
from motorpool import kedro

with kedro.ParallelRunner(max_workers=1) as warm:
    for name in ("one", "other", "one"):
        configure_project(name)
        catalog = DataCatalog({"x": MemoryDataset(1)})
        print(*warm.run(pipeline([node(project, "x", "y")]), catalog)["y"].load())
"""


def test_workers_follow_from_project_to_project(tmp_path):
    """And back again: their settings are those of the run."""
    for name, catalog in (("one", "DataCatalog"), ("other", "SharedMemoryDataCatalog")):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "settings.py").write_text(
            f"from kedro.io import {catalog} as DATA_CATALOG_CLASS"
        )
        (package / "pipeline_registry.py").write_text("def register_pipelines(): return {}")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    said = subprocess.run(
        [sys.executable, "-c", TWO_PROJECTS], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    found = [line for line in said.stdout.splitlines() if "DataCatalog o" in line]
    assert found == ["DataCatalog one", "SharedMemoryDataCatalog other", "DataCatalog one"]


def test_two_runs_at_once(process_backend):
    """From two threads, on one runner, and with the same id."""
    from concurrent.futures import ThreadPoolExecutor

    def one(number):
        catalog = SharedMemoryDataCatalog({"x": MemoryDataset(number)})
        found = warm.run(pipeline([node(increment, "x", "y")]), catalog, None, "the-run")
        return found["y"].load()

    with runner(process_backend) as warm, ThreadPoolExecutor(2) as threads:
        assert list(threads.map(one, range(4))) == [1, 2, 3, 4]


def test_parameters_may_be_texts_or_nested():
    """As a command line and a YAML block give them."""
    of = ours.ParallelRunner(
        max_workers="3", is_async="true", timeout="2", fuse="no",
        backend={"name": "direct", "max_tasks_per_child": "7"},
        retries={"count": 2, "delay": 0.5}, memory_limit="1GiB",
    )  # fmt: skip
    engine = of._engine
    assert (of._max_workers, of._is_async) == (3, True)
    assert engine._backend.options.max_tasks_per_child == 7
    settings = engine._settings
    assert (settings.timeout, settings.fuse, settings.memory_bytes) == (2.0, False, 2**30)
    assert settings.retries == motorpool.Retry(2, delay=0.5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_workers": "many"}, "max_workers: expected int"),
        ({"max_workers": 0}, "whole number of at least 1"),
        ({"bakend": "loky"}, "no parameter 'bakend'; do you mean 'backend'"),
        ({"backend": {"max_tasks_per_child": 3}}, "has no name"),
        ({"backend": "nowhere"}, "nowhere"),
        ({"hooks": "nowhere"}, "'nowhere' is none of 'workers', 'driver'"),
        ({"on_failure": "panic"}, "on_failure"),
        ({"retries": {"number": 2}}, "retries"),
    ],
)
def test_wrong_parameters_are_named(wrong, message):
    """Before anything starts."""
    with pytest.raises((ValueError, AttributeError, LookupError), match=message):
        ours.ParallelRunner(**wrong)


def test_start_method_of_kedros_variable(monkeypatch):
    """And a bogus one is an error that names the others."""
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "spawn")
    assert ours.ParallelRunner()._engine._backend.options.start_method == "spawn"
    assert ours.LokyRunner(max_workers=1)._max_workers == 1  # has no such option
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "bogus")
    with pytest.raises(ValueError, match="start_method.*not 'bogus'"):
        ours.ParallelRunner()


def test_each_backend_has_a_runner_class():
    """One for each backend, of Kedro's own kind."""
    for name in motorpool.registry.names():
        found = getattr(ours, name.capitalize() + "Runner")
        assert issubclass(found, kedro.runner.AbstractRunner)
        assert found.__name__ in dir(ours)
    assert issubclass(ours.LokyRunner, kedro.runner.ParallelRunner)
    with pytest.raises(AttributeError, match=r"no attribute 'DaskRunner'; its runners are"):
        _ = ours.DaskRunner


class OwnExecutor(ours.ParallelRunner):
    """A runner with another executor, as people write them for Kedro."""

    def _get_executor(self, max_workers):
        from loky import ProcessPoolExecutor

        return ProcessPoolExecutor(max_workers)


def test_subclass_with_an_executor_of_its_own():
    """Which need not be one of the standard library's."""
    catalog = SharedMemoryDataCatalog({"x": MemoryDataset(1)})
    found = OwnExecutor(max_workers=1).run(pipeline([node(increment, "x", "y")]), catalog)
    assert found["y"].load() == 2


def test_import_of_motorpool_does_not_import_kedro():
    """Nor does running a pipeline of our own."""
    import subprocess
    import sys

    code = (
        "import sys, motorpool; from motorpool import *; "
        "motorpool.ParallelRunner(max_workers=1).run("
        "motorpool.pipeline(motorpool.node(len, 'x', 'n')), {'x': 'ab'}); "
        "assert 'kedro' not in sys.modules and 'motorpool.kedro' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
