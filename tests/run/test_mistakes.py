"""What people pass by mistake: each gets an error that says what to pass, before anything runs."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from functions import FileDataset, Unpicklable, identity
from pluggy import PluginValidationError

from motorpool import (
    Capabilities,
    ExecutorBackend,
    Isolation,
    ParallelRunner,
    Pipeline,
    create_hook_manager,
    hookimpl,
    node,
    pipeline,
)
from motorpool.errors import (
    BackendOptionError,
    BrokenBackendError,
    DatasetError,
    PipelineError,
    RemoteError,
    ValidationError,
)

PIPE = pipeline(node(identity, "x", "y"))


class OnThreads(ExecutorBackend):
    """A sound backend, to break in one place."""

    capabilities = Capabilities(isolation=Isolation.THREAD)

    def _get_executor(self, max_workers):
        return ThreadPoolExecutor(max_workers)


def broken(**changes):
    """A backend's class with something else in one place."""
    return type("Broken", (OnThreads,), changes)


def refuse(*_):
    """Stand in for a cluster that is down."""
    raise RuntimeError("no cluster")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_get_executor": lambda *_: None}, "'Broken' made None, which is no .*Executor"),
        ({"_get_executor": refuse}, "'Broken' cannot make an executor: RuntimeError: no cluster"),
        ({"_get_executor": lambda self: None}, "does not take the number of workers"),
        ({"capabilities": {"isolation": "thread"}}, r"write Capabilities\(isolation="),
        ({"capabilities": Capabilities(isolation="thread")}, r"write Capabilities\(isolation="),
        ({"options_type": dict}, "write a frozen dataclass, or None"),
    ],
)
def test_broken_backend_is_named(changes, message):
    """As an instance; plug-ins go through the same checks when they are asked for."""
    with pytest.raises(BrokenBackendError, match=message):
        ParallelRunner(broken(**changes)()).run(PIPE, {"x": 1})


def test_sound_backend_runs():
    """So it is the change that was refused."""
    assert ParallelRunner(OnThreads()).run(PIPE, {"x": 1})["y"].load() == 1


@pytest.mark.parametrize("wrong", [None, 3, [node(identity, "a", "b")], "pipeline.py"])
def test_argument_that_is_no_pipeline_is_refused(wrong):
    """It says what is one."""
    with pytest.raises(ValidationError, match=r"is no pipeline. Pass Pipeline\("):
        ParallelRunner("threads").run(wrong, {})


@pytest.mark.parametrize("wrong", [None, 3, ["x"]])
def test_argument_that_is_no_catalog_is_refused(wrong):
    """It says what is one."""
    with pytest.raises(ValidationError, match="is no catalog. Pass a DataCatalog"):
        ParallelRunner("threads").run(PIPE, wrong)


def test_plugin_given_as_hook_manager_is_refused():
    """Its hooks would not be called."""
    with pytest.raises(ValidationError, match=r"Pass create_hook_manager\(plugin\)"):
        ParallelRunner("threads").run(PIPE, {"x": 1}, object())
    with pytest.raises(PluginValidationError, match="implements no hook: mark its functions"):
        create_hook_manager(object())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observers": 3}, "observers must be a list of observers, not 3"),
        ({"is_async": "yes"}, "is_async must be True or False, not 'yes'"),
        ({"runs_folder": 3}, "runs_folder must be a path, not 3"),
    ],
)
def test_setting_of_another_type_is_refused(arguments, message):
    """Named, with what they should be."""
    with pytest.raises(ValidationError, match=message):
        ParallelRunner("threads", **arguments)


def test_a_pipeline_is_made_of_nodes():
    """One node may stand for itself; a bare function is none, nor is a coroutine function."""
    assert Pipeline(node(identity, "x", "y")).inputs() == {"x"}
    with pytest.raises(PipelineError, match="made of nodes, and <built-in function abs> is none"):
        Pipeline([abs])

    async def later(x):
        return x

    with pytest.raises(PipelineError, match="later is a coroutine function"):
        node(later, "x", "y")


@dataclass(frozen=True)
class ListOptions:
    """Options with containers."""

    tags: list[str] = field(default_factory=lambda: ["a"])
    sizes: tuple[int, ...] = ()


def test_options_may_be_lists():
    """Of checked items; with commas on a command line."""
    kind = broken(options_type=ListOptions)
    assert kind().options.tags == ["a"]
    assert kind(tags="b, c", sizes="1,2").options == ListOptions(["b", "c"], (1, 2))
    assert kind(sizes=(3,)).options.sizes == (3,)
    with pytest.raises(BackendOptionError, match="expected int, not 'x'"):
        kind(sizes="1,x")
    with pytest.raises(BackendOptionError, match=r"expected list, not \('a',\)"):
        kind(tags=("a",))
    with pytest.raises(BackendOptionError, match="expected str, not 1"):
        kind(tags=[1])


def test_generator_that_yields_nothing_is_an_error(any_backend, run):
    """Its in-memory output would have no value, and loading it would not say why."""

    def nothing(x):
        yield from ()

    with pytest.raises(DatasetError, match="yielded nothing for the dataset 'y'"):
        run(any_backend, pipeline(node(nothing, "x", "y")), {"x": 1})


def test_exception_whose_class_cannot_be_pickled_is_described(process_backend, run):
    """Its type, its text, and the obstacle."""

    def fail(x):
        class StayingError(Exception):
            numbers = (i for i in range(3))

        raise StayingError(1)

    with pytest.raises(RemoteError, match=r"StayingError: 1 .*cannot pickle 'generator'"):
        run(process_backend, pipeline(node(fail, "x", "y")), {"x": 1})


class Structural:
    """Has a dataset's methods, and does not say that it is one."""

    def load(self):
        return 1

    def save(self, data):
        raise AssertionError("it is data")


def test_output_registered_as_what_only_looks_like_a_dataset_is_refused(any_backend):
    """Nothing would be saved to it; the way out is named, and works."""
    pipe = pipeline(node(lambda x: x + 1, "x", "y"))
    with pytest.raises(ValidationError, match=r"'y' is a Structural.*Dataset\.register\(Struct"):
        ParallelRunner(any_backend).run(pipe, {"x": 1, "y": Structural()})


def test_input_that_only_looks_like_a_dataset_is_noted_on_a_failure(local_backend):
    """It is data, and the node has it; if that fails, the hint is there."""
    pipe = pipeline(node(lambda x: x + 1, "x", "y"))
    with pytest.raises(TypeError) as caught:
        ParallelRunner(local_backend).run(pipe, {"x": Structural()})
    assert "derive Structural from motorpool.Dataset" in "".join(caught.value.__notes__)


def test_output_that_cannot_be_pickled_says_what_to_do(process_backend, run):
    """The dataset, its type, and where such values can stay."""
    with pytest.raises(Exception, match="pickle") as caught:
        run(process_backend, pipeline(node(lambda x: sys._getframe(), "x", "y")), {"x": 1})
    notes = "".join(caught.value.__notes__)
    assert "while saving the dataset 'y'" in notes
    assert "run on threads or sequential" in notes


def lines_of(backend, pipe, data):
    """What is said of a pipeline that a backend cannot run, a line each."""
    with pytest.raises(ValidationError) as caught:
        ParallelRunner(backend).run(pipe, data)
    return str(caught.value).splitlines()[1:]


def test_mismatch_names_the_node_its_need_and_the_backends_that_have_it(tmp_path):
    """A line each: a lock that only dill can pickle, an input that none can, a dataset."""
    lock, here = threading.Lock(), FileDataset(tmp_path / "here")
    here._SINGLE_PROCESS = True
    pipe = pipeline(
        [
            node(lambda x: lock.locked(), "x", "y", name="locks"),
            node(identity, "unfit", "z", name="reads"),
        ]
    )
    (line,) = lines_of("process", pipe, {"x": 1, "unfit": 2})
    assert "node 'locks' cannot be pickled: TypeError: cannot pickle '_thread.lock'" in line
    assert line.endswith("These can: multiprocess, sequential, threads.")
    (line,) = lines_of("direct", pipeline(pipe.nodes[1:]), {"unfit": Unpicklable()})
    assert "the input 'unfit', a Unpicklable, cannot be pickled" in line
    assert line.endswith("These can: sequential, threads.")
    (line,) = lines_of("direct", pipeline(node(identity, "here", "z")), {"here": here})
    assert line.endswith("These can: sequential, threads.")


def test_mismatch_of_a_hook_names_the_backends_that_have_it():
    """Which keep the object where it is."""

    class Hooks:
        def __reduce__(self):
            raise TypeError("stays here")

        @hookimpl
        def before_node_run(self, node):
            pass

    hooks = create_hook_manager(Hooks())
    with pytest.raises(ValidationError, match="These can: sequential, threads."):
        ParallelRunner("direct").run(pipeline(node(identity, "x", "y")), {"x": 1}, hooks)


def test_checks_of_a_runner_of_ones_own_are_reported_with_all_others(tmp_path):
    """One that is derived from ours may refuse nodes and datasets; nothing has run then."""

    class Strict(ParallelRunner):
        def _validate_nodes(self, nodes):
            raise ValidationError(f"{len(list(nodes))} nodes are too many")

        def _validate_catalog(self, catalog):
            raise ValidationError(f"{sorted(catalog)} are too many")

    lock, mark = threading.Lock(), tmp_path / "ran"
    nodes = [
        node(lambda x: mark.touch() or x, "x", "y", name="a"),
        node(lambda y: (lock, y), "y", "z", name="b"),
    ]
    with pytest.raises(ValidationError) as caught:
        Strict("direct", max_workers=1).run(pipeline(nodes), {"x": 1})
    for part in ("2 nodes are too many", "['x', 'y', 'z'] are", "node 'b' cannot be pickled"):
        assert part in str(caught.value)
    assert not mark.exists()
