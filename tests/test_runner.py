"""Running pipelines, on every backend."""

import bdb
import gc
import os
import sys
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import cloudpickle
import functions
import numpy as np
import pytest
from functions import (
    AppendingDataset,
    FileDataset,
    Method,
    Unpicklable,
    add,
    append,
    chunks,
    fail,
    identity,
    increment,
    pairs,
    pid,
)
from graphs import acyclic
from hypothesis import HealthCheck, given, settings

from motorpool import (
    AbstractRunner,
    DataCatalog,
    MemoryDataset,
    ParallelRunner,
    SequentialRunner,
    SharedMemoryDataCatalog,
    ThreadRunner,
    node,
    pipeline,
    registry,
)
from motorpool._store.maps import maps
from motorpool._worker import main
from motorpool.errors import (
    BackendOptionError,
    DatasetError,
    MissingInputError,
    NodeError,
    ValidationError,
    WorkerCountError,
    WorkerCrashedError,
)
from motorpool.events import DatasetReleased, NodeCompleted, NodeFailed, NodeSkipped, RunFinished


def test_diamond_runs_and_results_outlive_the_runner(any_backend, run):
    """The smallest graph with a fork and a join."""
    result = run(
        any_backend,
        pipeline(
            [
                node(increment, "a", "b"),
                node(increment, "b", "c"),
                node(increment, "b", "d"),
                node(add, ["c", "d"], "e"),
            ]
        ),
        {"a": 1},
    )
    gc.collect()
    assert list(result) == ["e"]
    assert result["e"].load() == 6
    assert result["e"].load() == 6
    assert result.summary.completed == 4


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acyclic(most=12))
def test_random_graph_gives_what_a_sequential_run_gives(any_backend, warm, parents):
    """Any graph, with values that depend on the way."""
    pipe = pipeline(
        [
            node(
                partial(lambda i, *xs: (i, *xs), i),
                [f"d{p}" for p in ps] or "start",
                f"d{i}",
                name=f"n{i}",
            )
            for i, ps in enumerate(parents)
        ]
    )
    expected = {k: d.load() for k, d in SequentialRunner().run(pipe, {"start": 0}).items()}
    assert {k: d.load() for k, d in warm.run(pipe, {"start": 0}).items()} == expected


@pytest.fixture
def warm(any_backend):
    with ParallelRunner(any_backend, max_workers=2) as runner:
        yield runner


def test_functions_of_every_kind_run(any_backend, run):
    """Lambda, closure, partial, bound method, and one defined in `__main__`."""
    step = 10
    main = {"__name__": "__main__"}
    exec("def of_main(x):\n    return x + offset\noffset = 1000", main)

    def closure(x):
        return x + step

    nodes = [
        node(lambda x: x + 1, "x", "lambda"),
        node(closure, "x", "closure"),
        node(partial(add, 100), "x", "partial"),
        node(Method(7).shift, "x", "method"),
        node(main["of_main"], "x", "main"),
        node(np.sqrt, "x", "ufunc"),
    ]
    result = run(any_backend, pipeline(nodes), {"x": 4})
    found = {name: dataset.load() for name, dataset in result.items()}
    assert found == {
        "lambda": 5, "closure": 14, "partial": 104, "method": 11, "main": 1004, "ufunc": 2.0,
    }  # fmt: skip


def test_large_values_go_through_the_store(process_backend, run, recorder):
    """An array is handed on, changed by one reader, and seen unchanged by the other."""

    def make():
        return np.ones(200_000)

    def spoil(array):
        array[:] = 0
        return float(array.sum())

    def total(array, _after):
        return float(array.sum())

    pipe = pipeline(
        [
            node(make, None, "array"),
            node(spoil, "array", "zero"),
            node(total, ["array", "zero"], "sum"),
        ]
    )
    result = run(process_backend, pipe, observers=[recorder])
    assert (result["sum"].load(),) == (200_000.0,)
    sizes = {e.node: e.nbytes for e in recorder.of(NodeCompleted)}
    assert sizes["make__array"] >= 1_600_000
    assert [e.dataset for e in recorder.of(DatasetReleased)] == ["zero", "array"] or [
        e.dataset for e in recorder.of(DatasetReleased)
    ] == ["array", "zero"]


def test_large_result_loads_after_everything_is_closed(process_backend, run):
    """Each load is a copy of one's own; the file goes with the result."""
    result = run(
        process_backend, pipeline(node(lambda n: np.arange(n), "n", "big")), {"n": 50_000}
    )
    first = result["big"].load()
    first[:] = 0
    assert result["big"].load()[-1] == 49_999


def test_result_of_one_run_is_an_input_of_the_next(process_backend, run):
    """Without a detour through this process."""
    big = run(process_backend, pipeline(node(np.arange, "n", "big")), {"n": 50_000})
    total = run(process_backend, pipeline(node(np.sum, "big", "sum")), big)
    assert total["sum"].load() == sum(range(50_000))
    assert big["big"].load()[1] == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_persistent_datasets_are_used_by_workers(any_backend, run, tmp_path, is_async):
    """Loaded and saved where the node runs, and confirmed after it."""
    (tmp_path / "in").write_text("5")
    catalog = DataCatalog({k: FileDataset(tmp_path / k) for k in ("in", "out", "other")})
    pipe = pipeline(
        [
            node(lambda t: (t + "!", t + "?"), "in", ["out", "other"], confirms="in", name="a"),
            node(lambda a, b: a + b, ["out", "other"], "both", name="b"),
        ]
    )
    result = run(any_backend, pipe, catalog, is_async=is_async)
    assert result["both"].load() == "5!5?"
    assert (tmp_path / "out").read_text() == "5!"
    assert (tmp_path / "in.confirmed").exists()


def test_generator_streams_its_chunks(any_backend, run, tmp_path):
    """Each chunk is saved as it comes; an in-memory dataset keeps the last."""
    catalog = DataCatalog({k: AppendingDataset(tmp_path / k) for k in ("one", "left", "right")})
    pipe = pipeline(
        [
            node(chunks, "n", "one"),
            node(pairs, "n", ["left", "right"]),
            node(chunks, "n", "memory", name="kept"),
        ]
    )
    catalog["n"] = 3
    result = run(any_backend, pipe, catalog)
    assert (tmp_path / "one").read_text() == "0\n1\n2\n"
    assert (tmp_path / "left").read_text() == "0\n1\n2\n"
    assert (tmp_path / "right").read_text() == "0\n-1\n-2\n"
    assert result["memory"].load() == 2


def test_other_iterables_pass_whole(any_backend, run):
    """A list, and an iterator that is no generator."""
    pipe = pipeline(
        [node(lambda n: list(range(n)), "n", "list"), node(lambda n: iter(range(n)), "n", "it")]
    )
    result = run(any_backend, pipe, DataCatalog({"n": 3}))
    assert result["list"].load() == [0, 1, 2]
    assert list(result["it"].load()) == [0, 1, 2]


def test_memory_dataset_of_the_user_gets_the_output(any_backend, run):
    """A registered in-memory dataset holds the result afterwards, wherever the node ran."""
    catalog = DataCatalog({"a": 1, "b": MemoryDataset()})
    run(any_backend, pipeline(node(increment, "a", "b")), catalog)
    assert catalog.load("b") == 2


def test_shared_catalog_moves_values_once(process_backend):
    """A second run uses what the first has brought to shared memory."""
    catalog = SharedMemoryDataCatalog({"big": np.arange(50_000)})
    pipe = pipeline(node(np.sum, "big", "sum"))
    with ParallelRunner(process_backend, max_workers=1) as runner:
        runner.run(pipe, catalog)
        source = catalog["big"].source
        assert source is not None
        assert runner.run(pipe, catalog)["sum"].load() == sum(range(50_000))
        assert catalog["big"].source is source
    assert catalog.load("big")[-1] == 49_999


@pytest.mark.parametrize("size", [1, 100_000])
def test_none_output_is_an_error_that_names_node_and_dataset(any_backend, run, size):
    """Before anything of it is saved, and as Kedro says it: a DatasetError."""
    pipe = pipeline(node(lambda x: (np.zeros(size), None), "x", ["a", "b"], name="forgetful"))
    with pytest.raises(DatasetError, match="'forgetful' returned None for the dataset 'b'"):
        run(any_backend, pipe, {"x": 1})


def test_own_exception_is_raised_with_its_traceback(any_backend, run):
    """Type, text, the line of the node's code, and a note with node and backend."""
    with pytest.raises(ValueError, match="cannot use 5") as caught:
        run(any_backend, pipeline(node(fail, "x", "y", name="culprit")), {"x": 5})
    notes = "\n".join(caught.value.__notes__)
    assert "'culprit'" in notes
    assert f"'{any_backend}'" in notes
    import traceback

    text = "".join(traceback.format_exception(caught.value))
    assert 'raise ValueError(f"cannot use {x}")' in text


@pytest.mark.parametrize(
    ("func", "kind", "message"),
    [
        (functions.raise_unfriendly, functions.UnfriendlyError, "1 and 2"),
        (functions.make_unpicklable, TypeError, "stays here"),
        (lambda x: (_ for _ in ()).throw(KeyboardInterrupt), NodeError, "KeyboardInterrupt"),
        (functions.exit_soft, NodeError, r"sys.exit\(3\)"),
        (
            lambda x: (_ for _ in ()).throw(ExceptionGroup("g", [OSError("o")])),
            ExceptionGroup,
            "g",
        ),
    ],
)
def test_awkward_failures_are_raised_as_errors(process_backend, run, func, kind, message):
    """Of their own class, or of ours if they would end the driver; the worker lives on."""
    pipe = pipeline([node(func, "x", "y", name="awkward"), node(identity, "x", "z")])
    with pytest.raises(kind, match=message) as caught:
        run(process_backend, pipe, {"x": 5}, on_failure="continue")
    assert any("awkward" in note for note in caught.value.__notes__)


def test_output_that_cannot_be_pickled_is_named(process_backend, run):
    """The dataset, and the type of what was to be saved."""
    with pytest.raises(TypeError) as caught:
        run(process_backend, pipeline(node(functions.make_unpicklable, "x", "y")), {"x": 5})
    assert any("'y', a Unpicklable" in note for note in caught.value.__notes__)


def test_stop_skips_what_was_queued(any_backend, run, recorder, tmp_path):
    """What was queued when the first node failed never runs, and is said to be skipped."""
    log = tmp_path / "log"
    nodes = [node(fail, "x", "bad", name="a_bad", tags="first")]
    nodes += [
        node(partial(append, log), f"late{i}", f"o{i}", name=f"late{i}") for i in range(20)
    ] + [node(partial(lambda i, x: i, i), "bad", f"late{i}", name=f"mid{i}") for i in range(20)]
    with pytest.raises(ValueError, match="cannot use"):
        run(any_backend, pipeline(nodes), {"x": 1}, observers=[recorder])
    assert not log.exists()
    assert len(recorder.of(NodeSkipped)) == 40
    summary = recorder.of(RunFinished)[0].summary
    assert (summary.completed, summary.failed, summary.skipped) == (0, ("a_bad",), 40)


def test_continue_runs_every_branch_that_can(any_backend, run, recorder):
    """Two failures are a group of two; what depends on them is skipped, with the reason."""
    pipe = pipeline(
        [
            node(fail, "x", "f1", name="bad1"),
            node(fail, "x", "f2", name="bad2"),
            node(identity, "f1", "s1", name="behind1"),
            node(identity, "s1", "s2", name="behind2"),
            node(increment, "x", "g1", name="good1"),
            node(increment, "g1", "g2", name="good2"),
        ]
    )
    with pytest.raises(ExceptionGroup, match="2 nodes failed") as caught:
        run(any_backend, pipe, {"x": 1}, on_failure="continue", observers=[recorder])
    assert [type(e) for e in caught.value.exceptions] == [ValueError, ValueError]
    assert {e.node for e in recorder.of(NodeCompleted)} == {"good1", "good2"}
    assert {e.node: e.reason for e in recorder.of(NodeSkipped)} == {
        "behind1": "it needs the node 'bad1', which failed",
        "behind2": "it needs the node 'bad1', which failed",
    }
    finished = recorder.of(RunFinished)[0]
    assert finished.resume_from == ("bad1", "bad2")


def test_retry_runs_a_failing_node_again(any_backend, run, tmp_path, recorder):
    """As often as the node says, or else the run."""

    def flaky(path, times):
        from pathlib import Path

        append(path, "x")
        if len(Path(path).read_text().split()) <= times:
            raise OSError("not yet")
        return "done"

    pipe = pipeline(
        [
            node(partial(flaky, times=2), "p1", "o1", name="own", retries=2),
            node(partial(flaky, times=1), "p2", "o2", name="as_run"),
        ]
    )
    data = {"p1": str(tmp_path / "1"), "p2": str(tmp_path / "2")}
    result = run(any_backend, pipe, data, retries=1, observers=[recorder])
    assert result["o1"].load() == result["o2"].load() == "done"
    attempts = {e.node: e.attempt for e in recorder.of(NodeCompleted)}
    assert attempts == {"own": 3, "as_run": 2}
    assert all(e.retried for e in recorder.of(NodeFailed))


def test_last_failure_is_raised_when_retries_are_used_up(any_backend, run, recorder):
    """The last failure is the one that is raised."""
    with pytest.raises(ValueError, match="cannot use"):
        run(any_backend, pipeline(node(fail, "x", "y", retries=2)), {"x": 1}, observers=[recorder])
    assert [e.retried for e in recorder.of(NodeFailed)] == [True, True, False]


def test_warm_runner_keeps_its_workers(process_backend):
    """Two runs, one worker; a third after the end starts anew."""
    pipe = pipeline(node(pid, "x", "pid"))
    runner = ParallelRunner(process_backend, max_workers=1)
    with runner:
        pids = [runner.run(pipe, {"x": 1})["pid"].load() for _ in range(2)]
    assert pids[0] == pids[1] != os.getpid()
    assert runner.run(pipe, {"x": 1})["pid"].load() != pids[0]


def test_two_runs_at_once_share_a_warm_runner(any_backend):
    """From two threads, each gets its own results."""
    pipe = pipeline([node(increment, f"d{i}", f"d{i + 1}", name=f"n{i}") for i in range(20)])
    with ParallelRunner(any_backend, max_workers=2) as runner, ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(runner.run, pipe, {"d0": i * 100}) for i in range(4)]
        assert [r.result()["d20"].load() for r in runs] == [20, 120, 220, 320]


def test_runner_inside_a_node(any_backend, run):
    """A node may run a pipeline of its own, on workers of its own."""

    def nested(x):
        inner = pipeline(node(increment, "x", "y"))
        return ParallelRunner("direct", max_workers=1).run(inner, {"x": x})["y"].load()

    assert run(any_backend, pipeline(node(nested, "x", "y")), {"x": 1})["y"].load() == 2


def test_only_missing_outputs_runs_what_is_needed(any_backend, tmp_path, recorder):
    """A persistent output that exists is not made again, nor what only it needs."""
    catalog = DataCatalog({k: FileDataset(tmp_path / k) for k in ("p1", "p2")} | {"x": 1})
    pipe = pipeline(
        [
            node(increment, "x", "m", name="m"),
            node(str, "m", "p1", name="p1"),
            node(str, "p1", "p2", name="p2"),
            node(str, "x", "idle", name="idle"),
        ]
    )
    catalog.save("p1", "old")
    runner = ParallelRunner(any_backend, max_workers=2, observers=[recorder])
    result = runner.run(pipe, catalog, only_missing_outputs=True)
    assert [e.node for e in recorder.of(NodeCompleted)] == ["p2"]
    assert result["p2"].load() == "old"


def test_missing_input_is_the_first_error(any_backend, run):
    """A ValueError that names the datasets, who reads them, and what is near."""
    pipe = pipeline([node(add, ["flights", "planes"], "out", name="join")])
    with pytest.raises(MissingInputError) as caught:
        run(any_backend, pipe, {"flihgts": 1, "planes": threading.Lock()})
    text = str(caught.value)
    assert "['flights'] not found in the DataCatalog" in text
    assert "read by join" in text
    assert "do you mean 'flihgts'" in text
    assert isinstance(caught.value, ValueError)


def test_everything_that_cannot_travel_is_reported_together(process_backend, run, tmp_path):
    """Nodes and datasets, by name and reason, as one AttributeError; nothing has run."""
    lock = Unpicklable()
    stuck, alone = FileDataset(tmp_path / "s"), FileDataset(tmp_path / "a")
    stuck.lock, alone._SINGLE_PROCESS = lock, True
    ran = tmp_path / "ran"
    pipe = pipeline(
        [
            node(lambda x: lock, "x", "o1", name="closes_over"),
            node(Unpicklable, None, "o2", name="fine"),
            node(identity, "stuck", "o3"),
            node(identity, "alone", "o4"),
            node(partial(append, ran), "x", "o5"),
        ]
    )
    catalog = DataCatalog({"x": 1, "stuck": stuck, "alone": alone})
    with pytest.raises(ValidationError) as caught:
        run(process_backend, pipe, catalog)
    text = str(caught.value)
    assert "node 'closes_over' cannot be pickled: TypeError" in text
    assert "dataset 'stuck'" in text
    assert "dataset 'alone'" in text
    assert "'fine'" not in text
    assert isinstance(caught.value, AttributeError)
    assert not ran.exists()


def test_input_that_cannot_travel_is_named(process_backend, run):
    """A value of the catalog, with its type and the reason."""
    with pytest.raises(ValidationError, match="input 'x', a Unpicklable, cannot be"):
        run(process_backend, pipeline(node(identity, "x", "y")), {"x": Unpicklable()})


def test_single_process_dataset_is_fine_in_one_process(local_backend, run, tmp_path):
    """Where nothing travels, nothing needs to be picklable."""
    dataset = FileDataset(tmp_path / "a")
    dataset.lock, dataset._SINGLE_PROCESS = threading.Lock(), True
    run(local_backend, pipeline(node(str, "x", "a")), DataCatalog({"x": 1, "a": dataset}))
    assert dataset.load() == "1"


def test_generator_with_async_is_an_error(any_backend, run):
    """Its chunks have an order, which threads would not keep."""
    with pytest.raises(ValidationError, match="'stream' is a generator"):
        run(any_backend, pipeline(node(chunks, "n", "c", name="stream")), {"n": 1}, is_async=True)


def test_timeout_where_it_cannot_be_kept_is_an_error(local_backend, run):
    """With the backends that can."""
    pipe = pipeline(node(identity, "x", "y", name="slow", timeout=5))
    with pytest.raises(ValidationError, match="slow.*direct, .*loky, .*multiprocess, .*process"):
        run(local_backend, pipe, {"x": 1})
    with pytest.raises(ValidationError, match="every node of the run"):
        run(local_backend, pipeline(node(identity, "x", "y")), {"x": 1}, timeout=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_failure": "panic"}, "'panic'"),
        ({"retries": -1}, "retries.*-1"),
        ({"retries": "2"}, "retries.*'2'"),
        ({"timeout": 0}, "timeout.*0"),
        ({"observers": [print]}, "no method on_event"),
    ],
)
def test_bad_argument_of_a_runner_is_an_error(options, message):
    """At once, not at the first run."""
    with pytest.raises(ValidationError, match=message):
        ParallelRunner("threads", **options)


@pytest.mark.parametrize("count", [0, -3, "four", 2.0])
def test_bad_number_of_workers_is_an_error(any_backend, count):
    """On every backend the same."""
    with pytest.raises(WorkerCountError):
        ParallelRunner(any_backend, max_workers=count)


def test_workers_are_no_more_than_the_pipeline_can_use():
    """Nodes less layers plus one, as Kedro counts, within max_workers."""
    pipe = pipeline([node(increment, f"d{i}", f"d{i + 1}", name=f"n{i}") for i in range(5)])
    wide = pipeline([node(increment, "x", f"o{i}", name=f"n{i}") for i in range(5)])
    runner = ParallelRunner(max_workers=3)
    assert runner._get_required_workers_count(pipe) == 1
    assert runner._get_required_workers_count(wide) == 3


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_is_a_backend(pool):
    """It is used, looked at by trial, and left as it was."""
    context = {} if pool is ThreadPoolExecutor else {"mp_context": _context()}
    with pool(2, **context) as executor:
        result = ParallelRunner(executor).run(
            pipeline([node(increment, "x", "y"), node(lambda y: y * 2, "y", "z")]), {"x": 1}
        )
        assert result["z"].load() == 4
        assert executor.submit(increment, 1).result() == 2
        assert result.summary.backend == pool.__name__


def _context():
    import multiprocessing

    return multiprocessing.get_context("forkserver")


def test_instance_of_a_backend_is_a_backend(any_backend, run):
    """Made by hand, with its options."""
    backend = registry.get(any_backend)()
    assert run(backend, pipeline(node(increment, "x", "y")), {"x": 1})["y"].load() == 2


class InlineExecutor(Executor):
    """The least that an executor can be: cloudpickle there and back, as a cluster would."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            fn, args, kwargs = cloudpickle.loads(cloudpickle.dumps((fn, args, kwargs)))
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def test_runner_of_ones_own_needs_one_method():
    """AbstractRunner with `_get_executor`, as in Kedro."""

    class Mine(AbstractRunner):
        def _get_executor(self, max_workers):
            return InlineExecutor()

    result = Mine().run(pipeline(node(increment, "x", "y")), {"x": 1})
    assert result["y"].load() == 2
    main._session.cache_clear()  # "workers" in this very process keep the last two runs
    maps.forget_unused()


def test_subclass_may_bring_another_executor():
    """An overridden `_get_executor` is used, and found out to be of threads."""

    class Mine(ParallelRunner):
        def _get_executor(self, max_workers):
            return ThreadPoolExecutor(max_workers)

    assert Mine().run(pipeline(node(pid, "x", "y")), {"x": 1})["y"].load() == os.getpid()


def test_sequential_and_thread_runners():
    """The two that need no processes."""
    pipe = pipeline(node(pid, "x", "y"))
    assert SequentialRunner().run(pipe, {"x": 1})["y"].load() == os.getpid()
    assert ThreadRunner(max_workers=2).run(pipe, {"x": 1})["y"].load() == os.getpid()


def test_empty_pipeline_runs():
    """There is nothing to do, and nothing wrong."""
    result = ParallelRunner().run(pipeline([]), {})
    assert dict(result) == {}
    assert result.summary.completed == 0


def test_native_threads_are_shared_out(process_backend, run, monkeypatch):
    """Cores over workers, unless the user has said otherwise."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0))

    def threads(_x):
        return os.environ["OMP_NUM_THREADS"]

    assert run(process_backend, pipeline(
        [node(threads, "x", "t", name="a"), node(identity, "x", "u", name="b")]
    ), {"x": 1})["t"].load() == str(max(1, cores // 2))  # fmt: skip


def test_empty_dataset_is_a_missing_input(any_backend, run):
    """It is registered, and there is nothing to load."""
    pipe = pipeline(node(identity, "x", "y", name="reads"))
    with pytest.raises(MissingInputError, match="'x', read by reads; it is registered, and holds"):
        run(any_backend, pipe, {"x": MemoryDataset()})
    catalog = DataCatalog({"x": MemoryDataset(), "y": MemoryDataset()})
    made = pipeline([node(lambda: 1, None, "x"), node(identity, "x", "y")])
    assert run(any_backend, made, catalog)["y"].load() == 1


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda _: input(), EOFError),
        (
            lambda _: breakpoint() or 1,  # noqa: T100
            bdb.BdbQuit if sys.version_info < (3, 14) else WorkerCrashedError,
        ),
    ],
)
def test_node_that_asks_the_terminal_is_told_where_it_could(process_backend, run, ask, expected):
    """There is none in a worker; from Python 3.14 on, pdb ends by sys.exit then."""
    with pytest.raises(expected) as caught:
        run(process_backend, pipeline(node(ask, "x", "y")), {"x": 1})
    assert any("run on the backend 'sequential'" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ParallelRunner(max_worker=3), "'max_worker'.*Do you mean max_workers, not max_w"),
        (lambda: ThreadRunner(max_worker=3), "of ThreadRunner 'max_worker'; do you mean 'max_wor"),
        (lambda: SequentialRunner(retry=1), "SequentialRunner 'retry'; do you mean 'retries'"),
    ],
)
def test_misspelt_argument_suggests_the_right_one(make, message):
    """Though it could be an option of a backend."""
    with pytest.raises((TypeError, BackendOptionError), match=message):
        make()


def test_runners_show_how_they_were_made():
    """What is as usual is left out."""
    assert repr(ParallelRunner()) == "ParallelRunner('direct')"
    shown = repr(ParallelRunner("process", 3, retries=2, fuse=False))
    assert shown == "ParallelRunner('process', max_workers=3, retries=2, fuse=False)"
    assert repr(ThreadRunner(2, True)) == "ThreadRunner(max_workers=2, is_async=True)"
    assert repr(SequentialRunner()) == "SequentialRunner()"
