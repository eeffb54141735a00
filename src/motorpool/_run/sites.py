"""The backends of a run: one for most runs, more where nodes name backends."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._datasets.contract import is_ephemeral
from motorpool._engine.exchange import Exchange
from motorpool._engine.stretches import Stretches
from motorpool._run.capacities import capacities, resource_problems
from motorpool._run.checks import output_problems, raise_problems
from motorpool._run.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from motorpool._engine.exchange import Values
    from motorpool._engine.policy import Policy
    from motorpool._engine.transport import Transport
    from motorpool._run.options import RunSettings
    from motorpool._run.prepare import Preparation
    from motorpool._run.resources import Place

# What the runner's own backend is called among those that nodes name.
OWN = ""


def backends_of(nodes: Sequence[Any], own: str | None) -> list[str]:
    """For each node the backend that it names; OWN for the runner's, named or not."""
    named = (getattr(node, "backend", None) for node in nodes)
    return [OWN if name in {None, own} else str(name) for name in named]


class Transports(NamedTuple):
    """The transports of a run.

    Attributes:
        all: One for each site.
        values: What holds the data of all.
        fetch: Brings what nodes read from one site to another; None if there is one.
    """

    all: list[Transport]
    values: Values
    fetch: Callable[[Sequence[int]], tuple[int, Exception] | None] | None


class Sites:
    """The backends of a run, each with the nodes that it runs.

    Args:
        prepared: The run.
        backends: For each node the backend that it names; see `backends_of`.
        places: The workers of each.
        settings: The runner's settings.
        hook_manager: A pluggy manager, or None.

    Attributes:
        lanes: For each node the site, by position in `all`.
        all: The sites.
    """

    def __init__(
        self, prepared: Preparation, backends: Sequence[str], places: Mapping[str, Place],
        settings: RunSettings, hook_manager: Any,
    ) -> None:  # fmt: skip
        self._prepared, self._settings = prepared, settings
        number = {name: i for i, name in enumerate(places)}
        self._names = list(places)
        self.lanes = [number[name] for name in backends]
        self.all = [
            Site(prepared, place, members if len(places) > 1 else None, settings, hook_manager)
            for place, members in zip(places.values(), self._members(len(places)), strict=True)
        ]

    def _members(self, count: int) -> list[list[int]]:
        members: list[list[int]] = [[] for _ in range(count)]
        for node, lane in enumerate(self.lanes):
            members[lane].append(node)
        return members

    @property
    def backend(self) -> str:
        """The names of the backends, for those who read them."""
        return ", ".join(site.backend.name for site in self.all)

    @property
    def max_workers(self) -> int:
        """The workers of all."""
        return sum(site.pool.max_workers for site in self.all)

    @cached_property
    def capacities(self) -> dict[str, float]:
        """What there is of each resource."""
        return capacities(self._settings.amounts, self.max_workers)

    def check(
        self, validate_nodes: Callable[..., Any], validate_catalog: Callable[..., Any]
    ) -> None:
        """Check nodes and datasets against the backends.

        Args:
            validate_nodes: The runner's own check, for what runs on its own backend.
            validate_catalog: Likewise.

        Raises:
            ValidationError: With all problems together.
        """
        problems = output_problems(self._prepared.compiled, self._prepared.catalog)
        for name, site in zip(self._names, self.all, strict=True):
            checks = (validate_nodes, validate_catalog) if name == OWN else (_no_check, _no_check)
            problems += site.check(*checks)
        if needs := self._prepared.compiled.resources:
            backends = [self.all[lane].backend for lane in self.lanes]
            problems += resource_problems(self._prepared.nodes, needs, self.capacities, backends)
        for site in self.all:
            site.want_names_of(other for other in self.all if other is not site)
        raise_problems(problems, [site.backend.name for site in self.all])

    def stretches(self, policy: Policy, *, keeps: bool) -> Stretches:
        """What may run in one worker, and what is handed on there.

        Args:
            policy: What to do when a node fails.
            keeps: Whether values in memory are kept for another run.
        """
        prepared, nodes, fuse = self._prepared, self._prepared.nodes, self._settings.fuse
        # Which node of several broke a worker is read from files that both sides share.
        fusing = [fuse and (site.store is None or site.shares_files) for site in self.all]
        handing = [fuse and site.shares_files for site in self.all]
        if not any(fusing):
            return Stretches(len(nodes))
        stored: set[str] = set()
        if any(handing):
            given = prepared.catalog if keeps else prepared.catalog.given
            stored = set(prepared.outputs) | prepared.compiled.streamed | {
                name for name, dataset in given.items() if keeps or not is_ephemeral(dataset)
            }  # fmt: skip
        once = [
            handing[lane] and retry.count == 0
            for lane, retry in zip(self.lanes, policy.retries_of(nodes), strict=True)
        ]
        lanes = [lane if fusing[lane] else None for lane in self.lanes]
        return Stretches.of(nodes, prepared.compiled.graph, stored=stored, once=once, lanes=lanes)

    def transports(self, stretches: Stretches, checkpoint: str | None) -> Transports:
        """Open the transports to the workers.

        Raises:
            ValidationError: If an input cannot be brought there.
        """
        with contextlib.ExitStack() as stack:
            transports: list[Transport] = []
            for site in self.all:
                peers = transports if len(self.all) > 1 else ()
                transports.append(site.transport(stretches, checkpoint, peers))
                stack.callback(transports[-1].close)
            stack.pop_all()
        if len(transports) == 1:
            return Transports(transports, transports[0], None)
        prepared = self._prepared
        exchange = Exchange(prepared.catalog, prepared.nodes, self.lanes, transports)
        return Transports(transports, exchange, exchange.fetch)


def _no_check(_subject: Any) -> None:
    """What a runner says of nodes that are not its own backend's."""
