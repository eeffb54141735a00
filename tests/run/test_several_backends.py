"""Nodes that name a backend: one run, several sets of workers, one catalog."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import NAMES, OTHER_PROCESS
from functions import (
    FileDataset,
    StaysHere,
    add,
    append,
    exit_hard,
    fail,
    hang,
    identity,
    increment,
    table_of,
    total,
    where,
)
from graphs import acyclic
from hook_functions import NodeCalls
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_functions import make_allocated

from motorpool import (
    DataCatalog,
    ParallelRunner,
    create_hook_manager,
    node,
    pipeline,
    registry,
)
from motorpool._store.client import FileClient
from motorpool.catalog import SharedMemoryDataCatalog
from motorpool.errors import (
    BackendError,
    NodeTimeoutError,
    PipelineError,
    ValidationError,
    WorkerCrashedError,
)
from motorpool.events import DatasetReleased, NodeCompleted, NodeSkipped, RunStarted

# Files that are shared, another serialiser, files that are shared again, and none; nodes that are
# fused, and nodes that are not.
KINDS = ["direct", "multiprocess", "process", "threads", "sequential"]
IN_THIS_PROCESS = {"threads", "sequential"}


@pytest.mark.parametrize("other", NAMES)
def test_node_runs_on_the_backend_that_it_names(other, any_backend, run):
    """And those that name none on the run's."""
    nodes = [node(where, "x", "here"), node(where, "x", "there", backend=other)]
    found = run(any_backend, pipeline(nodes), {"x": 1})
    mine = os.getpid(), threading.get_ident()
    for name, backend in (("here", any_backend), ("there", other)):
        pid, thread = found[name].load()
        assert (pid == mine[0]) == (backend in IN_THIS_PROCESS)
        assert ((pid, thread) == mine) == (backend == "sequential")


@pytest.mark.parametrize(("first", "second"), list(product(KINDS, KINDS)))
def test_values_go_from_each_backend_to_each_other(first, second, run, recorder):
    """Small and large ones, there and back; and each is released after its last reader."""
    nodes = [
        node(increment, "x", "small", name="a", backend=first),
        node(make_allocated, "n", "large", name="b", backend=first),
        node(identity, "small", "small_again", name="c", backend=second),
        node(identity, "large", "large_again", name="d", backend=second),
        node(add, ["small", "small_again"], "sum", name="e", backend=first),
        node(np.array_equal, ["large", "large_again"], "same", name="f", backend=first),
        node(increment, "large_again", "more", name="g", backend=second),
    ]
    found = run("direct", pipeline(nodes), {"x": 1, "n": 200_000}, observers=[recorder])
    assert found["sum"].load() == 4
    assert found["same"].load()
    assert np.array_equal(found["more"].load(), np.full((200_000, 2), 4.0))
    released = [event.dataset for event in recorder.of(DatasetReleased)]
    assert sorted(released) == ["large", "large_again", "small", "small_again"]


@given(acyclic(), st.data())
@settings(
    max_examples=settings.default.max_examples // 4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_any_graph_on_any_mixture_gives_the_same(parents, data):
    """As a plain loop does, twice on the same workers."""
    kinds = ["direct", "process", "threads", "sequential", None]
    chosen = [data.draw(st.sampled_from(kinds)) for _ in parents]
    on_failure = data.draw(st.sampled_from(["stop", "continue", "kill"]))
    nodes, expected = [], []
    for i, (above, kind) in enumerate(zip(parents, chosen, strict=True)):
        inputs = ["one", *(f"o{p}" for p in above)]
        nodes.append(node(add, inputs, f"o{i}", name=f"n{i}", backend=kind))
        expected.append(1 + sum(expected[p] for p in above))
    with ParallelRunner("direct", max_workers=2, on_failure=on_failure) as runner:
        for _ in range(2):
            found = runner.run(pipeline(nodes), {"one": 1})
            assert len(found) > 0
            assert all(found[name].load() == expected[int(name[1:])] for name in found)


def test_backends_with_one_store_copy_nothing(monkeypatch, run):
    """A reference is all that goes from one to another with the same serialiser."""
    put = []
    original = FileClient.put

    def remember(self, value, **how):
        put.append(value)
        return original(self, value, **how)

    monkeypatch.setattr(FileClient, "put", remember)
    nodes = [
        node(make_allocated, "n", "large", name="a"),
        node(len, "large", "y", name="b", backend="process"),
    ]
    assert run("direct", pipeline(nodes), {"n": 300_000})["y"].load() == 300_000
    assert put
    assert not [value for value in put if isinstance(value, np.ndarray)]


def test_input_of_backends_with_one_store_is_stored_once(monkeypatch, run):
    """Whether it is the pipeline's, or comes from a node of threads."""
    put = []
    original = FileClient.put

    def remember(self, value, **how):
        put.append(value)
        return original(self, value, **how)

    monkeypatch.setattr(FileClient, "put", remember)
    kinds = ["direct", "process", "threads"]
    nodes = [node(len, "large", f"n_{kind}", name=kind, backend=kind) for kind in kinds]
    nodes += [node(identity, "large", "again", backend="threads", name="again")]
    nodes += [node(len, "again", f"m_{kind}", name=f"m_{kind}", backend=kind) for kind in kinds]
    found = run("direct", pipeline(nodes), {"large": np.arange(100_000.0)})
    assert {dataset.load() for dataset in found.values()} == {100_000}
    assert len([value for value in put if isinstance(value, np.ndarray)]) == 2


def test_function_that_cannot_be_pickled_runs_where_it_need_not_be(run):
    """Nothing of a node of threads goes to other processes."""
    lock = threading.Lock()
    seen = []

    def use(x):
        with lock:
            seen.append(x)
        return x

    nodes = [
        node(increment, "x", "y", name="far"),
        node(use, "y", "z", name="near", backend="threads"),
        node(increment, "z", "w", name="far_again"),
    ]
    assert run("direct", pipeline(nodes), {"x": 1})["w"].load() == 3
    assert seen == [2]
    nodes[1] = node(use, "y", "z", name="near", backend="process")
    with pytest.raises(ValidationError, match=r"(?s)backends 'direct', 'process'.*node 'near'"):
        run("direct", pipeline(nodes), {"x": 1})


def test_dataset_that_stays_here_is_for_nodes_that_stay_here(tmp_path, run):
    """It is checked against the backends of those that use it, and no others."""

    class OneProcess(FileDataset):
        _SINGLE_PROCESS = True

    catalog = DataCatalog({"x": 1, "y": OneProcess(tmp_path / "y")})
    nodes = [
        node(increment, "x", "a", name="far"),
        node(increment, "a", "y", name="near", backend="threads"),
        node(len, "y", "z", name="near_again", backend="sequential"),
    ]
    assert run("direct", pipeline(nodes), catalog)["z"].load() == 1
    nodes[2] = node(len, "y", "z", name="too_far", backend="process")
    with pytest.raises(ValidationError, match="'y'"):
        run("direct", pipeline(nodes), catalog)


def test_value_that_cannot_be_pickled_is_the_readers_error(run, recorder):
    """It names the value; what reads it where it was made has it."""
    nodes = [
        node(StaysHere, None, "odd", name="maker", backend="threads"),
        node(lambda odd: type(odd).__name__, "odd", "kind", name="near", backend="threads"),
        node(identity, "odd", "moved", name="far"),
    ]
    with pytest.raises(Exception, match="'odd'.*StaysHere.*cannot be pickled") as caught:
        run("direct", pipeline(nodes), {"x": 1}, on_failure="continue", observers=[recorder])
    assert any("'far'" in note for note in caught.value.__notes__)
    assert {event.node for event in recorder.of(NodeCompleted)} == {"maker", "near"}


def test_unknown_backend_is_an_error_that_names_the_node(run, recorder):
    """Before anything starts."""
    nodes = [node(increment, "x", "y", name="good"), node(increment, "y", "z", backend="treads")]
    with pytest.raises(ValidationError, match=r"(?s)node 'increment__z'.*'treads'.*'threads'"):
        run("direct", pipeline(nodes), {"x": 1}, observers=[recorder])
    assert not recorder.of(RunStarted)


@pytest.mark.parametrize("wrong", ["", 3, ThreadPoolExecutor])
def test_backend_that_is_no_name_is_refused(wrong):
    """It says how to use something else."""
    with pytest.raises(PipelineError, match="must be the name of a backend, not .*backends="):
        node(increment, "x", "y", backend=wrong)


def test_names_of_backends_are_mapped_by_the_runner(run):
    """A backend with options, or an executor."""
    spawned = registry.get("direct")(start_method="spawn")
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        nodes = [
            node(lambda _: threading.current_thread().name, "x", "name", backend="mine"),
            node(where, "x", "where", backend="fresh"),
        ]
        backends = {"mine": executor, "fresh": spawned}
        found = run("sequential", pipeline(nodes), {"x": 1}, backends=backends)
        assert found["name"].load().startswith("mine")
        assert found["where"].load()[0] != os.getpid()
        assert executor.submit(len, "abc").result() == 3  # it is still the user's


def test_mapped_name_wins_over_the_runners_own(run):
    """The mapping wins."""
    spawned = registry.get("direct")(start_method="spawn")
    nodes = [node(where, "x", "y"), node(where, "x", "z", backend="direct")]
    with ParallelRunner("direct", max_workers=1, backends={"direct": spawned}) as runner:
        found = runner.run(pipeline(nodes), {"x": 1})
    assert found["y"].load()[0] != found["z"].load()[0]


def test_mapping_to_what_is_no_backend_is_refused():
    """When the runner is made."""
    with pytest.raises(ValidationError, match=r"backends must be a dict .* not \['threads'\]"):
        ParallelRunner("direct", backends=["threads"])
    with pytest.raises(BackendError, match="must be a name") as caught:
        ParallelRunner("direct", backends={"mine": 3})
    assert caught.value.__notes__ == ["in backends['mine']"]


@pytest.mark.parametrize("backend", OTHER_PROCESS)
def test_crash_on_one_backend_does_not_touch_the_others(backend, run, tmp_path):
    """The culprit is named, what does not need it runs, once."""
    path = str(tmp_path / "ran")
    nodes = [node(exit_hard, "x", "never", name="culprit", backend=backend)]
    for i, other in enumerate(["threads", "direct", "process", "sequential"] * 2):
        nodes.append(node(append, ["path", f"i{i}"], f"o{i}", name=f"n{i}", backend=other))
    data = {"x": 1, "path": path, **{f"i{i}": i for i in range(8)}}
    with pytest.raises(WorkerCrashedError) as caught:
        run("direct", pipeline(nodes), data, on_failure="continue")
    assert caught.value.node == "culprit"
    ran = Path(path).read_text().split()
    assert set(ran) == set("01234567")
    assert all(ran.count(i) == 1 for i in "0347"), ran  # on workers that the crash has not touched


def test_timeout_ends_the_node_that_has_it(run):
    """On one backend that can; others need not be able to."""
    nodes = [
        node(hang, "x", "never", name="slow", backend="direct", timeout=0.5),
        node(increment, "x", "y", name="quick"),
    ]
    with pytest.raises(NodeTimeoutError) as caught:
        run("threads", pipeline(nodes), {"x": 1})
    assert caught.value.node == "slow"
    with pytest.raises(ValidationError, match=r"node 'slow' has a timeout.*'threads' cannot"):
        run("direct", pipeline([node(hang, "x", "y", name="slow", backend="threads", timeout=1)]),
            {"x": 1})  # fmt: skip


@pytest.mark.parametrize("on_failure", ["stop", "kill"])
def test_failure_on_one_backend_stops_all(run, recorder, on_failure):
    """Nothing new starts anywhere; with "kill" what runs in other processes is ended."""
    nodes = [node(fail, "x", "never", name="culprit", backend="threads")]
    nodes += [node(increment, "never", "no", name="child", backend="process")]
    if on_failure == "kill":
        nodes += [node(hang, "x", "hung", name="hung")]
    nodes += [node(increment, "x", f"y{i}", name=f"n{i}", backend="direct") for i in range(200)]
    with pytest.raises(ValueError, match="1") as caught:
        run("direct", pipeline(nodes), {"x": 1}, on_failure=on_failure, observers=[recorder])
    assert any("culprit" in note for note in caught.value.__notes__)
    skipped = {event.node for event in recorder.of(NodeSkipped)}
    completed = {event.node for event in recorder.of(NodeCompleted)}
    assert "child" in skipped
    assert len(skipped) + len(completed) == len(nodes) - 1
    assert ("hung" in skipped) == (on_failure == "kill")


def test_hooks_are_called_where_nodes_run(run, tmp_path):
    """Once for each."""
    path = tmp_path / "calls"
    nodes = [
        node(increment, "x", "y", name="far"),
        node(increment, "y", "z", name="near", backend="threads"),
        node(increment, "z", "w", name="other", backend="multiprocess"),
    ]
    manager = create_hook_manager(NodeCalls(str(path)))
    run("direct", pipeline(nodes), {"x": 1}, hook_manager=manager)
    calls = dict(line.split(":") for line in path.read_text().split())
    assert list(calls) == ["far", "near", "other"]
    assert len(set(calls.values())) == 3
    assert int(calls["near"]) == os.getpid()


def test_generators_async_saves_and_files_work_on_each_backend(run, tmp_path):
    """Chunks go to their dataset, wherever they are made."""

    def chunks(n):
        yield from range(n)

    catalog = {"n": 3, "file": FileDataset(tmp_path / "file")}
    nodes = [
        node(chunks, "n", "numbers", name="a", backend="threads"),
        node(identity, "numbers", "file", name="b", backend="process"),
        node(identity, "file", "text", name="c", backend="sequential"),
    ]
    result = run("direct", pipeline(nodes), catalog)
    assert result["text"].load() == (tmp_path / "file").read_text()
    result = run("direct", pipeline(nodes[1:]), {**catalog, "numbers": 5}, is_async=True)
    assert result["text"].load() == "5"


@pytest.mark.parametrize("checkpoint", [False, True])
def test_resume_runs_what_is_missing(run, tmp_path, checkpoint):
    """Each where it belongs; values that were kept are not made again."""
    path, switch = str(tmp_path / "ran"), tmp_path / "switch"

    def last(x, y):
        if not switch.exists():
            raise ValueError("not yet")
        return x + y

    nodes = [
        node(lambda p: len(append(p, "a")), "path", "a", name="a", backend="threads"),
        node(lambda p: len(append(p, "b")), "path", "b", name="b", backend="process"),
        node(last, ["a", "b"], "c", name="c"),
    ]
    options = {"runs_folder": tmp_path / "runs"}
    if checkpoint:
        options["checkpoint"] = tmp_path / "kept"
    runner = ParallelRunner("direct", max_workers=2, **options)
    with pytest.raises(ValueError, match="not yet"):
        runner.run(pipeline(nodes), {"path": path})
    switch.touch()
    assert runner.run(pipeline(nodes), {"path": path}, resume=True)["c"].load() == 2
    assert sorted(Path(path).read_text().split()) == (["a", "b"] if checkpoint else list("aabb"))


def test_warm_runner_keeps_the_workers_of_all():
    """And starts those of a backend when a run first needs it."""
    one = pipeline(node(where, "x", "y"))
    two = pipeline([node(where, "x", "y"), node(where, "x", "z", backend="process")])
    with ParallelRunner("direct", max_workers=1) as runner:
        (first, _), results = runner.run(one, {"x": 1})["y"].load(), []
        for _ in range(2):
            found = runner.run(two, {"x": 1})
            assert found["y"].load()[0] == first
            results.append(found["z"].load()[0])
    assert results[0] == results[1] != first


def test_two_runs_at_once_on_one_runner():
    """Each has its own workers."""
    nodes = [node(increment, "x", "y"), node(increment, "y", "z", backend="threads")]
    found = {}
    with ParallelRunner("direct", max_workers=1) as runner:
        threads = [
            threading.Thread(
                target=lambda i=i: found.update(
                    {i: runner.run(pipeline(nodes), {"x": i})["z"].load()}
                )
            )
            for i in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {0: 2, 1: 3, 2: 4}


def test_values_in_shared_memory_are_read_by_all_backends(run):
    """They go there once; a backend with another serialiser reads them too."""
    catalog = SharedMemoryDataCatalog({"table": np.arange(200_000.0)})
    nodes = [
        node(np.sum, "table", backend=kind, outputs=f"sum_{kind}", name=kind) for kind in KINDS
    ]
    for _ in range(2):
        found = run("direct", pipeline(nodes), catalog)
        assert {found[f"sum_{kind}"].load() for kind in KINDS} == {199_999 * 100_000.0}


def test_results_load_when_the_runner_is_gone():
    """Wherever they were made."""
    nodes = [node(table_of, "n", f"table_{kind}", name=kind, backend=kind) for kind in KINDS]
    nodes += [
        node(total, f"table_{kind}", f"total_{other}_{kind}", backend=other)
        for kind, other in product(KINDS, KINDS)
    ]
    with ParallelRunner("direct", max_workers=2) as runner:
        found = runner.run(pipeline(nodes), {"n": 50_000})
        assert found.summary.completed == len(nodes)
        assert sorted(found.summary.backend.split(", ")) == sorted(KINDS)
    assert len({dataset.load() for dataset in found.values()}) == 1


def test_interrupt_in_this_thread_ends_all(run):
    """As Ctrl-C in a node of `sequential`, while others run elsewhere."""

    def interrupt(_x):
        raise KeyboardInterrupt

    nodes = [
        node(hang, "x", "never", name="hung"),
        node(interrupt, "x", "no", name="here", backend="sequential"),
    ]
    with pytest.raises(KeyboardInterrupt):
        run("direct", pipeline(nodes), {"x": 1})
