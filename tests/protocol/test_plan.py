"""What workers need of a run, pickled once."""

import dataclasses
import functools
import logging
import operator
import pickle
import threading
import tracemalloc
from operator import attrgetter

import cloudpickle
import numpy as np
import pytest

from motorpool import (
    Dataset,
    MemoryDataset,
    Node,
    Retry,
    create_hook_manager,
    hookimpl,
    node,
    pipeline,
)  # fmt: skip
from motorpool._protocol.hooks import load_hooks, pickle_hooks
from motorpool._protocol.messages import envelope_head
from motorpool._protocol.plan import pickle_datasets, pickle_nodes
from motorpool._store import Collector, dumps
from motorpool._store.out_of_band import leave_out

FIELDS = attrgetter("name", "inputs", "outputs", "tags", "timeout", "retries", "confirms")


def loaded(pickled, index):
    """A node as a worker has it."""
    return pickled.load(
        index, lambda i: pickled.functions[i].load(pickle.loads), lambda p: p.load(pickle.loads)
    )


def test_pickled_nodes_keep_settings_tags_and_closures():
    """Settings, tags, and a function that closes over something."""
    offset = 5
    nodes = [
        node(lambda x: x + offset, "x", "y", name="a", tags=["t"], timeout=3, retries=2),
        node(lambda y: (y, y), "y", ["p", "q"], name="b", confirms="x"),
    ]
    pickled = pickle_nodes(nodes, cloudpickle.dumps, Collector())
    assert pickled.problems == []
    for index, original in enumerate(nodes):
        copy = loaded(pickled, index)
        assert FIELDS(copy) == FIELDS(original)
    assert loaded(pickled, 0).run({"x": 1}) == {"y": 6}


def test_function_of_many_nodes_is_pickled_once():
    """And large data that it closes over with it."""
    data = b"x" * 100_000

    def shared(x):
        return x, len(data)

    nodes = [node(shared, "x", f"y{i}", name=f"n{i}") for i in range(50)]
    pickled = pickle_nodes(nodes, cloudpickle.dumps, Collector())
    assert len(pickled.functions) == 1
    assert list(pickled.function_of) == [0] * 50
    assert memoryview(pickled.blob).nbytes < 50 * 1000


def test_predicate_of_a_retry_stays_with_the_driver():
    """It may be a lambda that holds what cannot be pickled."""
    lock = threading.Lock()
    retry = Retry(count=3, delay=0.5, on=lambda _error: lock.locked())
    pickled = pickle_nodes([node(str, "x", "y", retries=retry)], cloudpickle.dumps, Collector())
    assert pickled.problems == []
    copy = loaded(pickled, 0).retries
    assert (copy.count, copy.delay) == (3, 0.5)


def test_node_of_another_kind_is_pickled_as_it_is():
    """A subclass may have more than a node has."""

    class Marked(Node):
        mark = "kept"

    marked = Marked(len, "x", "y", name="n")
    pickled = pickle_nodes([marked], cloudpickle.dumps, Collector())
    copy = loaded(pickled, 0)
    assert (copy.mark, copy.run({"x": "abc"})) == ("kept", {"y": 3})


def test_every_node_that_cannot_be_pickled_is_named():
    """With the reason, and the node itself; the others are there."""
    lock = threading.Lock()
    nodes = [
        node(lambda x: (x, lock), "x", "a", name="first"),
        node(len, "x", "b", name="fine"),
        node(lambda x: (lock, x), "x", "c", name="second"),
    ]
    pickled = pickle_nodes(nodes, cloudpickle.dumps, Collector())
    assert [problem.subject for problem in pickled.problems] == [nodes[0], nodes[2]]
    for problem, name in zip(pickled.problems, ["first", "second"], strict=True):
        assert f"node {name!r} cannot be pickled: TypeError" in problem.text
    assert loaded(pickled, 1).name == "fine"


class OneProcess(Dataset):
    """A dataset that stays where it is."""

    _SINGLE_PROCESS = True

    def load(self):
        return 1

    def save(self, data):
        pass


class WithLock(OneProcess):
    """A dataset that does not pickle."""

    _SINGLE_PROCESS = False

    def __init__(self):
        self.lock = threading.Lock()


def test_datasets_that_cannot_travel_are_named():
    """In-memory ones need not: their values do."""
    datasets = {"memory": MemoryDataset(threading.Lock()), "one": OneProcess(), "lock": WithLock()}
    pickles, problems = pickle_datasets(datasets, cloudpickle.dumps)
    assert "memory" not in pickles
    found = {problem.subject: problem for problem in problems}
    assert set(found) == {datasets["one"], datasets["lock"]}
    assert found[datasets["one"]].in_process_only
    assert not found[datasets["lock"]].in_process_only


class Hooks:
    """One that workers call, and one that they do not."""

    @hookimpl
    def after_node_run(self, node):
        return f"after {node}"


class DriversHooks:
    """Of no use in a worker, and not to be pickled."""

    def __init__(self):
        self.lock = threading.Lock()

    @hookimpl
    def motorpool_register_observers(self):
        return []


def test_hooks_of_nodes_travel_and_others_stay():
    """So these may hold what cannot be pickled."""
    manager = create_hook_manager(Hooks(), DriversHooks())
    data, problems = pickle_hooks(manager, cloudpickle.dumps, None)
    assert problems == []
    copy = load_hooks(data, cloudpickle.loads)
    called = copy.hook.after_node_run(
        node="n", catalog=None, inputs={}, outputs={}, is_async=False, run_id="", attempt=1
    )
    assert called == ["after n"]
    assert [type(plugin) for plugin in copy.get_plugins()] == [Hooks]


@pytest.mark.parametrize("manager", [None, create_hook_manager()])
def test_no_hooks_give_no_pickle(manager):
    """Neither for workers to load nor to look at."""
    data, problems = pickle_hooks(manager, cloudpickle.dumps, None)
    assert (data, problems) == (None, [])
    assert load_hooks(data, cloudpickle.loads) is None


class Holder:
    """Has a large attribute."""

    def __init__(self, array):
        self.array = array

    def method(self, i):
        """One element."""
        return self.array[i]


def _functions_with(array):
    """Functions that bring an array along in each way there is, and where they have it."""
    return {
        "variable 'array'": lambda i: array[i],
        "argument 1": functools.partial(operator.getitem, array),
        "attribute 'array'": Holder(array).method,
        "default for 'a'": lambda i, a=array: a[i],
    }


def test_functions_share_the_array_that_they_bring_along():
    """It is there once, however they refer to it, and not within any pickle."""
    array = np.arange(500_000.0)
    nodes = [
        node(function, "i", f"y{n}", name=f"n{n}")
        for n, function in enumerate(_functions_with(array).values())
    ]
    pickled = pickle_nodes(nodes, dumps, Collector())
    assert len({id(buffer) for p in pickled.functions for buffer in p.buffers}) == 1
    assert sum(len(p.stream) for p in pickled.functions) < 10_000
    views = []
    stream = dumps(pickled.functions, buffer_callback=leave_out(views))
    assert sum(view.nbytes for view in views) == array.nbytes
    copies = pickle.loads(stream, buffers=[bytearray(view) for view in views])
    assert [copy.load(pickle.loads)(7) for copy in copies] == [7.0] * 4


def test_large_data_of_a_function_is_not_copied_in_the_driver(run):
    """Though the plan of few nodes goes with the unit if it is small."""
    data = np.ones(8_000_000)
    tracemalloc.start()
    try:
        result = run("direct", pipeline(node(lambda i: data[i], "i", "y")), {"i": 7})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result["y"].load() == 1.0
    assert peak < data.nbytes / 2


def test_functions_with_much_data_are_told_of(process_backend, run, caplog):
    """With the node, the variable and the size; one line for each variable, not for each node."""
    caplog.set_level(logging.INFO, logger="motorpool")
    array = np.arange(500_000.0)
    ways = _functions_with(array)
    nodes = [
        node(function, "i", f"y{i} {n}", name=f"n{i} {n}")
        for i in range(2)
        for n, function in enumerate(ways.values())
    ]
    small = node(functools.partial(operator.getitem, np.arange(9)), "i", "small", name="small")
    result = run(process_backend, pipeline([*nodes, small]), {"i": 7})
    assert {float(result[each.outputs[0]].load()) for each in nodes} == {7.0}
    lines = [r.getMessage() for r in caplog.records if "MB with it" in r.getMessage()]
    assert len(lines) == 4
    for n, where in enumerate(ways):
        begin = f"The function of node 'n0 {n}' and 1 more has 4.0 MB with it, in its {where}."
        assert sum(line.startswith(begin) for line in lines) == 1, lines


@dataclasses.dataclass
class Unhashable:
    """A client as a store of somebody else's may have it: equal to others, and without a hash."""

    place: str


class Slotted:
    """Likewise, without weak references."""

    __slots__ = ()


@pytest.mark.parametrize("client", [Unhashable("here"), Slotted()])
def test_client_of_any_class_travels(client):
    """One that can be remembered is pickled once; others each time."""
    for _ in range(2):
        head = envelope_head(client, b"plan", b"key", "/here")
        pickled, *rest = pickle.loads(head)
        assert type(pickle.loads(pickled)) is type(client)
        assert rest == [b"plan", b"key", "/here"]
