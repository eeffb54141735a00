"""Nodes and data that stay in this process, as objects."""

from __future__ import annotations

import os
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import is_ephemeral, release_dataset
from motorpool._engine.transport import Transport
from motorpool._protocol.context import NodeContext
from motorpool._protocol.failure import as_failure
from motorpool._protocol.messages import OFTEN, News, UnitResult, holds
from motorpool._protocol.status import Started
from motorpool._store.checkpoint import keep_dataset
from motorpool._system import process
from motorpool._worker.task import Hooks, NodeRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Executor, Future

    from motorpool._protocol.host import Host, NodeCatalog
    from motorpool._protocol.messages import Order
    from motorpool.catalog import RunCatalog


class InProcess(Transport):
    """Nodes run in this process, on the catalog itself.

    Args:
        nodes: The nodes.
        parents: For each the nodes that it waits for.
        catalog: The run's datasets.
        hook_manager: A pluggy manager, or None.
        is_async: Load inputs and save outputs side by side.
        run_id: The run.
        checkpoint: Folder to keep in-memory values in, or None.
        host: The framework that the run belongs to, or None.
    """

    result_type = UnitResult

    def __init__(
        self, nodes: Sequence[Any], parents: Sequence[Sequence[int]], catalog: RunCatalog,
        hook_manager: Any, *, is_async: bool, run_id: str, checkpoint: str | None,
        host: Host | None,
    ) -> None:  # fmt: skip
        self._nodes, self._parents = nodes, parents
        self._catalog = catalog
        self._seen: NodeCatalog = catalog if host is None else host.view(catalog)
        self._hooks = Hooks(hook_manager)
        self._context = NodeContext(copy_context())
        self._is_async = is_async
        self._run_id = run_id
        self._checkpoint = checkpoint
        self._often = OFTEN if host is None else 0.0  # a host speaks of a node before the next one
        self._stopping = False
        self._running: dict[int, float] = {}
        self._peak = process.PeakMemory()

    def running(self, node: int) -> Started | None:
        """Since when a node has been running."""
        since = self._running.get(node)
        return None if since is None else Started(os.getpid(), since)

    @property
    def knows_running(self) -> bool:
        """Whether a node for which `running` has nothing is not running."""
        return True

    def stop(self) -> None:
        """Start nothing more."""
        self._stopping = True

    def go_on(self) -> None:
        """Start nodes again."""
        self._stopping = False

    def submit(self, executor: Executor, order: Order) -> Future[UnitResult]:
        """Send a unit off."""
        return executor.submit(self._run_all, order)

    def _run_all(self, order: Order) -> UnitResult:
        """Run what can be run before others have waited for long."""
        news, lost = News(order.number), set[int]()
        until = time.perf_counter() + self._often
        for node in order.nodes:
            if news and time.perf_counter() >= until:
                break
            if not lost.isdisjoint(self._parents[node]):
                lost.add(node)
            elif self._stopping:
                news.unstarted.append(node)
                lost.add(node)
            else:
                self._run(node, order, news)
                lost.update({node} & news.failures.keys())
        return news.result(self._peak.read())

    # A failure leads to its frames, and these to everything below them on the stack. None of them
    # names the failure but by the news, which `read` takes it out of: or the node's inputs would
    # stay until the next collection of garbage.

    def _run(self, index: int, order: Order, news: News) -> None:
        started, clock = time.time(), time.perf_counter()
        self._running[index] = time.monotonic()
        self._try(index, order, news)
        del self._running[index]
        news.add(index, started, time.perf_counter() - clock)

    def _try(self, index: int, order: Order, news: News) -> None:
        node = self._nodes[index]
        run = NodeRun(
            node, self._seen, self._hooks, is_async=self._is_async, run_id=self._run_id,
            attempt=order.attempts.get(index, 1),
        )  # fmt: skip
        try:
            self._context.run(run)
            if kept := self._keep(node.outputs):
                news.kept[index] = kept
        except BaseException as error:
            if _in_main_thread() and _is_for_all(error):
                raise
            self._stopping = self._stopping or holds(order, index)
            news.failures[index] = as_failure(error)
        news.times[index] = (0.0, run.load, run.call, run.save)

    def _keep(self, names: Iterable[str]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name in names if self._checkpoint is not None else ():
            if is_ephemeral(self._catalog[name]):
                kept |= keep_dataset(str(self._checkpoint), name, self._catalog[name])
        return kept

    def read(self, result: UnitResult) -> UnitResult:
        """It is there already, and the outputs are saved."""
        found = result._replace(failures=result.failures.copy())
        result.failures.clear()  # the executor's own frames have it too
        return found

    def release(self, names: Sequence[str]) -> list[str]:
        """Let datasets free what they hold."""
        for name in names:
            release_dataset(self._catalog[name])
        return [name for name in names if is_ephemeral(self._catalog[name])]

    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The run's own datasets."""
        return {name: self._catalog[name] for name in sorted(names)}


def _is_for_all(error: BaseException) -> bool:
    """Whether the run is meant, and not the node: Ctrl-C, or SIGTERM to the command."""
    return isinstance(error, KeyboardInterrupt | SystemExit) and type(error) is not SystemExit


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
