"""One backend of a run: its workers, the nodes that it runs, and the transport to them."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from motorpool._engine.local import InProcess
from motorpool._engine.remote import Shipped
from motorpool._protocol.heavy import log_heavy
from motorpool._protocol.hooks import WORKER_HOOKS
from motorpool._protocol.plan import pickle_datasets, pickle_nodes, run_settings
from motorpool._run.alternatives import in_words, who_ends_nodes
from motorpool._run.checks import node_problems, raise_problems
from motorpool._store import Collector
from motorpool._system.imports import need
from motorpool._worker.task import Hooks
from motorpool.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from motorpool._engine.stretches import Stretches
    from motorpool._engine.transport import Transport
    from motorpool._protocol.plan import PickledNodes
    from motorpool._run.options import RunSettings
    from motorpool._run.prepare import Preparation
    from motorpool._run.resources import Place


class Site:
    """One backend of a run, and the nodes that it runs.

    Args:
        prepared: The run.
        place: The workers.
        members: The nodes, by position; None for all.
        settings: The runner's settings.
        hook_manager: A pluggy manager, or None.

    Attributes:
        script: The names of the script that the nodes refer to.
    """

    def __init__(
        self, prepared: Preparation, place: Place, members: Sequence[int] | None,
        settings: RunSettings, hook_manager: Any,
    ) -> None:  # fmt: skip
        self.pool, self.store = place
        self._hook_manager = hook_manager
        self.backend = self.pool.backend
        self._prepared, self._settings = prepared, settings
        self._members = members
        self.nodes, self.catalog = prepared.nodes, prepared.catalog
        if members is not None:
            self.nodes = [prepared.nodes[i] for i in members]
            named = (getattr(node, "confirms", None) or () for node in self.nodes)
            names = {name for names in named for name in names}
            names.update(n for node in self.nodes for n in (*node.inputs, *node.outputs))
            self.catalog = prepared.catalog.part(names)
        self._pickled: tuple[PickledNodes | None, dict[str, bytes] | None] = (None, None)
        self.script = Collector()

    @property
    def shares_files(self) -> bool:
        """Whether values go by way of files that workers and driver share."""
        return self.store is not None and self.store.scratch() is not None

    def check(
        self, validate_nodes: Callable[..., Any], validate_catalog: Callable[..., Any]
    ) -> list[str]:
        """Check nodes and datasets against the backend.

        Args:
            validate_nodes: The runner's own check.
            validate_catalog: Likewise.

        Returns:
            All problems, in words.
        """
        settings = self._settings
        problems = node_problems(
            self.nodes, self.backend, is_async=settings.is_async, timeout=settings.timeout,
            alternatives=who_ends_nodes,
        )  # fmt: skip
        for validate, subject in (
            (validate_nodes, self.nodes),
            (validate_catalog, self.catalog),
        ):
            try:
                validate(subject)
            except ValidationError as error:
                problems += str(error).splitlines()
        return problems if self.store is None else [*problems, *self._pickle()]

    def _pickle(self) -> list[str]:
        """Pickle nodes and datasets, and return what cannot be, in words."""
        dumps = type(self.backend).dumps
        with self.script.collecting():
            datasets, unfit = pickle_datasets(self.catalog.given, dumps)
        nodes = pickle_nodes(self.nodes, dumps, self.script, self._plain(datasets))
        log_heavy(self.nodes, nodes, self.script)
        self._pickled = nodes, datasets
        return [in_words(problem) for problem in (*nodes.problems, *unfit)]

    def _plain(self, datasets: Collection[str]) -> bytes:
        """For each node its form, or 0 if it takes more to run it than to call its function.

        Args:
            datasets: Names of those that workers load and save themselves.
        """
        prepared, hooks = self._prepared, Hooks(self._hook_manager)
        watched = prepared.host is not None or any(map(hooks.has, WORKER_HOOKS))
        if watched or self._settings.checkpoint is not None:
            return bytes(len(self.nodes))
        known = prepared.compiled.plain
        plain = known if self._members is None else bytes(known[i] for i in self._members)
        if not datasets:
            return plain
        return bytes(
            0 if any(name in datasets for name in (*node.inputs, *node.outputs)) else form
            for form, node in zip(plain, self.nodes, strict=True)
        )

    def want_names_of(self, others: Iterable[Site]) -> None:
        """Let workers know the names of the script that nodes of other sites refer to."""
        for other in others:
            self.script.want_those_of(other.script)

    def need_imports(self) -> None:
        """Let workers that are started from now on import what their nodes need."""
        if self.store is not None and not self.pool.is_up:
            need(getattr(node, "func", node) for node in self.nodes)
            need(type(dataset) for dataset in self.catalog.given.values())

    def transport(
        self, stretches: Stretches, checkpoint: str | None, peers: Sequence[Transport]
    ) -> Transport:
        """Open the transport to the workers.

        Args:
            stretches: Who hands what to whom.
            checkpoint: Folder to keep in-memory values in, or None.
            peers: The transports of the run; those that come later are added.

        Raises:
            ValidationError: If an input cannot be brought there.
        """
        prepared, settings = self._prepared, self._settings
        graph, wiring = prepared.compiled.graph, prepared.compiled.wiring
        if self.store is None:
            return self._in_process(checkpoint)
        nodes, datasets = self._pickled
        assert nodes is not None  # noqa: S101, by `check`
        assert datasets is not None  # noqa: S101, likewise
        if self._members is not None:
            nodes = _spread(nodes, self._members, len(prepared.nodes))
        self._pickled = (None, None)
        transport = Shipped(
            catalog=prepared.catalog, nodes=nodes, datasets=datasets, graph=graph, wiring=wiring,
            hook_manager=self._hook_manager,
            store=self.store, stretches=stretches, host=prepared.host, peers=peers,
            script=self.script, run_id=prepared.run_id, sent=self.pool.sent,
            settings=run_settings(
                backend=self.backend, is_async=settings.is_async,
                threads=self.pool.threads, store=self.store, checkpoint=checkpoint,
                fuse=settings.fuse,
                results=wiring.numbered(prepared.outputs),
            ),
        )  # fmt: skip
        try:
            problems = transport.open(len(prepared.nodes), self._given())
            raise_problems([in_words(problem) for problem in problems], [self.backend.name])
        except BaseException:
            transport.close()
            raise
        return transport

    def _given(self) -> Collection[str]:
        """Names of the datasets that nodes read here, and that no node writes."""
        given = self._prepared.compiled.given
        if self._members is None:
            return given
        return {name for node in self.nodes for name in node.inputs if name in given}

    def _in_process(self, checkpoint: str | None) -> InProcess:
        prepared = self._prepared
        return InProcess(
            prepared.nodes, prepared.compiled.graph.parents, prepared.catalog,
            self._hook_manager, is_async=self._settings.is_async, run_id=prepared.run_id,
            checkpoint=checkpoint, host=prepared.host,
        )  # fmt: skip


def _spread(nodes: PickledNodes, members: Sequence[int], count: int) -> PickledNodes:
    """Some of a run's nodes, at the positions that they have in the run."""
    ends = dict(zip(members, nodes.offsets[1:], strict=True))
    offsets, last = array("Q", [0]), 0
    for position in range(count):
        last = ends.get(position, last)
        offsets.append(last)
    function_of = array("i", [-1]) * count
    for position, function in zip(members, nodes.function_of, strict=True):
        function_of[position] = function
    plain = bytearray(count)
    for position, form in zip(members, nodes.plain, strict=True):
        plain[position] = form
    return nodes._replace(offsets=offsets, function_of=function_of, plain=bytes(plain))
