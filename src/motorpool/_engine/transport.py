"""How nodes and data get to workers and back: what every way has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor, Future

    from motorpool._protocol.messages import Order, UnitResult
    from motorpool._protocol.status import Started
    from motorpool._store import Payload, Store

# How often, in seconds, to look for what workers write while an envelope is under way: soon enough
# for who watches, and a listing of the folder (50 us) for each outcome would double what a short
# node costs.
POLL_INTERVAL = 0.2


class Transport(ABC):
    """One run's way to the workers and back.

    Attributes:
        result_type: What the futures of units have as their result.
    """

    result_type: ClassVar[type[Any]]

    @abstractmethod
    def submit(self, executor: Executor, order: Order) -> Future[Any]:
        """Send a unit off; its nodes run one after the other."""

    @abstractmethod
    def read(self, result: Any) -> UnitResult:
        """What a future has returned, or `poll`."""

    def register(self, result: UnitResult) -> None:  # noqa: B027, where the catalog itself is used
        """Take over the values that have come with a result, which has not come before."""

    @abstractmethod
    def release(self, names: Sequence[str]) -> list[str]:
        """Give back the memory of datasets; return those of which there was any here."""

    def is_kept(self, node: int, result: UnitResult) -> bool:  # noqa: ARG002, where nothing is handed
        """Whether all that a node has made is where other workers find it."""
        return True

    @abstractmethod
    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The datasets of these names, able to load after everything here is closed."""

    def payload(self, name: str, store: Store) -> Payload | None:  # noqa: ARG002, where none is
        """What a value is in a store, if it is there."""
        return None

    def lend(self, name: str) -> Callable[[], Any] | None:  # noqa: ARG002, as below
        """What loads a value that was made here, for as long as it is kept.

        Returns:
            None if the value is in the catalog of the run.
        """
        return None

    def receive(self, name: str) -> None:  # noqa: B027, where the catalog itself is used
        """Bring a value from the catalog of the run to where the workers can read it.

        Raises:
            DatasetError: If it cannot be brought there.
        """

    def running(self, node: int) -> Started | None:  # noqa: ARG002, for subclasses that track starts
        """Which worker has started a node that it has not finished, if starts are tracked."""
        return None

    def started(self, nodes: Iterable[int]) -> dict[int, Started]:
        """Those of some nodes that workers are at, as far as that is known."""
        stamps = ((node, self.running(node)) for node in nodes)
        return {node: stamp for node, stamp in stamps if stamp is not None}

    def finished(self, node: int) -> Started | None:  # noqa: ARG002, for subclasses that track starts
        """Which worker has finished a node whose outcome is not here, if starts are tracked."""
        return None

    @property
    def knows_running(self) -> bool:
        """Whether a node for which `running` has nothing is not running."""
        return self.tracks_starts

    @property
    def tracks_starts(self) -> bool:
        """Whether `running` knows: there is a status table."""
        return False

    def may_have_started(self, node: int) -> bool:
        """Whether a worker that died may have been at the node."""
        known = self.running(node) or self.finished(node)
        return not self.tracks_starts or known is not None

    def abandon(self, node: int, *, handed: bool = False) -> None:  # noqa: B027, as `press`
        """Give up what a try of a node has left that never came to an outcome.

        Args:
            node: Which one.
            handed: It has come to an outcome: give up only what the next node was handed of it.
        """

    def last_words(self, pid: int | None) -> str:  # noqa: ARG002, for subclasses that track starts
        """What a worker wrote when it died of a signal; empty if nothing is known."""
        return ""

    def stop(self) -> None:  # noqa: B027, not every transport has anything to do
        """Ask workers to start nothing more."""

    def go_on(self) -> None:  # noqa: B027, not every transport has anything to do
        """Let workers start nodes again: what made them stop was lost, or is tried again."""

    def near(self, nodes: Sequence[int]) -> int | None:  # noqa: ARG002, where it makes no difference
        """Process id of the worker that has made the largest of what nodes read; None if any."""
        return None

    def press(self, *, waiting: bool) -> None:  # noqa: B027, not every transport has anything to do
        """Let workers know whether nodes wait for them."""

    def end(self) -> None:  # noqa: B027, not every transport has anything to do
        """All that was sent has come back, and nothing went wrong: no worker is at anything."""

    def poll(self, interval: float = 0.0) -> list[Any]:  # noqa: ARG002, not every transport can
        """Emit log records of workers, and return outcomes that came ahead of their futures.

        Args:
            interval: Seconds since the last look below which it is not worth another one.

        Returns:
            Results, for `read`.
        """
        return []

    def close(self) -> None:  # noqa: B027, not every transport has anything to do
        """Give back what is not a result."""
