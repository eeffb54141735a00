"""Nodes and pipelines of other libraries, such as Kedro's, beside our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._pipeline.node import Node, check_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from motorpool._pipeline.retry import Retry

_OF_NODE = ("name", "inputs", "outputs", "run")
_OF_PIPELINE = ("nodes", "node_dependencies", "inputs", "outputs")


class ForeignNode:
    """A node of another library, with settings that only ours have.

    All else is as in that node.

    Args:
        node: The node.
        retries: As for `node`.
        timeout: Likewise.
        backend: Likewise.
        resources: Likewise.
    """

    __slots__ = ("_node", "backend", "resources", "retries", "timeout")

    def __init__(
        self, node: Any, retries: int | Retry | None = None, timeout: float | None = None,
        backend: str | None = None, resources: dict[str, float | str] | None = None,
    ) -> None:  # fmt: skip
        self._node, self.retries, self.timeout, self.backend = node, retries, timeout, backend
        self.resources = resources
        check_settings(node.name, retries, timeout, backend, resources)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return ForeignNode, (self._node, *self._settings().values())

    def __repr__(self) -> str:
        return repr(self._node)

    def with_settings(self, **settings: Any) -> ForeignNode:
        """A copy with other settings."""
        return ForeignNode(self._node, **(self._settings() | settings))

    def _settings(self) -> dict[str, Any]:
        names = ("retries", "timeout", "backend", "resources")  # in the order of the arguments
        return {name: getattr(self, name) for name in names}

    def tagged(self, extra: Iterable[str]) -> ForeignNode:
        """A copy with more tags."""
        node = self._node.tag(list(extra))
        return ForeignNode(node, **self._settings())


def is_node(item: Any) -> bool:
    """Whether something is a node, of ours or of another library."""
    return isinstance(item, Node) or all(hasattr(item, name) for name in _OF_NODE)


def is_pipeline(item: Any) -> bool:
    """Whether something is a pipeline, of ours or of another library."""
    return all(hasattr(item, name) for name in _OF_PIPELINE)


def tagged(node: Any, extra: Iterable[str]) -> Any:
    """A copy of a node with more tags."""
    return node.tagged(extra) if hasattr(node, "tagged") else ForeignNode(node).tagged(extra)


def with_settings(node: Any, **settings: Any) -> Any:
    """A copy of a node with other settings."""
    if not hasattr(node, "with_settings"):
        node = ForeignNode(node)
    return node.with_settings(**settings)
