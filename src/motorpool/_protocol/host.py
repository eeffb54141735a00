"""What a framework provides whose runner this engine is.

Kedro's nodes, for one, load and save by Kedro's catalog, which logs, validates and words its
errors; and it is Kedro that people expect to hear from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from motorpool._store import OwnedValue
    from motorpool.events import Observer


class NodeCatalog(Protocol):
    """What a running node loads from and saves to.

    Attributes:
        shown: The catalog that hooks are shown.
        takes_none: Whether it says itself that None cannot be saved.
    """

    takes_none: bool

    @property
    def shown(self) -> Any: ...

    def load(self, name: str) -> Any:
        """Load a dataset."""

    def save_owned(self, name: str, owned: OwnedValue) -> None:
        """Save a dataset; its maker has no use for the value any more."""

    def is_empty(self, name: str) -> bool:
        """Whether an output lives in memory, and nothing was saved to it."""

    def confirm(self, name: str) -> None:
        """Confirm a dataset."""


class Host(Protocol):
    """The framework that a run belongs to.

    A copy of it goes to each worker, once a run. Where there is one, the engine does not talk of
    the run itself: no lines for nodes, no hint how to resume.

    Attributes:
        observer: Speaks of the run instead, in the driver.
        keeps_order: Whether nodes that are ready run in the order of the pipeline.
    """

    observer: Observer
    keeps_order: bool

    def view(self, catalog: NodeCatalog) -> NodeCatalog:
        """The catalog as nodes are to see it; in workers, asked for each node.

        Args:
            catalog: The engine's.
        """

    def stand_in(self, plugin: Any) -> Any | None:
        """Something to send to workers for hooks that cannot be pickled, or None.

        Args:
            plugin: The hooks' object.
        """
