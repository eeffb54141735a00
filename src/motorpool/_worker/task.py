"""Runs one node, in whatever process it is: load, call, save, with the hooks in between."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from time import perf_counter
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._datasets.contract import looks_like_dataset
from motorpool._store import OwnedValue
from motorpool._system.exceptions import add_note
from motorpool.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from motorpool._pipeline.form import Form
    from motorpool._protocol.host import NodeCatalog


class Hooks:
    """Calls the hooks that are implemented, and costs nothing for the others.

    Args:
        manager: A pluggy manager, of this project or of Kedro, or None.
    """

    def __init__(self, manager: Any | None) -> None:
        self._relay = getattr(manager, "hook", None)
        self._active = {
            name
            for name, caller in vars(self._relay).items()
            if hasattr(caller, "get_hookimpls") and caller.get_hookimpls()
        } if self._relay is not None else set()  # fmt: skip

    def __bool__(self) -> bool:
        """Whether any hook is implemented."""
        return bool(self._active)

    def has(self, name: str) -> bool:
        """Whether a hook is implemented."""
        return name in self._active

    def call(self, name: str, **arguments: Any) -> list[Any]:
        """Call a hook; return what its implementations returned, without the Nones."""
        if name not in self._active:
            return []
        result = getattr(self._relay, name)(**arguments)
        return result if isinstance(result, list) else []


class FunctionNode(NamedTuple):
    """A node that is no more than a function.

    Attributes:
        name: Of the node.
        inputs: Names of what it reads, each once.
        outputs: Names of what it returns.
        form: How it is called, and what it returns.
        func: The function.
    """

    name: str
    inputs: list[str]
    outputs: list[str]
    form: Form
    func: Callable[..., Any]

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Call the function; see `Node.run`."""
        args, kwargs = self.form.arguments([inputs[name] for name in self.inputs])
        return self.form.results(self.func(*args, **kwargs), self.outputs, self.name)


class NodeRun:
    """One try of a node.

    Args:
        node: The node; anything with `name`, `inputs`, `outputs` and `run(inputs)`.
        catalog: Where its data are.
        hooks: Called around the node.
        is_async: Load inputs and save outputs side by side, with threads.
        run_id: The run that it is part of.
        attempt: Which try it is, from 1.
    """

    def __init__(
        self, node: Any, catalog: NodeCatalog, hooks: Hooks, *, is_async: bool, run_id: str,
        attempt: int,
    ) -> None:  # fmt: skip
        self._node = node
        self._catalog = catalog
        self._hooks = hooks
        self._is_async = is_async
        self._run_id = run_id
        self._attempt = attempt
        #: Seconds that it has taken so far to load, to call and to save.
        self.load = self.call = self.save = 0.0

    def __call__(self) -> None:
        """Load, call, save, confirm.

        Raises:
            Exception: Whatever the node, a dataset or a hook raises.
        """
        names = self._node.inputs
        began = perf_counter()
        inputs = dict(zip(names, self._each(self._load, names), strict=True))
        self.load = perf_counter() - began
        if self._hooks and self._hooks.has("before_node_run"):
            inputs |= self._replaced_inputs(inputs)
        outputs = self._outputs(inputs)
        self.save_all(outputs, inputs)
        for name in getattr(self._node, "confirms", None) or ():
            self._catalog.confirm(name)

    def _outputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Call the node's function."""
        began = perf_counter()
        try:
            outputs: dict[str, Any] = self._node.run(inputs)
        except Exception as error:
            note_datasets(error, inputs)
            self._report(error, inputs)
            raise
        finally:
            self.call = perf_counter() - began
        if self._hooks and self._hooks.has("after_node_run"):
            self._hooks.call("after_node_run", outputs=outputs, **self._context(inputs))
            outputs = dict(outputs)  # the hook may have kept its own
        return outputs

    def save_all(self, outputs: dict[str, Any], inputs: dict[str, Any]) -> None:
        """Save what the node has returned, chunk by chunk if it is a stream.

        Args:
            outputs: By name; taken out of it, so that nobody else has them.
            inputs: For the hooks.
        """
        if is_stream(self._node, outputs):
            for name, chunk in self._chunks(outputs, inputs):
                began = perf_counter()
                self._save((name, OwnedValue(chunk)))
                self.save += perf_counter() - began
            self._check_chunks(outputs)
            return
        last = not (self._hooks and self._hooks.has("after_dataset_saved"))
        began = perf_counter()
        names = list(outputs)
        self._each(self._save, [(n, OwnedValue(outputs.pop(n), last=last)) for n in names])
        self.save = perf_counter() - began

    def _each(self, action: Callable[[Any], Any], items: Collection[Any]) -> list[Any]:
        if not self._is_async or len(items) < 2:  # noqa: PLR2004, one item has nothing beside it
            return list(map(action, items))
        contexts = [copy_context() for _ in items]  # a context is for one thread at a time
        with ThreadPoolExecutor(len(items)) as pool:
            return list(pool.map(lambda context, item: context.run(action, item), contexts, items))

    def _load(self, name: str) -> Any:
        hooks = self._hooks
        if hooks:
            hooks.call("before_dataset_loaded", dataset_name=name, node=self._node)
        try:
            data = self._catalog.load(name)
        except Exception as error:
            note_loading(error, name)
            raise
        if hooks:
            hooks.call("after_dataset_loaded", dataset_name=name, data=data, node=self._node)
        return data

    def _save(self, item: tuple[str, OwnedValue]) -> None:
        name, owned = item
        if owned.value is None and not self._catalog.takes_none:
            raise DatasetError(
                f"The node {self._node.name!r} returned None for the dataset {name!r}. None "
                "cannot be saved: return a value, or take the dataset out of the node's outputs.",
                node=self._node.name,
                dataset=name,
            )
        about = {"dataset_name": name, "node": self._node} if self._hooks else {}
        if about:
            self._hooks.call("before_dataset_saved", data=owned.value, **about)
        try:
            self._catalog.save_owned(name, owned)
        except Exception as error:
            add_note(error, f"while saving the dataset {name!r}, a {type(owned.value).__name__}")
            raise
        if about:
            self._hooks.call("after_dataset_saved", data=owned.value, **about)

    def _replaced_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        replaced: dict[str, Any] = {}
        for answer in self._hooks.call("before_node_run", **self._context(inputs)):
            if not isinstance(answer, dict):
                raise TypeError(
                    "A before_node_run hook must return None or a dict of dataset name to value, "
                    f"not {type(answer).__name__}: {answer!r}"
                )
            replaced |= answer
        return replaced

    def _chunks(
        self, outputs: dict[str, Any], inputs: dict[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """Take one chunk for each output in turn, until all streams end."""
        streams = dict(outputs)
        while streams:
            for name, stream in list(streams.items()):
                began = perf_counter()
                try:
                    chunk = next(stream, _END)
                except Exception as error:
                    self._report(error, inputs)
                    raise
                self.call += perf_counter() - began
                if chunk is _END:
                    del streams[name]
                else:
                    yield name, chunk

    def _check_chunks(self, outputs: dict[str, Any]) -> None:
        """An append-only file may do without chunks; a value in memory has to be one."""
        for name in outputs:
            if self._catalog.is_empty(name):
                raise DatasetError(
                    f"The node {self._node.name!r} yielded nothing for the dataset {name!r}, "
                    "which keeps its last chunk in memory. Let it yield at least once.",
                    node=self._node.name,
                    dataset=name,
                )

    def _report(self, error: Exception, inputs: dict[str, Any]) -> None:
        self._hooks.call("on_node_error", error=error, **self._context(inputs))

    def _context(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {
            "node": self._node,
            "catalog": self._catalog.shown,
            "inputs": inputs,
            "is_async": self._is_async,
            "run_id": self._run_id,
            "attempt": self._attempt,
        }


_END = object()


def note_loading(error: BaseException, name: str) -> None:
    """Note on an error that a dataset was being loaded."""
    add_note(error, f"while loading the dataset {name!r}")


def note_datasets(error: BaseException, inputs: Mapping[str, Any]) -> None:
    """Note on a node's error which of its inputs are datasets that no one has loaded."""
    for name, value in inputs.items():
        if looks_like_dataset(value):
            kind = type(value).__name__
            hint = f"derive {kind} from motorpool.Dataset if it is meant to be loaded"
            add_note(error, f"The input {name!r} is a {kind} itself; {hint}.")


def is_stream(node: Any, outputs: dict[str, Any]) -> bool:
    """Whether the outputs are chunks to save one after the other.

    So they are if the node's function is a generator function, seen through decorators as well;
    any other iterable is a value.
    """
    for value in outputs.values():
        if not hasattr(value, "__next__") or not isinstance(value, Iterator):
            return False  # the first question takes a tenth of the second one's time
    generators = all(isinstance(value, GeneratorType) for value in outputs.values())
    return bool(outputs) and (generators or is_generator(node))


def is_generator(node: Any) -> bool:
    """Whether a node's function is a generator function."""
    return inspect.isgeneratorfunction(inspect.unwrap(getattr(node, "func", node)))
