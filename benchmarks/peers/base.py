"""What a contender is: a system that runs graphs, as its own users would write it.

A contender is a context manager; `prepare` takes a graph and returns what runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool.bench._graphs import Task

WORKERS = 2
NBYTES = 16


class Contender:
    """One system.

    Attributes:
        most: Nodes of the largest graph that it is asked to run.
        why: What stands against larger ones.
        isolated: Whether to run it in a network of its own, for it listens on all addresses.
    """

    most = 1_000_000
    why = ""
    isolated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """Make a graph ready, as far as that is done beforehand."""
        raise NotImplementedError


def leaves(graph: list[Task]) -> list[str]:
    """Names of the tasks without readers."""
    read = {parent for task in graph for parent in task.parents}
    return [task.name for task in graph if task.name not in read]
