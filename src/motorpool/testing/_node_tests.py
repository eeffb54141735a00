"""Core: pipelines on the backend, by the engine."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from motorpool import create_hook_manager, node, pipeline, registry
from motorpool.errors import ValidationError
from motorpool.testing import _tasks as tasks
from motorpool.testing._harness import Harness
from motorpool.testing._marks import level, needs

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = """
from motorpool import ParallelRunner, node, pipeline

def square(x):
    return x * x

class Point:
    def __init__(self, x):
        self.x = x

nodes = [
    node(square, "x", "y", name="y"),
    node(Point, "y", "point", name="point"),
    node(lambda p: isinstance(p, Point) and p.x, "point", "z", name="z"),
]
result = ParallelRunner({backend!r}, max_workers=2, **{options!r}).run(pipeline(nodes), {{"x": 3}})
print(result["z"].load())
"""


@level("core")
class NodeTests(Harness):
    """Order, inputs and outputs, failures, hooks, logging, and runs beside each other."""

    def test_nodes_run_in_order_of_their_data(self) -> None:
        """Five layers of six nodes, each of which needs two of the layer before."""
        data = {f"v0_{i}": i for i in range(6)}
        expected = dict(data)
        nodes = []
        for layer in range(5):
            for i in range(6):
                needed = [f"v{layer}_{i}", f"v{layer}_{(i + 1) % 6}"]
                made = f"v{layer + 1}_{i}"
                nodes.append(node(tasks.add, needed, made, name=made))
                expected[made] = sum(expected[name] for name in needed)
        result = self.run(pipeline(nodes), data)
        wrong = {name: result[name].load() for name in result}
        wrong = {name: value for name, value in wrong.items() if value != expected[name]}
        assert not wrong, f"Values that came out wrong: {wrong}."

    def test_every_form_of_inputs_and_outputs(self) -> None:
        """None, one, several, by name, and a stream."""
        nodes = [
            node(tasks.make_none, None, "answer"),
            node(tasks.increment, "answer", "more"),
            node(tasks.add, ["answer", "more"], "sum"),
            node(tasks.add, {"plus": "more"}, "named"),
            node(tasks.pair, "sum", ["below", "above"]),
            node(tasks.split, "sum", {"low": "lower", "high": "higher"}),
            node(tasks.note, ["path", "sum"], None, name="writes"),
        ]
        result = self.run(pipeline(nodes), {"path": os.devnull})
        found = {name: result[name].load() for name in ("named", "below", "above", "lower")}
        assert found == {"named": 43, "below": 84, "above": 86, "lower": 84}, found

    def test_exception_of_a_node(self) -> None:
        """Its own, with a note that names the node, and the way to the line."""
        pipe = pipeline(node(tasks.raise_deep_down, "x", "y", name="culprit"))
        with pytest.raises(ValueError, match="odd") as caught:
            self.run(pipe, {"x": "odd"})
        notes = " ".join(getattr(caught.value, "__notes__", []))
        assert "culprit" in notes, f"The exception's notes do not name the node: {notes!r}."

    @pytest.mark.parametrize("awkward", ["raise_awkward", "raise_unpicklable", "raise_group"])
    def test_awkward_exception_of_a_node(self, awkward: str) -> None:
        """One that cannot travel is reported; the run ends, and the node is named."""
        pipe = pipeline(node(getattr(tasks, awkward), "x", "y", name="culprit"))
        with pytest.raises(Exception) as caught:  # noqa: PT011, each has its own
            self.run(pipe, {"x": 1})
        told = f"{caught.value} {getattr(caught.value, '__notes__', '')}"
        assert "culprit" in told, f"The error does not name the node: {told[:500]}"

    def test_huge_exception_of_a_node(self) -> None:
        """Twenty MB of text do not stop a run from ending."""
        with pytest.raises(Exception, match="xxx"):
            self.run(pipeline(node(tasks.raise_huge, "x", "y")), {"x": 1})

    def test_lambdas_and_closures(self) -> None:
        """Whatever the backend's own pickler would say to them."""
        factor = 6

        def times(x: int) -> int:
            return x * factor

        nodes = [node(times, "x", "y", name="y"), node(lambda y: y + 1, "y", "z", name="z")]
        assert self.run(pipeline(nodes), {"x": 7})["z"].load() == 43

    def test_functions_of_a_script(self, tmp_path: Path) -> None:
        """Functions and classes of `__main__`, without a guard around the last lines."""
        if not isinstance(self.backend, str):
            pytest.skip("a script needs the backend's name, and the class has none installed")
        script = tmp_path / "script.py"
        script.write_text(_SCRIPT.format(backend=self.backend, options=self.options))
        done = subprocess.run(  # noqa: S603, our own
            [sys.executable, str(script)], capture_output=True, text=True, check=False,
            timeout=2 * self.patience,
        )  # fmt: skip
        assert done.stdout == "9\n", f"The script printed {done.stdout!r}. {done.stderr}"

    @needs("isolation")
    def test_function_that_cannot_be_pickled_is_named_first(self, tmp_path: Path) -> None:
        """Before anything starts."""
        unfit = functools.partial(tasks.keep, tasks.Unpicklable())
        nodes = [
            node(unfit, "x", "y", name="culprit"),
            node(tasks.note, ["path", "x"], "z", name="fit"),
        ]
        with pytest.raises(ValidationError, match="culprit"):
            self.run(pipeline(nodes), {"x": 1, "path": str(tmp_path / "started")})
        assert not (tmp_path / "started").exists(), "A node ran before all were checked."

    @needs("isolation")
    def test_output_that_cannot_be_pickled_is_named(self) -> None:
        """With the dataset, and the worker lives."""
        pipe = pipeline(node(tasks.make_unpicklable, "x", "unfit", name="culprit"))
        with pytest.raises(Exception) as caught:  # noqa: PT011, the pickler's own
            self.run(pipe, {"x": 1})
        told = f"{caught.value} {getattr(caught.value, '__notes__', '')}"
        assert "culprit" in told, f"The error does not name the node: {told}"
        assert "unfit" in told, f"The error does not name the dataset: {told}"

    @needs("isolation")
    def test_input_that_cannot_be_pickled_is_named(self) -> None:
        """Before anything starts."""
        with pytest.raises(ValidationError, match="unfit"):
            self.run(pipeline(node(tasks.echo, "unfit", "y")), {"unfit": tasks.Unpicklable()})

    def test_stop_keeps_the_rest_from_running(self, tmp_path: Path) -> None:
        """What needs the failed node never runs."""
        path = tmp_path / "ran"
        nodes = [
            node(tasks.raise_deep_down, "x", "y", name="culprit"),
            node(tasks.note, ["path", "y"], "z", name="behind"),
        ]
        with pytest.raises(ValueError, match="odd"):
            self.run(pipeline(nodes), {"x": "odd", "path": str(path)})
        assert not path.exists(), "A node ran whose input was never made."

    def test_continue_runs_every_other_branch(self, tmp_path: Path) -> None:
        """And both failures are raised."""
        path = tmp_path / "ran"
        nodes = [node(tasks.raise_deep_down, "x", "y", name="one")]
        nodes += [node(tasks.raise_lookup, "x", "z", name="other")]
        nodes += [node(tasks.note, ["path", f"n{i}"], f"out{i}", name=f"n{i}") for i in range(6)]
        data = {"x": 1, "path": str(path), **{f"n{i}": i for i in range(6)}}
        with pytest.raises(ExceptionGroup) as caught:
            self.run(pipeline(nodes), data, on_failure="continue")
        assert {type(e) for e in caught.value.exceptions} == {ValueError, LookupError}
        ran = sorted(path.read_text().split())
        assert ran == list("012345"), f"Of six independent nodes, {ran} ran."

    def test_hook_replaces_inputs(self) -> None:
        """Hooks are called where nodes run."""
        hooks = create_hook_manager(tasks.TenTimes())
        pipe = pipeline(node(tasks.increment, "x", "y"))
        assert self.run(pipe, {"x": 2}, hooks=hooks)["y"].load() == 21

    @needs("shares_memory")
    def test_environment_is_the_drivers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As it is when workers start, and not as it was when anything first did."""
        pipe = pipeline(node(tasks.environment, "names", "found"))
        for value in ("first", "second"):
            monkeypatch.setenv("MOTORPOOL_KIT", value)
            found = self.run(pipe, {"names": ["MOTORPOOL_KIT"]})["found"].load()
            assert found == [value], f"The driver has {value!r}, and a node sees {found[0]!r}."

    def test_log_records_arrive(self, caplog: Any) -> None:
        """Those of nodes, in the driver's handlers."""
        caplog.set_level(logging.INFO)
        self.run(pipeline(node(tasks.log, "x", "y")), {"x": 42})
        said = [r.getMessage() for r in caplog.records if r.name == "motorpool.kit"]
        assert said == ["a word from a node: 42"], f"The driver's handlers were told {said}."

    def test_run_within_a_node(self) -> None:
        """A node may run a pipeline of its own, on the same backend."""
        pipe = pipeline(node(tasks.nested, ["backend", "x"], "y"))
        assert self.run(pipe, {"backend": self.make(), "x": 1})["y"].load() == 2

    def test_runner_is_used_again(self) -> None:
        """Within `with`, for several runs, one of which fails."""
        with self.runner() as runner:
            for i in range(3):
                found = self.within(
                    f"Run {i} of one runner has not ended",
                    runner.run, pipeline(node(tasks.increment, "x", "y")), {"x": i},
                )  # fmt: skip
                assert found["y"].load() == i + 1
                with pytest.raises(ValueError, match="odd"):
                    runner.run(pipeline(node(tasks.raise_deep_down, "x", "y")), {"x": "odd"})

    def test_two_runs_at_once(self) -> None:
        """From two threads, on one runner."""
        found: dict[int, int] = {}

        def one(start: int) -> None:
            names = [f"v{i}" for i in range(10)]
            nodes = [node(tasks.increment, a, b, name=b) for a, b in itertools.pairwise(names)]
            found[start] = runner.run(pipeline(nodes), {"v0": start})["v9"].load()

        with self.runner() as runner:
            threads = [threading.Thread(target=one, args=(100 * i,), daemon=True) for i in (1, 2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(self.patience)
        assert found == {100: 109, 200: 209}, f"Two runs at once came to {found}."

    def test_backend_is_found_by_name(self) -> None:
        """The entry point's name is the class's."""
        if not isinstance(self.backend, str):
            pytest.skip("the class is tested, and not what is installed")
        broken = {i.name: i.error for i in registry.listing() if i.name == self.backend}
        assert broken == {self.backend: None}, f"`motorpool backends` shows {broken}."
