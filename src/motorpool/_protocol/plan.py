"""What workers need to know of a run, pickled once: nodes, datasets, hooks and settings.

Each node and dataset is a pickle of its own, so that a worker unpickles only what it runs, and a
function that many nodes share is pickled once.
"""

from __future__ import annotations

import io
import os
import pickle
from array import array
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._datasets.contract import is_ephemeral, pickled_dataset
from motorpool._pipeline.node import Node
from motorpool._pipeline.retry import Retry
from motorpool._protocol.logs import levels
from motorpool._protocol.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from motorpool._protocol.wiring import Wiring
    from motorpool._store import Collector, Pickled, Script, Store, Undefined


class RunName(NamedTuple):
    """What of a run is its own; all else, another run may have in common with it.

    Attributes:
        run_id: The run.
        token: Marks its values, apart from those of others in the same store.
    """

    run_id: str
    token: str


class Settings(NamedTuple):
    """What holds for every node of a run.

    Attributes:
        backend: Name of the backend.
        is_async: Whether inputs and outputs are loaded and saved side by side.
        driver_pid: Process id of the driver, where workers can see it; None elsewhere.
        owned: Whether the worker belongs to Motorpool, which may then set it up.
        threads: Threads that a library may use in a worker.
        folders: Directories to remove when the driver dies.
        log_levels: Level by logger.
        checkpoint: Folder to keep in-memory values in, or None.
        results: Numbers of the datasets that the caller of the run will get, if they are few.
        fuse: Whether values may go from node to node within a worker.
    """

    backend: str
    is_async: bool
    driver_pid: int | None
    owned: bool
    threads: int
    folders: tuple[str, ...]
    log_levels: dict[str, int]
    checkpoint: str | None
    results: frozenset[int] = frozenset()
    fuse: bool = True


class PickledNodes(NamedTuple):
    """Nodes, ready to travel.

    Attributes:
        blob: All pickles, one after the other; in workers, a view of the mapped plan.
        offsets: Where each begins, and where the last ends; a plain node has none.
        functions: Pickles of the functions, by the index that the nodes know them by; and of
            nodes that are no `Node`, as a whole.
        function_of: For each node the index of its function; -1 if it was pickled with it.
        plain: For each node its form if it is no more than a function, which is all that travels;
            or 0. 1 is the usual form, others are numbered from 2.
        problems: What cannot be pickled.
    """

    blob: Any
    offsets: array[int]
    functions: list[Pickled]
    function_of: array[int]
    plain: bytes
    problems: list[Problem]

    def load(
        self, index: int, function: Callable[[int], Any], loads: Callable[[Pickled], Any]
    ) -> Any:
        """Unpickle a node.

        Args:
            index: Which one; none that is plain.
            function: Returns the function of an index; called when the node needs it.
            loads: Unpickles a node of another kind.
        """
        data = memoryview(self.blob)[self.offsets[index] : self.offsets[index + 1]]
        number, parts = pickle.loads(data)
        if parts is None:
            return loads(self.functions[number])
        return _put_together(parts, function(number))


class Plan(NamedTuple):
    """All that a worker needs.

    Attributes:
        settings: What holds for every node.
        nodes: The nodes.
        wiring: Who reads and writes what.
        before: For each node the one before it in its stretch, or -1.
        handed: Numbers of the datasets that nodes may hand to the next of their stretch.
        equipment: What else it needs: `Equipment`, packed and sealed.
        script: What the driver's `__main__` defines.
    """

    settings: Settings
    nodes: PickledNodes
    wiring: Wiring
    before: array[int]
    handed: dict[int, tuple[int, ...]]
    equipment: bytes
    script: Script


_MOST_DESCRIBED = 1000
# What a node is made of, but for its function; read and written as one tuple.
_PARTS = tuple(slot for slot in Node.__slots__ if slot not in {"__weakref__", "func"})
_parts_of = attrgetter(*_PARTS)
_RETRIES = _PARTS.index("retries")
_SETTERS = tuple(vars(Node)[name].__set__ for name in _PARTS)
_new = object.__new__


def _around(node: Any, function: int, *, is_ours: bool) -> bytes:
    """A node with an index in place of its function; no more than the index of one of others'.

    A `Retry` goes without its predicate, which is asked in the driver and may be a lambda.
    """
    if not is_ours:
        return pickle.dumps((function, None), 5)
    parts = _parts_of(node)
    retries = parts[_RETRIES]
    if type(retries) is Retry:
        plain = (retries.count, retries.delay, retries.backoff, retries.max_delay, retries.jitter)
        parts = (*parts[:_RETRIES], plain, *parts[_RETRIES + 1 :])
    return pickle.dumps((function, parts), 5)


def _put_together(parts: tuple[Any, ...], function: Any) -> Node:
    """The node again."""
    node: Node = _new(Node)
    for put, part in zip(_SETTERS, parts, strict=True):
        put(node, part)
    node.func = function
    if isinstance(node.retries, tuple):
        node.retries = Retry(*node.retries)
    return node


def run_settings(
    *, backend: Any, is_async: bool, threads: int, store: Store,
    checkpoint: str | None, fuse: bool, results: Collection[int] = (),
) -> Settings:  # fmt: skip
    """The settings of a run, for its workers."""
    local = backend.capabilities.shares_memory
    return Settings(
        backend=backend.name,
        is_async=is_async,
        driver_pid=os.getpid() if local else None,
        owned=backend.capabilities.restarts,
        threads=threads,
        folders=tuple(getattr(store.client, "folders", ())) if local else (),
        log_levels=levels(),
        checkpoint=checkpoint,
        # Nobody reads a list of more, and to describe a value takes 2 us.
        results=frozenset(results if len(results) <= _MOST_DESCRIBED else ()),
        fuse=fuse,
    )


def pickle_nodes(
    nodes: Sequence[Any], dumps: Callable[..., bytes], script: Collector, plain: bytes = b""
) -> PickledNodes:
    """Pickle nodes one by one; what cannot be pickled is named, with the reason.

    Args:
        nodes: The nodes.
        dumps: The backend's.
        script: Collects the names of `__main__` that they refer to.
        plain: For each node 0 if more than its function has to travel; all by default.
    """
    plain = plain or bytes(len(nodes))
    blob, offsets, function_of = io.BytesIO(), array("Q", [0]), array("i")
    functions: list[Pickled] = []
    index_of: dict[int, int] = {}
    kept_alive: list[Any] = []  # so that an id stays one function's
    problems: list[Problem] = []
    pickled = script.out_of_band(dumps)
    for node, is_plain in zip(nodes, plain, strict=True):
        is_ours = type(node) is Node
        travels = node.func if is_ours else node
        try:
            if id(travels) not in index_of:
                with script.collecting(id(travels)):
                    functions.append(pickled(travels))
                index_of[id(travels)] = len(functions) - 1
                kept_alive.append(travels)
            if not is_plain:
                blob.write(_around(node, index_of[id(travels)], is_ours=is_ours))
        except Exception as error:  # noqa: BLE001, whatever pickling raises is the reason
            problems.append(_unpicklable_node(node, error))
        offsets.append(blob.tell())
        function_of.append(index_of.get(id(travels), -1) if is_ours else -1)
    problems += _undefined_globals(nodes, script.define_all(dumps))
    return PickledNodes(
        blob=pickle.PickleBuffer(blob.getvalue()), offsets=offsets,
        functions=functions, function_of=function_of, plain=plain, problems=problems,
    )  # fmt: skip


def _undefined_globals(nodes: Iterable[Any], undefined: Sequence[Undefined]) -> Iterator[Problem]:
    """The nodes whose functions need a global of the script that cannot be pickled."""
    for node in nodes if undefined else ():
        users = {id(getattr(node, "func", None)), id(node)}
        for each in undefined:
            if not users.isdisjoint(each.users):
                yield _unpicklable_node(node, each.error, f"the global {each.name!r}: ")


def pickle_datasets(
    datasets: Mapping[str, Any], dumps: Callable[[Any], bytes]
) -> tuple[dict[str, bytes], list[Problem]]:
    """Pickle the datasets that workers use themselves.

    Returns:
        Pickles by name, and what cannot be pickled.
    """
    pickles, problems = {}, []
    for name, dataset in datasets.items():
        if is_ephemeral(dataset) and not getattr(dataset, "_SINGLE_PROCESS", False):
            continue  # its value travels, not the dataset
        pickles[name], text = pickled_dataset(name, dataset, dumps)
        if text:
            problems.append(Problem(text, dataset, getattr(dataset, "_SINGLE_PROCESS", False)))
    return pickles, problems


def _unpicklable_node(node: Any, error: Exception, what: str = "") -> Problem:
    text = (
        f"node {node.name!r} cannot be pickled: {what}{type(error).__name__}: {error}. Its "
        "function, or what the function closes over, holds something that belongs to this process."
    )
    return Problem(text, node)
