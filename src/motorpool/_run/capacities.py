"""What there is of the resources that nodes take, and what there will never be enough of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motorpool._engine.tokens import CPU
from motorpool._system.amounts import MEMORY, shown
from motorpool._system.cgroup import usable_memory
from motorpool._system.process import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from motorpool.backend import ExecutorBackend


def capacities(told: Mapping[str, float], workers: int) -> dict[str, float]:
    """What there is of each resource.

    Args:
        told: What the runner was told, which counts.
        workers: Number of workers of the run.
    """
    found: dict[str, float] = {CPU: max(usable_cores(), workers)}
    if (memory := usable_memory()) is not None:
        found[MEMORY] = memory
    return found | dict(told)


def _of_silent_nodes(
    nodes: Sequence[Any], needs: Mapping[int, Mapping[str, float]], capacity: Mapping[str, float]
) -> list[str]:
    """What stands against nodes that say nothing of "cpu", and so take one where it is counted."""
    if not any(CPU in amounts for amounts in needs.values()) or capacity[CPU] >= 1:
        return []
    there = shown(CPU, capacity[CPU])
    return [
        f"node {node.name!r} says nothing of {CPU!r}, and so takes 1, of which the runner has "
        f"{there} in all: it could never run. Let it say what it takes, or say that there is more."
        for index, node in enumerate(nodes)
        if CPU not in needs.get(index, {})
    ]


def resource_problems(
    nodes: Sequence[Any], needs: Mapping[int, Mapping[str, float]],
    capacity: Mapping[str, float], backends: Sequence[ExecutorBackend],
) -> list[str]:  # fmt: skip
    """What stands against nodes that take resources, in words.

    Args:
        nodes: The nodes of the run.
        needs: What some of them take, by index.
        capacity: What there is.
        backends: For each node where it runs.
    """
    problems = _of_silent_nodes(nodes, needs, capacity)
    for index, amounts in needs.items():
        name, traits = nodes[index].name, backends[index].capabilities
        if not (traits.isolation.in_process or traits.shares_memory):
            problems.append(
                f"node {name!r} takes resources, which are counted on this host only, and the "
                f"backend {backends[index].name!r} has its workers elsewhere: tell its cluster."
            )
            continue
        for resource, amount in amounts.items():
            if resource not in capacity:
                problems.append(
                    f"node {name!r} takes {shown(resource, amount)} of {resource!r}, of which the "
                    f"runner has none, it knows of {', '.join(sorted(capacity))}: say how much "
                    f"there is, as resources={{{resource!r}: ...}} or --resource {resource}=..."
                )
            elif amount > capacity[resource]:
                there = shown(resource, capacity[resource])
                problems.append(
                    f"node {name!r} takes {shown(resource, amount)} of {resource!r}, of which the "
                    f"runner has {there} in all: it could never run. Ask for less, or say that "
                    "there is more."
                )
    return problems
