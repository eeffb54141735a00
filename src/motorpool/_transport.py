"""How nodes and data get to workers and back; here, as objects of this process."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import cloudpickle

from motorpool import _process
from motorpool._checkpoint import keep_dataset
from motorpool._datasets import confirm_dataset, dataset_exists, is_ephemeral, release_dataset
from motorpool._failure import as_failure
from motorpool._task import Hooks, NodeRun, Outcome
from motorpool.catalog import MemoryDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor, Future

    from motorpool._journal import Started
    from motorpool._store import Parcel

# How often, in seconds, to look for what workers write while an envelope is under way: soon enough
# for who watches, and a listing of the folder (50 us) for each outcome would double what a short
# node costs.
POLL_INTERVAL = 0.2


class RunCatalog(dict[str, Any]):
    """The datasets that one run uses: the user's, and in-memory ones for names it does not have.

    Args:
        catalog: The user's; anything with `get(name)` and `in`.
        names: The datasets that the run uses.

    Attributes:
        registered: The names that the user's catalog has.
    """

    def __init__(self, catalog: Any, names: Iterable[str]) -> None:
        super().__init__()
        self.registered: set[str] = set()
        for name in sorted(names):
            known = name in catalog
            self[name] = catalog.get(name) if known else MemoryDataset()
            if known:
                self.registered.add(name)

    def load(self, name: str) -> Any:
        """Load a dataset."""
        return self[name].load()

    def save(self, name: str, data: Any) -> None:
        """Save a dataset."""
        self[name].save(data)

    def give(self, name: str, parcel: Parcel) -> None:
        """Save a dataset."""
        self[name].save(parcel.value)

    def is_empty(self, name: str) -> bool:
        """Whether an output lives in memory, and nothing was saved to it."""
        return is_ephemeral(self[name]) and not dataset_exists(self[name])

    def confirm(self, name: str) -> None:
        """Confirm a dataset."""
        confirm_dataset(name, self[name])


class Item(NamedTuple):
    """One try of a node, to be sent to a worker.

    Attributes:
        node: Which one.
        ticket: No other try of any node has the same.
        attempt: Which try it is, from 1; one that was lost does not count.
        holds: Whether a failure may stop the run: then the worker itself sees to it that nothing
            is started until `go_on`.
    """

    node: int
    ticket: int
    attempt: int
    holds: bool


class Transport(ABC):
    """One run's way to the workers and back."""

    @abstractmethod
    def submit(self, executor: Executor, items: Sequence[Item]) -> Future[Any]:
        """Send nodes off, to run one after the other."""

    @abstractmethod
    def settle(self, result: Any, wanted: Callable[[int, int], bool]) -> list[Outcome]:
        """Read what a future has returned, and register the outputs of what succeeded.

        Args:
            result: What came.
            wanted: Whether an outcome is of interest, by node and ticket; it may have come before.
        """

    @abstractmethod
    def release(self, name: str) -> bool:
        """Give back a dataset's memory; false if it holds none here."""

    @abstractmethod
    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The datasets of these names, able to load after everything here is closed."""

    def running(self, node: int) -> Started | None:  # noqa: ARG002, for those who can tell
        """Which worker has started a node that it has not finished, where that can be told."""
        return None

    def finished(self, node: int) -> Started | None:  # noqa: ARG002, for those who can tell
        """Which worker has finished a node whose outcome is not here, where that can be told."""
        return None

    @property
    def has_journal(self) -> bool:
        """Whether `running` can tell."""
        return False

    def may_have_started(self, node: int) -> bool:
        """Whether a worker that died may have been at the node."""
        known = self.running(node) or self.finished(node)
        return not self.has_journal or known is not None

    def abandon(self, node: int, *, handed: bool = False) -> None:  # noqa: B027, as `press`
        """Give up what a try of a node has left that never came to an outcome.

        Args:
            node: Which one.
            handed: It has come to an outcome: give up only what the next node was handed of it.
        """

    def last_words(self, pid: int | None) -> str:  # noqa: ARG002, for those who can tell
        """What a worker wrote when it died of a signal; empty if nothing is known."""
        return ""

    def stop(self) -> None:  # noqa: B027, not every transport has anything to do
        """Ask workers to start nothing more."""

    def go_on(self) -> None:  # noqa: B027, not every transport has anything to do
        """Let workers start nodes again: what made them stop was lost, or is tried again."""

    def press(self, *, waiting: bool) -> None:  # noqa: B027, not every transport has anything to do
        """Let workers know whether nodes wait for them."""

    def poll(self, *, now: bool = False) -> list[Any]:  # noqa: ARG002, not every transport can
        """Hand on what workers have logged, and return what they have told ahead of futures.

        Args:
            now: Whether to look at once; else it is done every now and then.

        Returns:
            Results, for `settle`.
        """
        return []

    def close(self) -> None:  # noqa: B027, not every transport has anything to do
        """Give back what is not a result."""


class InProcess(Transport):
    """Nodes run in this process, on the catalog itself.

    Args:
        nodes: The nodes.
        catalog: The run's datasets.
        hook_manager: A pluggy manager, or None.
        is_async: Load inputs and save outputs side by side.
        run_id: The run.
        checkpoint: Folder to keep in-memory values in, or None.
    """

    def __init__(
        self, nodes: Sequence[Any], catalog: RunCatalog, hook_manager: Any, *, is_async: bool,
        run_id: str, checkpoint: str | None,
    ) -> None:  # fmt: skip
        self._nodes = nodes
        self._catalog = catalog
        self._hooks = Hooks(hook_manager)
        self._is_async = is_async
        self._run_id = run_id
        self._checkpoint = checkpoint
        self._stopping = False

    def stop(self) -> None:
        """Start nothing more."""
        self._stopping = True

    def go_on(self) -> None:
        """Start nodes again."""
        self._stopping = False

    def submit(self, executor: Executor, items: Sequence[Item]) -> Future[list[Outcome]]:
        """Send nodes off."""
        return executor.submit(self._run_all, items)

    def _run_all(self, items: Sequence[Item]) -> list[Outcome]:
        return [self._run(*item) for item in items]

    def _run(self, index: int, ticket: int, attempt: int, holds: bool) -> Outcome:
        started, clock = time.time(), time.perf_counter()
        if self._stopping:
            return Outcome(index, ticket, False, os.getpid(), started, 0.0, {}, None, 0)
        failure, kept = None, {}
        try:
            NodeRun(
                self._nodes[index], self._catalog, self._hooks, is_async=self._is_async,
                run_id=self._run_id, attempt=attempt,
            )()  # fmt: skip
            kept = self._keep(self._nodes[index].outputs)
        except BaseException as error:
            if _in_main_thread() and _is_for_all(error):
                raise
            failure = as_failure(error)
            self._stopping = self._stopping or holds
        seconds = time.perf_counter() - clock
        return Outcome(
            index,
            ticket,
            True,
            os.getpid(),
            started,
            seconds,
            {},
            failure,
            _process.peak_memory(),
            kept,
        )

    def _keep(self, names: Iterable[str]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name in names if self._checkpoint is not None else ():
            if is_ephemeral(self._catalog[name]):
                kept |= keep_dataset(
                    str(self._checkpoint), name, self._catalog[name], cloudpickle.dumps
                )
        return kept

    def settle(self, result: Any, wanted: Callable[[int, int], bool]) -> list[Outcome]:
        """The outcomes are there already, and the outputs are saved."""
        return [outcome for outcome in result if wanted(outcome.node, outcome.ticket)]

    def release(self, name: str) -> bool:
        """Let the dataset free what it holds."""
        release_dataset(self._catalog[name])
        return is_ephemeral(self._catalog[name])

    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The run's own datasets."""
        return {name: self._catalog[name] for name in sorted(names)}


def _is_for_all(error: BaseException) -> bool:
    """Whether somebody means the run and not the node: Ctrl-C, or SIGTERM to the command."""
    return isinstance(error, KeyboardInterrupt | SystemExit) and type(error) is not SystemExit


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
