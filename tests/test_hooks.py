"""Hooks, on every backend."""

import os
import sys
import types

import pytest
from functions import FileDataset, Unpicklable, fail, identity, increment
from hook_functions import Diary
from pluggy import PluginValidationError

from motorpool import DataCatalog, create_hook_manager, hookimpl, node, pipeline
from motorpool.errors import ValidationError
from motorpool.events import RunFinished, RunStarted


def test_hooks_of_a_node_run_in_order(any_backend, run, tmp_path):
    """Load, run, save, each before and after, where the node runs."""
    diary = Diary(tmp_path / "diary")
    pipe = pipeline(node(increment, "x", "y", name="n"))
    catalog = DataCatalog({"x": 1, "y": FileDataset(tmp_path / "y")})
    run(any_backend, pipe, catalog, hook_manager=create_hook_manager(diary))
    lines = [line for line in diary.lines if not line.startswith("worker")]
    assert [line.split()[0] for line in lines] == [
        "before_load", "after_load", "before_run", "after_run", "before_save", "after_save",
    ]  # fmt: skip
    assert lines[1] == "after_load x 1"
    assert lines[3] == "after_run n {'y': 2}"


def test_worker_is_set_up_once(process_backend, tmp_path):
    """Once in each worker and run, before its first node."""
    from motorpool import ParallelRunner

    diary = Diary(tmp_path / "diary")
    pipe = pipeline([node(identity, "x", f"y{i}", name=f"n{i}") for i in range(5)])
    with ParallelRunner(process_backend, max_workers=1) as runner:
        runner.run(pipe, {"x": 1}, create_hook_manager(diary))
    assert diary.lines[0] == f"worker {process_backend}"
    assert sum(line.startswith("worker") for line in diary.lines) == 1


def test_before_node_run_may_replace_inputs(any_backend, run):
    """What it returns is what the node gets."""

    class Replace:
        @hookimpl
        def before_node_run(self, inputs):
            return {"x": inputs["x"] * 10}

    pipe = pipeline(node(increment, "x", "y"))
    hooks = create_hook_manager(Replace())
    assert run(any_backend, pipe, {"x": 1}, hook_manager=hooks)["y"].load() == 11


def test_before_node_run_must_return_a_dict(any_backend, run):
    """Anything else is the node's error, with what was returned."""

    class Wrong:
        @hookimpl
        def before_node_run(self):
            return 5

    with pytest.raises(TypeError, match="None or a dict.*int: 5"):
        run(
            any_backend, pipeline(node(increment, "x", "y")), {"x": 1},
            hook_manager=create_hook_manager(Wrong()),
        )  # fmt: skip


def test_on_node_error_is_called_for_functions_and_generators(any_backend, run, tmp_path):
    """Of the function's, and of a generator's on its way."""

    def halfway(n):
        yield n
        raise OSError("halfway")

    diary = Diary(tmp_path / "diary")
    pipe = pipeline([node(fail, "x", "a", name="a"), node(halfway, "x", "b", name="b")])
    with pytest.raises(ExceptionGroup):
        run(
            any_backend, pipe, {"x": 1}, on_failure="continue",
            hook_manager=create_hook_manager(diary),
        )  # fmt: skip
    errors = sorted(line for line in diary.lines if line.startswith("error"))
    assert errors == ["error a cannot use 1", "error b halfway"]


def test_catalog_given_to_hooks_loads_the_nodes_data(any_backend, run):
    """By name, where the node runs."""

    class Peek:
        @hookimpl
        def before_node_run(self, catalog):
            return {"x": catalog.load("x") + 100}

    hooks = create_hook_manager(Peek())
    pipe = pipeline(node(increment, "x", "y"))
    assert run(any_backend, pipe, {"x": 1}, hook_manager=hooks)["y"].load() == 102


def test_module_is_a_plugin(any_backend, run, tmp_path, monkeypatch):
    """As installed plug-ins are; it travels by name."""
    (tmp_path / "hook_module.py").write_text(
        "import motorpool\n@motorpool.hookimpl\n"
        "def before_node_run(inputs):\n    return {'x': -1}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import hook_module

    assert isinstance(hook_module, types.ModuleType)
    pipe = pipeline(node(identity, "x", "y"))
    try:
        hooks = create_hook_manager(hook_module)
        assert run(any_backend, pipe, {"x": 1}, hook_manager=hooks)["y"].load() == -1
    finally:
        del sys.modules["hook_module"]


def test_hooks_that_cannot_travel_are_named(process_backend, run):
    """Before anything runs; a plug-in with nothing to do in workers stays at home."""

    class Bound:
        def __init__(self):
            self.resource = Unpicklable()

        @hookimpl
        def before_node_run(self):
            pass

    class AtHome:
        def __init__(self):
            self.resource = Unpicklable()
            self.seen = []

        @hookimpl
        def motorpool_register_observers(self):
            return [self]

        def on_event(self, event):
            self.seen.append(event)

    pipe = pipeline(node(identity, "x", "y"))
    with pytest.raises(ValidationError, match="hooks .* cannot be pickled: .*stays here"):
        run(process_backend, pipe, {"x": 1}, hook_manager=create_hook_manager(Bound()))
    home = AtHome()
    run(process_backend, pipe, {"x": 1}, hook_manager=create_hook_manager(home))
    kinds = [type(e) for e in home.seen]
    assert (kinds[0], kinds[-1]) == (RunStarted, RunFinished)


def test_misspelled_hook_is_an_error():
    """As is an argument that its hook does not have."""

    class Misspelled:
        @hookimpl
        def before_nod_run(self):
            pass

    class Greedy:
        @hookimpl
        def before_node_run(self, everything):
            pass

    with pytest.raises(PluginValidationError, match="before_nod_run"):
        create_hook_manager(Misspelled())
    with pytest.raises(PluginValidationError, match="everything"):
        create_hook_manager(Greedy())


def test_hooks_run_in_the_worker(process_backend, run, tmp_path):
    """Not here."""

    class Where:
        @hookimpl
        def before_node_run(self):
            return {"x": os.getpid()}

    result = run(
        process_backend, pipeline(node(identity, "x", "y")), {"x": 1},
        hook_manager=create_hook_manager(Where()),
    )  # fmt: skip
    assert result["y"].load() != os.getpid()
