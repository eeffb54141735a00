"""A node: a function, with the names of the datasets that it reads and writes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from motorpool._pipeline.graph import untranscoded
from motorpool._pipeline.retry import Retry
from motorpool._pipeline.signature import (
    arguments,
    check_arguments,
    default_name,
    function_name,
    names_of,
    outputs_by_name,
)
from motorpool._system.amounts import parse_resources
from motorpool.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from motorpool._pipeline.signature import Names


class Node:
    """A function, with the names of the datasets that it reads and writes.

    Args:
        func: Any callable: function, lambda, closure, partial, bound method.
        inputs: One dataset name, a list in the order of the arguments, a dict of argument to
            name, or None.
        outputs: One dataset name, a list in the order of the returned values, a dict of returned
            key to name, or None.
        name: Unique in a pipeline; by default the function's name and its outputs,
            `fit__model`.
        tags: Words to select nodes by.
        confirms: Datasets to confirm after the node has succeeded.
        retries: How often to try again after a failure, or a `Retry`, which has pauses and
            conditions; None means as the run says.
        timeout: Seconds until a running node is ended; None means as the run says.
        backend: Name of the backend that runs it; None means the run's.
        resources: What it takes while it runs, such as {"cpu": 2, "memory": "4GiB", "gpu": 1}: it
            waits until there is that much that no other node has.

    Raises:
        PipelineError: If any of this does not fit together.
    """

    __slots__ = (
        "__weakref__", "_inputs", "_outputs", "backend", "confirms", "func", "inputs", "name",
        "outputs", "resources", "retries", "tags", "timeout",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, each is a property of its own
        self,
        func: Callable[..., Any],
        inputs: Names,
        outputs: Names,
        *,
        name: str | None = None,
        tags: str | Iterable[str] = (),
        confirms: str | list[str] | None = None,
        retries: int | Retry | None = None,
        timeout: float | None = None,
        backend: str | None = None,
        resources: dict[str, float | str] | None = None,
    ) -> None:
        owner = name if isinstance(name, str) else function_name(func)
        if not callable(func):
            raise PipelineError(f"Node {owner!r}: {func!r} is not a function.", node=owner)
        if inspect.iscoroutinefunction(inspect.unwrap(func)):
            raise PipelineError(
                f"Node {owner!r}: {function_name(func)} is a coroutine function, which no runner "
                "would await. Give the node a function that calls asyncio.run.",
                node=owner,
            )
        self.func = func
        self._inputs = inputs
        self._outputs = outputs
        self.inputs = list(dict.fromkeys(names_of(inputs, "inputs", owner)))
        self.outputs = list(names_of(outputs, "outputs", owner))
        self.confirms = list(names_of(confirms, "confirms", owner))
        self.tags = frozenset([tags] if isinstance(tags, str) else tags)
        self.name = self._checked_name(name)
        self.retries = retries
        self.timeout = timeout
        self.backend = backend
        self.resources = resources
        self._check()

    def _checked_name(self, name: str | None) -> str:
        if name is None:
            return default_name(self.func, tuple(self.inputs), tuple(self.outputs))
        if not isinstance(name, str) or not name.strip() or "," in name:
            raise PipelineError(
                f"The node of {function_name(self.func)} has the name {name!r}; a name is a "
                "non-empty string without commas. Leave it out to get one.",
            )
        return name

    def _check(self) -> None:
        if not self.inputs and not self.outputs:
            raise PipelineError(
                f"Node {self.name!r} has neither inputs nor outputs; give it one of them.",
                node=self.name,
            )
        if len({untranscoded(o) for o in self.outputs}) < len(self.outputs):
            raise PipelineError(
                f"Node {self.name!r} writes one dataset twice: {self.outputs}.", node=self.name
            )
        check_settings(self.name, self.retries, self.timeout, self.backend, self.resources)
        check_arguments(self.func, self._inputs, self.name)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Call the function.

        Args:
            inputs: Dataset name to value, for every input.

        Returns:
            Dataset name to value, for every output; generators if the function is one.

        Raises:
            PipelineError: If the function returns something else than was declared.
        """
        args, kwargs = arguments(self._inputs, inputs)
        return outputs_by_name(self._outputs, self.func(*args, **kwargs), self.name)

    def tagged(self, extra: Iterable[str]) -> Node:
        """A copy of the node with more tags."""
        return self._copy(tags=self.tags | frozenset(extra))

    def with_settings(self, **settings: Any) -> Node:
        """A copy of the node with other `retries`, `timeout`, `backend` or `resources`.

        Raises:
            PipelineError: If a value is none of these.
        """
        copy = self._copy(**settings)
        check_settings(copy.name, copy.retries, copy.timeout, copy.backend, copy.resources)
        return copy

    def _copy(self, **changed: Any) -> Node:
        copy = object.__new__(Node)
        for slot in Node.__slots__[1:]:
            setattr(copy, slot, changed.get(slot, getattr(self, slot)))
        return copy

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the bare function, as if it were no node."""
        return self.func(*args, **kwargs)

    def __repr__(self) -> str:
        func = function_name(self.func)
        return f"Node({self.name!r}: {func}, {self._inputs!r} -> {self._outputs!r})"


def check_settings(owner: str, retries: Any, timeout: Any, backend: Any, resources: Any) -> None:
    """Check what a node says of how it is run.

    Raises:
        PipelineError: If a value is of another kind; names the node.
    """
    _check_retries(owner, retries)
    _check_timeout(owner, timeout)
    _check_backend(owner, backend)
    if resources is not None:
        try:
            parse_resources(resources)
        except ValueError as error:
            raise PipelineError(f"Node {owner!r}: {error}", node=owner) from None


def _check_retries(owner: str, value: Any) -> None:
    try:
        Retry.of(0 if value is None else value)
    except PipelineError:
        raise PipelineError(
            f"Node {owner!r}: retries must be a whole number of at least 0, or a Retry, not "
            f"{value!r}.",
            node=owner,
        ) from None


def _check_timeout(owner: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and value > 0):
        raise PipelineError(
            f"Node {owner!r}: timeout must be a positive number of seconds, not {value!r}.",
            node=owner,
        )


def _check_backend(owner: str, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value):
        raise PipelineError(
            f"Node {owner!r}: backend must be the name of a backend, not {value!r}. A runner "
            "gives names to backends with options: ParallelRunner(backends={'name': ...}).",
            node=owner,
        )
