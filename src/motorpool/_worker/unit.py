"""One unit in a worker: which of its nodes run, and what becomes of each.

    functions that are known to be brisk     one after the other, in a loop of their own (`brisk`)
    all other nodes                          by way of a catalog, with hooks and measurements

What became of them goes back when the unit ends; and before that, if it would have to wait.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from motorpool._datasets.describe import describe
from motorpool._protocol.failure import (
    as_failure,
    explain_interpreter,
    explain_readonly,
    explain_terminal,
    pack,
)
from motorpool._protocol.messages import OFTEN, News, holds, packed
from motorpool._store.allocate import allocating
from motorpool._store.checkpoint import keep_payload
from motorpool._system.forks import generation
from motorpool._system.process import PeakMemory
from motorpool._worker.behind import follow
from motorpool._worker.brisk import BriskLoop
from motorpool._worker.catalog import TaskCatalog
from motorpool._worker.task import NodeRun
from motorpool._worker.values import UnitValues

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from motorpool._protocol.messages import Load, Times
    from motorpool._worker.session import Session

# A unit that lasts longer (s) goes back to the driver; what it has left is then run in the order
# of the whole pipeline. A stretch goes on as long as no other node waits for a worker.
_LONG = 0.02

_peak_memory = PeakMemory()


class UnitRun:
    """Runs the nodes of one unit, one after the other.

    Args:
        session: The run.
        load: The unit.

    Attributes:
        session: The same.
        load: The same.
        values: What its nodes read and leave.
        news: What became of nodes, and has not been told.
        at: Position of the next node.
        node: The one that runs.
        lost: Nodes that have failed, or cannot run for want of such; of the unit before as well.
        epoch: Seconds since the epoch at which `time.perf_counter` was 0.
        tell_at: When to tell what there is to tell (s, of `time.perf_counter`).
        me: What tells this process from its forks.
    """

    def __init__(self, session: Session, load: Load) -> None:
        self.session, self.load = session, load
        self.values = UnitValues(session, load.inputs)
        self.news = News(load.number)
        self.at, self.node = 0, -1
        self.lost: set[int] = set()
        self.me = generation()
        self._began = time.perf_counter()
        self.tell_at = self._began + OFTEN
        self.epoch = time.time() - self._began
        self._told: set[int] = set()
        if load.behind:
            follow(self)

    def run(self) -> bytes:
        """Run what can be run, one node after the other; return what is left to tell."""
        nodes, session, loop = self.load.nodes, self.session, BriskLoop(self)
        with allocating(self._allocate):
            while self.at < len(nodes) and not self._ends():
                node = nodes[self.at]
                if self.lost and not self.lost.isdisjoint(session.parents(node)):
                    self.lost.add(node)
                    self.at += 1
                    continue
                if self.news and not (session.is_brisk(node) and self._is_early()):
                    self._tell()
                if not loop.run():
                    self._run(node)
                    self.at += 1
        if session.stopping:
            missing = self.lost.union(nodes[self.at :])
            for node in nodes[self.at :]:
                if missing.isdisjoint(session.parents(node)):
                    self.news.unstarted.append(node)
        session.look()
        return self._packed()

    # What the loop of brisk functions needs as well

    def keep(self, returned: list[Any]) -> None:
        """Keep what the function of the node that runs has returned.

        Args:
            returned: The values of its outputs; they are taken out, so that nobody else has them.
        """
        self.values.begin(self.node, self._handing())
        node = self.session.node(self.node)
        catalog = TaskCatalog(self.session, self.values, dict(self._numbers(node)))
        outputs = dict(zip(node.outputs, returned, strict=True))
        returned.clear()
        self._node_run(node, catalog).save_all(outputs, {})
        self.news.about |= catalog.about

    def failed(self, error: BaseException) -> None:
        """The node that runs has raised something."""
        self.end_if_forked(error)
        client = self.session.client
        if client.readonly:
            explain_readonly(error)
        explain_terminal(error)
        explain_interpreter(error)
        self.news.failures[self.node] = pack(as_failure(error), client.dumps, client.loads)
        self.lost.add(self.node)
        if self.values.node != self.node:
            self.values.begin(self.node)
        self.values.drop()

    def ended(self, seconds: float) -> None:
        """The node that runs has ended, whatever became of it."""
        self.forget()
        self.session.look_after(self.node, seconds)
        status = self.session.status
        if status and self.node in self.news.failures and holds(self.load, self.node):
            status.stop()
        self.session.finish(self.node)

    def forget(self) -> None:
        """Give up what the node that has ended has read and allocated, and a fork of it."""
        self.end_if_forked(None)
        with contextlib.suppress(OSError):  # what cannot be given back now goes with the run
            self.values.end()
            self.session.client.end_node(goes_on=bool(self.values.handed))

    def end_if_forked(self, error: BaseException | None) -> None:
        """End a child that the node has forked and that has come back here: it is no worker."""
        if generation() == self.me:
            return
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(0 if error is None or getattr(error, "code", 1) in {0, None} else 1)

    # One node, by way of a catalog

    def _run(self, index: int) -> None:
        """Run a node; whatever happens in it is news."""
        self.node = index
        self.session.start(index)
        self.values.begin(index, self._handing())
        clock = time.perf_counter()
        times = self._try(index)
        seconds = time.perf_counter() - clock
        self.news.add(index, self.epoch + clock, seconds)
        self.news.times[index] = times
        self.ended(seconds)

    def _try(self, index: int) -> Times:
        """Run a node; return what its seconds were taken for."""
        session, settings = self.session, self.session.settings
        run, imports, began = None, 0.0, time.perf_counter()
        try:
            node = session.node(index)
            imports = time.perf_counter() - began
            catalog = TaskCatalog(session, self.values, dict(self._numbers(node)))
            run = self._node_run(node, catalog)
            session.context.run(run)
            if self.values.handed and self._must_part():
                self.values.part()
            self.news.about |= catalog.about
            if settings.checkpoint is not None:
                self.news.kept[index] = self._kept_in(settings.checkpoint, node)
        except BaseException as error:  # noqa: BLE001, the worker outlives whatever a node raises
            self.failed(error)
        self.end_if_forked(None)
        return (0.0, 0.0, 0.0, 0.0) if run is None else (imports, run.load, run.call, run.save)

    def _numbers(self, node: Any) -> Iterator[tuple[str, int]]:
        """Names and numbers of what the node that runs reads and writes."""
        yield from zip(node.inputs, self.session.reads[self.node], strict=True)
        yield from zip(node.outputs, self.session.writes[self.node], strict=True)

    def _node_run(self, node: Any, catalog: TaskCatalog) -> NodeRun:
        session, settings = self.session, self.session.settings
        seen = catalog if session.host is None else session.host.view(catalog)
        return NodeRun(
            node, seen, session.hooks, is_async=settings.is_async, run_id=session.run.run_id,
            attempt=self.load.attempts.get(self.node, 1),
        )  # fmt: skip

    def _kept_in(self, folder: str, node: Any) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name, number in self._numbers(node):
            if number in self.values.made and number in self.values.stored:
                payload = self.values.stored[number]
                kept |= keep_payload(folder, name, payload, self.session.client)
        return kept

    def _handing(self) -> frozenset[int]:
        """What the present node hands to the next, if that is of its stretch and of this unit."""
        handed, nodes, following = self.session.handed.get(self.node), self.load.nodes, self.at + 1
        if (
            handed
            and following < len(nodes)
            and self.session.before(nodes[following]) == self.node
        ):
            return frozenset(handed)
        return frozenset()

    def _allocate(self, nbytes: int) -> memoryview | None:
        self.values.touched = True
        return self.session.allocate(self.node, nbytes)

    # When to end, and what to tell

    def _ends(self) -> bool:
        """Whether the unit ends before its next node."""
        last = self.load.nodes[self.at - 1] if self.at else -1
        follows = last >= 0 and self.session.before(self.load.nodes[self.at]) == last
        if follows and last not in self.lost:
            return not self.values.handed and self._must_part()
        return self.session.stopping or (last >= 0 and self._is_long())

    def _must_part(self) -> bool:
        """Whether nothing more should run here, so that values have to be stored."""
        return self.session.stopping or (self._is_long() and self.session.pressed)

    def _is_long(self) -> bool:
        return time.perf_counter() - self._began > _LONG

    def _is_early(self) -> bool:
        return time.perf_counter() < self.tell_at

    def _tell(self) -> None:
        """What is done must not wait for a node that may take long, nor be lost with it."""
        self.tell_at = time.perf_counter() + OFTEN
        if not self.session.publishes:
            return
        data = self._packed()
        with contextlib.suppress(OSError):  # then it goes with the rest
            self.session.publish(data)
            self._told.update(self.news.outputs)
            self.values.large.clear()
            self.news = News(self.load.number)

    def _packed(self) -> bytes:
        """The news, with the values that others may read."""
        news, results = self.news, self.session.settings.results
        news.outputs = self.values.payloads(self._to_tell())
        news.handing = bool(self.values.handed)
        for number in results.intersection(news.outputs):
            if number in self.values.as_is:
                news.about[number] = describe(self.values.as_is[number])
        return packed(news.result(_peak_memory.read()))

    def _to_tell(self) -> Iterable[int]:
        """Numbers of the values to be told of, and maybe some that there are not.

        Those that others read, and those that nodes of the unit read that have not run here: they
        may run elsewhere. While something is on its way to the next node, whatever has led to it.
        """
        wanted, writes = self.load.wanted, self.session.writes
        is_over = self.at == len(self.load.nodes) and not self.lost
        if wanted is not None and is_over and not self._told:
            return {*wanted, *self.values.large}
        made = {number for node in self.news.nodes for number in writes[node]}
        if wanted is None or self.values.handed:
            return made
        others = wanted.union(self.values.large, *(self.session.reads[n] for n in self.lost))
        last = self._last_reads
        return {n for n in made if n in others or last.get(n, -1) >= self.at}

    @cached_property
    def _last_reads(self) -> dict[int, int]:
        """Of each value the position of the last node of the unit that reads it."""
        reads = self.session.reads
        return {n: at for at, node in enumerate(self.load.nodes) for n in reads[node]}
