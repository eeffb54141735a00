"""Standard graphs of equal nodes, after Task Bench.

Each is a grid of `width` columns and `steps` rows; a pattern says which columns of the row above a
node waits for. Two are no grids: the tree, and the pipeline, which looks as those of data
engineers do: branches that part and meet.

Source: E. Slaughter et al., Task Bench: A Parameterized Benchmark for Evaluating Parallel Runtime
Performance, SC20, doi:10.1109/SC41405.2020.00066.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from motorpool._pipeline.node import Node
from motorpool.bench._kernel import work
from motorpool.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

# How far away, in columns, a random neighbour may be; and the share of those that are waited for.
_REACH, _SHARE = 2, 0.5


class Task(NamedTuple):
    """A node of a standard graph.

    Attributes:
        name: Its name, and that of its output.
        parents: The names of those that it waits for.
    """

    name: str
    parents: tuple[str, ...]


def tasks(pattern: str, width: int, steps: int) -> list[Task]:
    """The nodes of a standard graph, in a topological order.

    Args:
        pattern: One of `PATTERNS`.
        width: Number of columns.
        steps: Number of rows.
    """
    return PATTERNS[pattern](width, steps)


def pipeline_of(graph: list[Task], iterations: int, nbytes: int) -> Pipeline:
    """The graph as a pipeline.

    Args:
        graph: What `tasks` returns.
        iterations: What each node does; see `work`.
        nbytes: Size of what each node passes on.
    """
    function = partial(work, iterations, nbytes)
    return Pipeline(
        [Node(function, list(parents), name, name=f"n{name}") for name, parents in graph]
    )


def _trivial(_step: int, _column: int, _width: int) -> list[int]:
    return []


def _chain(_step: int, column: int, _width: int) -> list[int]:
    return [column]


def _stencil(_step: int, column: int, _width: int) -> list[int]:
    return [column - 1, column, column + 1]


def _fft(step: int, column: int, width: int) -> list[int]:
    distance = 1 << ((step - 1) % max(1, (width - 1).bit_length()))
    return [column - distance, column, column + distance]


def _nearest(step: int, column: int, width: int) -> list[int]:
    chance = random.Random(f"{step} {column} {width}")  # noqa: S311, no secret
    near = range(column - _REACH, column + _REACH + 1)
    return [c for c in near if chance.random() < _SHARE]


def _grid(above: Callable[[int, int, int], list[int]], width: int, steps: int) -> list[Task]:
    grid = []
    for step in range(steps):
        for column in range(width):
            found = above(step, column, width) if step else []
            parents = tuple(f"{step - 1}_{c}" for c in found if 0 <= c < width)
            grid.append(Task(f"{step}_{column}", parents))
    return grid


def _pipeline(width: int, steps: int) -> list[Task]:
    """One node, branches of two, one node that joins them, and so on; of about as many nodes."""
    found: list[Task] = []
    above: list[str] = []
    blocks = max(1, round(width * steps / (2 * width + 1)))
    for step in range(3 * blocks + 1):
        one, along = step % 3 == 0, step % 3 == 2  # noqa: PLR2004, the second of a branch
        row = [
            Task(f"{step}_{column}", (above[column],) if along else tuple(above))
            for column in range(1 if one else width)
        ]
        found += row
        above = [task.name for task in row]
    return found


def _tree(width: int, steps: int) -> list[Task]:
    """A binary tree from the leaves to the root, of about as many nodes as a grid has."""
    row = [f"0_{i}" for i in range(max(1, (width * steps + 1) // 2))]
    found = [Task(name, ()) for name in row]
    step = 0
    while len(row) > 1:
        step += 1
        above, row = row, []
        for i in range(0, len(above), 2):
            row.append(f"{step}_{i // 2}")
            found.append(Task(row[-1], tuple(above[i : i + 2])))
    return found


PATTERNS: dict[str, Callable[[int, int], list[Task]]] = {
    "trivial": partial(_grid, _trivial),
    "chain": partial(_grid, _chain),
    "stencil": partial(_grid, _stencil),
    "fft": partial(_grid, _fft),
    "tree": _tree,
    "nearest": partial(_grid, _nearest),
    "pipeline": _pipeline,
}
