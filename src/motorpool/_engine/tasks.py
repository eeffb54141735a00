"""The tasks of a run, and what a change of one means for those before and behind it.

A child of the last of its parents to be done becomes ready; what depends on a failed or skipped
task is skipped; what has made something that is lost runs again. Nothing else is decided here.
"""

from __future__ import annotations

import heapq
from array import array
from typing import TYPE_CHECKING

from motorpool._engine.state import (
    DONE,
    FAILED,
    IDLE,
    READY,
    SENT,
    SKIPPED,
    TRANSITIONS,
    WAITING,
    TaskState,
    TransitionError,
    TransitionLog,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motorpool._engine.state import State, Unit
    from motorpool._pipeline.graph import Graph


class ReadyQueue:
    """The ready tasks of one lane by rank, the most urgent first.

    Those that are ready at first are a sorted list, which costs a tenth of a heap.

    Args:
        ranks: Of those, in order.
    """

    __slots__ = ("_at", "_first", "_later")

    def __init__(self, ranks: Sequence[int]) -> None:
        self._first, self._at = ranks, 0
        self._later: list[int] = []

    def __len__(self) -> int:
        return len(self._first) - self._at + len(self._later)

    def push(self, rank: int) -> None:
        """Add one."""
        heapq.heappush(self._later, rank)

    def peek(self) -> int | None:
        """The smallest rank, or None."""
        if self._at == len(self._first):
            return self._later[0] if self._later else None
        first = self._first[self._at]
        return min(first, self._later[0]) if self._later else first

    def pop(self) -> None:
        """Take out the smallest rank."""
        if self._at == len(self._first) or (
            self._later and self._later[0] < self._first[self._at]
        ):
            heapq.heappop(self._later)
        else:
            self._at += 1


class TaskTable:
    """All tasks of a run.

    Args:
        names: Names of the nodes.
        graph: The nodes, numbered in a topological order.
        order: All nodes, the most urgent first; by default as they are.
        lanes: For each node its lane, from 0; by default they have one in common.
        kinds: Of nodes that take resources, which have queues of their own by what they take, so
            that one that has to wait keeps no other from going: numbers from 1.

    Attributes:
        graph: The same.
        tasks: The state of each node.
        lanes: The same.
        kinds: The same; a node that is not here is of kind 0.
        unfinished: Number of tasks that are neither done nor failed nor skipped.
    """

    def __init__(
        self, names: Sequence[str], graph: Graph, order: Sequence[int] | None = None,
        lanes: Sequence[int] | None = None, kinds: Mapping[int, int] | None = None,
    ) -> None:  # fmt: skip
        count = len(graph.parents)
        self.graph, self._names = graph, names
        self.tasks = [TaskState(i, len(parents)) for i, parents in enumerate(graph.parents)]
        self.lanes = [0] * count if lanes is None else lanes
        self.unfinished = count
        self._order = range(count) if order is None else order
        self._rank = array("i", bytes(4 * count))
        self.kinds = {} if kinds is None else kinds
        most = max(self.kinds.values(), default=0)
        ready: list[list[array[int]]] = [
            [array("i") for _ in range(most + 1)] for _ in range(max(self.lanes, default=0) + 1)
        ]
        for rank, node in enumerate(self._order):
            self._rank[node] = rank
            if not graph.parents[node]:
                ready[self.lanes[node]][self.kinds.get(node, 0)].append(rank)
        self._ready = [list(map(ReadyQueue, ranks)) for ranks in ready]
        self._log = TransitionLog()

    def __getitem__(self, node: int) -> TaskState:
        return self.tasks[node]

    def ready(self, lane: int = 0, kind: int | None = None) -> int:
        """Number of ready tasks of a lane, or a few more: some may have been skipped since.

        Args:
            lane: Which one.
            kind: Only of this kind.
        """
        queues = self._ready[lane]
        return sum(map(len, queues)) if kind is None else len(queues[kind])

    def most_urgent(self, lane: int, kinds: Iterable[int]) -> int | None:
        """The kind of the most urgent of the ready tasks of a lane; None if there is none.

        Args:
            lane: Which one.
            kinds: Those that are looked at.
        """
        firsts = ((self.first(lane, kind), kind) for kind in kinds)
        ranks = [(self._rank[node], kind) for node, kind in firsts if node is not None]
        return min(ranks)[1] if ranks else None

    def first(self, lane: int = 0, kind: int = 0) -> int | None:
        """The most urgent of the ready tasks of a lane and a kind, or None."""
        queue = self._ready[lane][kind]
        while (rank := queue.peek()) is not None:
            node = self._order[rank]
            if self.tasks[node].state is READY:
                return node
            queue.pop()  # it was skipped, or sent, or waits again
        return None

    def take(self, lane: int = 0, kind: int = 0) -> None:
        """Take what `first` has returned out of those that are ready; it is going to be sent."""
        self._ready[lane][kind].pop()

    def send(self, unit: Unit) -> None:
        """The tasks of a unit are on their way; each try counts."""
        for node in unit.nodes:
            task = self.tasks[node]
            if SENT not in TRANSITIONS[task.state]:
                self._refuse(task, SENT)
            task.state, task.unit = SENT, unit
            task.attempt += 1
            if task.attempt > 1:
                unit.attempts[node] = task.attempt
        self._log.note_unit(unit)

    def move(self, node: int, state: State) -> None:
        """Change the state of a task, and nothing else."""
        task = self.tasks[node]
        if state not in TRANSITIONS[task.state]:
            self._refuse(task, state)
        self._log.note(node, task.state, state)
        task.state, task.unit = state, None

    def requeue(self, node: int) -> None:
        """Put a task back among the ready ones, or those that wait."""
        if self.tasks[node].missing:
            self.move(node, WAITING)
        else:
            self.move(node, READY)
            self._ready[self.lanes[node]][self.kinds.get(node, 0)].push(self._rank[node])

    def done(self, node: int) -> None:
        """Note a success; children with no other parent to wait for become ready."""
        self.move(node, DONE)
        self.unfinished -= 1
        for child in self.graph.children[node]:
            task = self.tasks[child]
            task.missing -= 1
            if not task.missing and task.state is WAITING:
                self.requeue(child)

    def done_all(self, unit: Unit, nodes: Sequence[int]) -> None:
        """Note successes of tasks of one unit, as `done` does of each."""
        tasks, children = self.tasks, self.graph.children
        for node in nodes:
            task = tasks[node]
            if task.state is not SENT:
                self._refuse(task, DONE)
            task.state, task.unit = DONE, None
        self._log.note_done(unit, nodes)
        self.unfinished -= len(nodes)
        for node in nodes:
            for child in children[node]:
                task = tasks[child]
                task.missing -= 1
                if not task.missing and task.state is WAITING:
                    self.requeue(child)

    def undo(self, node: int) -> None:
        """Take a success back: what the task has made is lost, and it has to run again."""
        self.unfinished += 1
        for child in self.graph.children[node]:
            task = self.tasks[child]
            task.missing += 1
            if task.state is READY:
                self.move(child, WAITING)
        self.requeue(node)

    def fail(self, node: int) -> list[int]:
        """Note a failure; return what depends on the task, which is skipped."""
        self.move(node, FAILED)
        self.unfinished -= 1
        return self._skip_below(node)

    def skip(self, node: int) -> list[int]:
        """Give a task up; return it, and what depends on it."""
        self._skip(node)
        return [node, *self._skip_below(node)]

    def skip_idle(self) -> list[int]:
        """Skip all that waits or is ready, and return it."""
        found = [task.index for task in self.tasks if task.state in IDLE]
        for node in found:
            self._skip(node)
        return found

    def _skip(self, node: int) -> None:
        self.move(node, SKIPPED)
        self.unfinished -= 1

    def _skip_below(self, node: int) -> list[int]:
        found, todo = [], [node]
        while todo:  # what is skipped already has nothing but skipped tasks behind it
            for child in self.graph.children[todo.pop()]:
                if self.tasks[child].state in IDLE:
                    self._skip(child)
                    found.append(child)
                    todo.append(child)
        return sorted(found)

    def with_lost_parents(self, node: int) -> list[int]:
        """A task, after those that have to run again to give it input.

        Returns:
            Nothing if it has to wait for a task that no one can send now.
        """
        found, todo = {node}, [node]
        while todo:
            for parent in self.graph.parents[todo.pop()]:
                state = self.tasks[parent].state
                if state is not DONE and state not in IDLE:
                    return []
                if state is not DONE and parent not in found:
                    found.add(parent)
                    todo.append(parent)
        return sorted(found)

    def check_alive(self, *, stopping: bool = False) -> None:
        """Check, with nothing on its way, that there is something to run.

        Args:
            stopping: Whether nothing new is started.

        Raises:
            RuntimeError: If the rest waits for something that will never come.
        """
        states = {task.state for task in self.tasks}
        at_rest = {WAITING, DONE, FAILED, SKIPPED, *({READY} if stopping else ())}
        if self.unfinished and states <= at_rest:
            node = next(task.index for task in self.tasks if task.state in IDLE)
            story = "; ".join(self._log.of(node)) or "nothing"
            raise RuntimeError(
                f"{self.unfinished} nodes wait for nodes that will not run, {self._names[node]!r} "
                f"for one; please report this. What is known of it: {story}."
            )

    def nodes_in(self, state: State) -> list[int]:
        """All nodes in a state, in topological order."""
        return [task.index for task in self.tasks if task.state is state]

    def _refuse(self, task: TaskState, state: State) -> None:
        story = self._log.of(task.index)
        raise TransitionError(self._names[task.index], task.state, state, story)
