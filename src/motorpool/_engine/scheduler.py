"""Decides what may run next. A pure state machine: no processes, no clock, no I/O.

    WAITING --all parents done--> READY --pop--> RUNNING --done--> DONE
       |                            ^               |               |
       |                            +---requeue-----+--fail--> FAILED
       |                            +---undo: its output is lost----+
       +---skip: a parent failed, or the run stops---> SKIPPED

Ready nodes leave by rank, see `priority`. What follows a node in its stretch leaves with it.
Nodes of different lanes go to different workers: each lane has a queue of its own.
"""

from __future__ import annotations

import heapq
from enum import IntEnum
from typing import TYPE_CHECKING

from motorpool._engine.stretches import NO_NODE, Stretches

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Sequence

    from motorpool._pipeline.graph import Graph


class State(IntEnum):
    """Where a node is in its life.

    RUNNING is all that is not in the scheduler's hands: sent off, in a pause before it is tried
    again, or a suspect of a crash that waits to be tried alone.
    """

    WAITING = 0
    READY = 1
    RUNNING = 2
    DONE = 3
    FAILED = 4
    SKIPPED = 5


_IDLE = {State.READY, State.WAITING}


class Scheduler:
    """Keeps the state of every node of a run.

    Args:
        graph: The nodes, numbered in a topological order.
        stretches: Which of them run one after the other in one worker; by default none.
        order: All nodes, the most urgent first; by default as they are.
        lanes: For each node its lane, from 0; by default they have one in common. A stretch has
            nodes of one lane.
    """

    def __init__(
        self, graph: Graph, stretches: Stretches | None = None,
        order: Sequence[int] | None = None, lanes: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        count = len(graph.parents)
        self._graph = graph
        self._stretches = stretches or Stretches(count)
        self._order = range(count) if order is None else order
        self._rank = [0] * count
        for rank, node in enumerate(self._order):
            self._rank[node] = rank
        self._missing = [len(parents) for parents in graph.parents]
        self._lane = [0] * count if lanes is None else lanes
        self._ready: list[list[int]] = [[] for _ in range(max(self._lane, default=0) + 1)]
        for node in self._order:  # by rank, so each list is a heap
            if not self._missing[node]:
                self._ready[self._lane[node]].append(self._rank[node])
        self.states = [State.WAITING if missing else State.READY for missing in self._missing]
        self._unfinished = count

    @property
    def unfinished(self) -> int:
        """Number of nodes that are neither done nor failed nor skipped."""
        return self._unfinished

    def ready(self, lane: int = 0) -> int:
        """Number of nodes that are ready, or a few more: some may have been skipped since."""
        return len(self._ready[lane])

    def pop(self, lane: int = 0, wanted: Callable[[int], bool] | None = None) -> int | None:
        """Take the next node of a lane to run, or None if none is ready.

        Args:
            lane: Which one.
            wanted: Whether to take it; if it is not wanted, it stays the next one.
        """
        ready = self._ready[lane]
        while ready:
            node = self._order[ready[0]]
            if self.states[node] is State.READY:  # else skipped since
                if wanted is not None and not wanted(node):
                    return None
                heapq.heappop(ready)
                self.states[node] = State.RUNNING
                return node
            heapq.heappop(ready)
        return None

    def stretch(self, node: int) -> list[int]:
        """A running node, and what can follow it in the same worker, which runs from here on."""
        found = [node]
        node = self._stretches.following[node]
        while node != NO_NODE and self.states[node] is State.WAITING:
            self.states[node] = State.RUNNING
            found.append(node)
            node = self._stretches.following[node]
        return found

    def behind(self, wave: Iterable[int], within: Counter[int]) -> list[int]:
        """Nodes of a lane that wait for nothing but what leaves together with some others of it.

        Args:
            wave: Running nodes that have been added to what leaves since the last call.
            within: How many of its parents leave, for each node; brought up to date.
        """
        found = []
        for node in wave:
            for child in self._graph.children[node]:
                within[child] += 1
                if (
                    within[child] == self._missing[child]
                    and self.states[child] is State.WAITING
                    and self._lane[child] == self._lane[node]
                ):
                    found.append(child)
        return found

    def start(self, nodes: Iterable[int]) -> None:
        """Nodes leave together with those that they wait for."""
        for node in nodes:
            self.states[node] = State.RUNNING

    def needs(self, nodes: Sequence[int]) -> list[tuple[int, ...]]:
        """For each of some nodes that leave together, those before it that it waits for."""
        if len(nodes) == 1:
            return [()]
        gone: set[int] = set()
        found = []
        for node in nodes:
            found.append(tuple(p for p in self._graph.parents[node] if p in gone))
            gone.add(node)
        return found

    def redo(self, node: int) -> list[int]:
        """A running node, after those that have to run again to give it input.

        Returns:
            Nothing if it has to wait for another one; then it is no longer running.
        """
        found, todo = {node}, [node]
        while todo:
            for parent in self._graph.parents[todo.pop()]:
                state = self.states[parent]
                if state not in _IDLE and state is not State.DONE:
                    self.requeue(node)
                    return []
                if state in _IDLE and parent not in found:
                    found.add(parent)
                    todo.append(parent)
        self.start(found)
        return sorted(found)

    def requeue(self, node: int) -> None:
        """Put a running node back among the ready ones, or those that wait."""
        if self._missing[node]:
            self.states[node] = State.WAITING
            return
        self.states[node] = State.READY
        heapq.heappush(self._ready[self._lane[node]], self._rank[node])

    def undo(self, node: int) -> None:
        """Take a success back: what the node has made is lost, and it has to run again."""
        self._unfinished += 1
        for child in self._graph.children[node]:
            self._missing[child] += 1
            if self.states[child] is State.READY:
                self.states[child] = State.WAITING
        self.requeue(node)

    def done(self, node: int) -> None:
        """Note a success; children with no other parent to wait for become ready."""
        self._finish(node, State.DONE)
        for child in self._graph.children[node]:
            self._missing[child] -= 1
            if not self._missing[child] and self.states[child] is State.WAITING:
                self.requeue(child)

    def fail(self, node: int) -> list[int]:
        """Note a failure; everything that depends on the node is skipped and returned."""
        self._finish(node, State.FAILED)
        return sorted(self._skip_below(node))

    def skip(self, node: int) -> list[int]:
        """Note that a running node was given up; return it, and what depends on it."""
        self._finish(node, State.SKIPPED)
        return [node, *sorted(self._skip_below(node))]

    def is_cut_off(self, node: int) -> bool:
        """Whether a node waits for one that will not run."""
        lost = {State.FAILED, State.SKIPPED}
        return any(self.states[parent] in lost for parent in self._graph.parents[node])

    def _skip_below(self, node: int) -> list[int]:
        skipped, todo = [], [node]
        while todo:  # what is skipped already has nothing but skipped nodes behind it
            fresh = self._skip(self._graph.children[todo.pop()])
            skipped += fresh
            todo += fresh
        return skipped

    def stop(self) -> list[int]:
        """Skip everything that is not running, and return it."""
        return self._skip(range(len(self.states)))

    def check_alive(self, *, stopping: bool = False) -> None:
        """Check, with nothing on its way, that there is something to run.

        Args:
            stopping: Whether nothing new is started.

        Raises:
            RuntimeError: If the rest waits for something that will never come.
        """
        ready = State.READY in self.states and not stopping
        if self._unfinished and not ready and State.RUNNING not in self.states:
            raise RuntimeError(
                f"{self._unfinished} nodes wait for nodes that will not run; please report this."
            )

    def nodes_in(self, state: State) -> list[int]:
        """All nodes in a state, in topological order."""
        return [i for i, s in enumerate(self.states) if s is state]

    def _skip(self, nodes: Iterable[int]) -> list[int]:
        skipped = [n for n in nodes if self.states[n] in {State.WAITING, State.READY}]
        for node in skipped:
            self._finish(node, State.SKIPPED)
        return skipped

    def _finish(self, node: int, state: State) -> None:
        self.states[node] = state
        self._unfinished -= 1


class Lifetimes:
    """Counts who still needs each dataset.

    Args:
        inputs: For each node, the names of the datasets that it reads.
        outputs: For each node, the names of the datasets that it writes.
        kept: Names that are never released: the pipeline's own inputs and outputs.
    """

    def __init__(
        self,
        inputs: Sequence[Sequence[str]],
        outputs: Sequence[Sequence[str]],
        kept: Iterable[str],
    ) -> None:
        self._kept = frozenset(kept)
        self._readers: dict[str, int] = {}
        for names in inputs:
            for name in names:
                self._readers[name] = self._readers.get(name, 0) + 1
        self._inputs, self._outputs = inputs, outputs

    def settle(self, node: int) -> list[str]:
        """Note that a node will not read any more; return the datasets that no node needs now."""
        free = []
        for name in self._inputs[node]:
            self._readers[name] -= 1
            if not self._readers[name] and name not in self._kept:
                free.append(name)
        kept, readers = self._kept, self._readers
        free += [o for o in self._outputs[node] if o not in kept and not readers.get(o)]
        return free
