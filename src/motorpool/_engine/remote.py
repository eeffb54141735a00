"""How nodes and data get to workers in other processes: as bytes and refs, by way of a store."""

from __future__ import annotations

import pickle
import secrets
from array import array
from functools import partial
from typing import TYPE_CHECKING, Any

from motorpool._engine.payloads import Payloads
from motorpool._engine.sent import RunFiles, SentPlan, fingerprint_of
from motorpool._engine.tracked import TrackedTransport
from motorpool._protocol.context import capture_context
from motorpool._protocol.equipment import Equipment, new_key, sealed
from motorpool._protocol.failure import unpack
from motorpool._protocol.hooks import pickle_hooks, pickle_settings
from motorpool._protocol.messages import Load, envelope_head, owner_tag, unpacked
from motorpool._protocol.plan import Plan, RunName
from motorpool._protocol.problem import undefined_problem
from motorpool._store import OTHERS, StoredValue
from motorpool._worker.main import run_envelope
from motorpool.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor, Future

    from motorpool._engine.sent import SentPlans
    from motorpool._engine.stretches import Stretches
    from motorpool._engine.transport import Transport
    from motorpool._pipeline.graph import Graph
    from motorpool._protocol.host import Host
    from motorpool._protocol.messages import Order, UnitResult
    from motorpool._protocol.plan import PickledNodes, Settings
    from motorpool._protocol.problem import Problem
    from motorpool._protocol.wiring import Wiring
    from motorpool._store import Collector, Payload, Store
    from motorpool.catalog import RunCatalog

# A plan of so few nodes may be so small (bytes) that it goes with each unit: to write a file and
# to map it takes half of what a node alone takes.
_FEW, _SMALL = 64, 16 * 1024
# A plan that is no larger (bytes), and has no arrays, is kept for the next run.
_KEPT = 1 << 20


class Shipped(TrackedTransport):
    """Nodes run in other processes; data are payloads, which the driver does not look into.

    Args:
        catalog: The run's datasets.
        nodes: The nodes, pickled.
        datasets: The datasets that workers use themselves, pickled.
        hook_manager: A pluggy manager, or None.
        settings: What holds for every node.
        run_id: The run.
        sent: What the workers have of the plan of an earlier run.
        store: Where values wait.
        stretches: Who hands what to whom.
        graph: Who waits for whom.
        wiring: Who reads and writes what.
        host: The framework that the run belongs to, or None.
        peers: The run's other ways, of which some may use the same store.
        script: The names of `__main__` that the nodes refer to; those of inputs are added.
    """

    result_type = bytes

    def __init__(  # noqa: PLR0913, each is a part of its own
        self, *, catalog: RunCatalog, nodes: PickledNodes, datasets: dict[str, bytes],
        hook_manager: Any, settings: Settings, run_id: str, sent: SentPlans, store: Store,
        stretches: Stretches,
        graph: Graph, wiring: Wiring,
        host: Host | None, script: Collector, peers: Sequence[Transport] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self._host, self._script = host, script
        self._stretches, self._wiring = stretches, wiring
        self._children, self._number = graph.children, wiring.numbers
        self._store = store
        self._client: Any = store.client
        self._remote = frozenset(datasets)
        self._settings = settings
        self._name, self._sent_plans = RunName(run_id, secrets.token_hex(8)), sent
        self._payloads = Payloads(
            catalog, wiring.numbers, self._remote, store, script, peers
        )  # fmt: skip
        self._pickled = (nodes, datasets)
        self._hook_manager = hook_manager
        self._sent: set[int] = set()
        self._plan: SentPlan | None = None
        self._is_over = False

    def open(self, count: int, given: Iterable[str]) -> list[Problem]:
        """Put the plan and the inputs of the pipeline into the store.

        Args:
            count: Number of nodes of the run.
            given: Names of the datasets that nodes read here, and that no node writes.

        Returns:
            What cannot be pickled.
        """
        pickled, datasets = self._pickled
        with self._script.collecting():
            hooks, problems = pickle_hooks(self._hook_manager, self._client.dumps, self._host)
            host = None if self._host is None else self._client.dumps(self._host)
            process, unfit = pickle_settings(self._hook_manager, self._client.dumps)
        with self._script.collecting(OTHERS):  # what of it cannot be pickled stays here
            context = pickle.dumps(capture_context(self._client.dumps), 5)
        problems += unfit
        for name in sorted(set(given) - self._remote):
            problems += self._payloads.borrow(name)
        undefined = self._script.define_all(self._client.dumps)
        problems += [undefined_problem(u) for u in undefined if u.users != {OTHERS}]
        if problems:
            return problems
        equipment = Equipment(datasets, hooks, host, process, context)
        before, handed = self._stretches.numbered(self._number)
        plan = Plan(
            settings=self._settings, nodes=pickled, wiring=self._wiring, before=before,
            handed=handed, equipment=equipment.packed(), script=self._script.script(),
        )  # fmt: skip
        self._plan = self._send(plan, count)
        self.files = self._plan.files
        self._pickled = (pickled, {})
        return []

    def _send(self, plan: Plan, count: int) -> SentPlan:
        """Put a plan where workers find it: with each unit, or in the store if it is large.

        Args:
            plan: The plan.
            count: Number of nodes.
        """
        large: list[pickle.PickleBuffer] = []  # such as arrays of functions: not to be copied
        data = pickle.dumps(plan, 5, buffer_callback=large.append)
        size = len(data) + sum(buffer.raw().nbytes for buffer in large)
        fingerprint = b""
        # Nodes may change arrays of their functions: the next run needs them as they were.
        if size < _KEPT and all(buffer is plan.nodes.blob for buffer in large):
            fingerprint = fingerprint_of([data, *(buffer.raw() for buffer in large)])
        known = self._sent_plans.take(fingerprint)
        if known is not None:
            return known
        key = new_key()  # no other run has such a head, not even one of the same plan elsewhere
        plan = plan._replace(equipment=sealed(plan.equipment, key))
        payload: Payload
        if count <= _FEW and size < _SMALL:
            payload = pickle.dumps(plan, 5)
        else:
            payload = self._payloads.put(plan, inline=False, owner=f"{self._name.token}-plan-")
        release = partial(self._store.release, payload)
        try:
            scratch = self._store.scratch() if self._settings.driver_pid is not None else None
            files = None if scratch is None else RunFiles(scratch, count)
        except BaseException:
            release()
            raise
        folder = None if files is None else str(files.folder)
        head = envelope_head(self._client, payload, key, folder)
        return SentPlan(fingerprint, head, files, release)

    def payload(self, name: str, store: Store) -> Payload | None:
        """What a value is in a store, if it is there."""
        return self._payloads.payload(name, store)

    def lend(self, name: str) -> StoredValue:
        """A value of the store; it is kept there for as long as the loader."""
        return self._payloads.lend(name)

    def receive(self, name: str) -> None:
        """Bring a value from the catalog of the run to the store, unless it is there."""
        if self._payloads.payload(name, self._store) is None and (
            problems := self._payloads.share(name, known_names=True)
        ):
            raise DatasetError(problems[0].text, dataset=name)

    def submit(self, executor: Executor, order: Order) -> Future[bytes]:
        """Send a unit off, with what its nodes read that is not made in it."""
        if self.files is not None:
            for node in self._sent.intersection(order.nodes):
                self.files.status.clear(node)
            self._sent.update(order.nodes)
        load = Load(
            order.number, array("i", order.nodes), order.attempts, order.holding, order.behind,
            *self._inputs_and_wanted(order.nodes),
        )  # fmt: skip
        assert self._plan is not None  # noqa: S101, by `open`
        envelope = pickle.dumps((self._plan.head, tuple(self._name), tuple(load)), 5)
        submit: Callable[..., Future[bytes]] = executor.submit
        if order.worker is not None:
            submit = partial(executor.submit_behind, order.worker)  # type: ignore[attr-defined]
        elif hasattr(executor, "submit_near") and (near := self.near(order.nodes)) is not None:
            submit = partial(executor.submit_near, near)
        return submit(run_envelope, envelope)

    def near(self, nodes: Sequence[int]) -> int | None:
        """Process id of the worker that has made the largest of what nodes read; None if any."""
        if not self._payloads.makers:
            return None
        reads = self._wiring.reads
        return self._payloads.near(number for node in nodes for number in reads[node])

    def _inputs_and_wanted(
        self, nodes: Sequence[int]
    ) -> tuple[dict[int, Payload], frozenset[int] | None, bool]:
        """What a unit reads of others, what others may read of it, and whether any do: `Load`."""
        reads, writes, values = self._wiring.reads, self._wiring.writes, self._payloads.values
        children, inside = self._children, set(nodes)
        made: set[int] = set()
        inputs: dict[int, Payload] = {}
        wanted: list[int] = []
        leads_on = False
        for node in nodes:
            for number in reads[node]:
                if number not in made and number in values:
                    inputs[number] = values[number]
            made.update(writes[node])
            readers = children[node]
            if not readers or not inside.issuperset(readers):
                wanted += writes[node]
                leads_on = leads_on or bool(readers)
        everything = not self._settings.fuse or len(wanted) == len(made)
        return inputs, None if everything else frozenset(wanted), leads_on

    def read(self, result: bytes) -> UnitResult:
        """Unpack what has come."""
        if self._host is not None and self.files is not None:
            self.files.read_logs()  # a host speaks of a node after the node has spoken
        return unpacked(result)

    def register(self, result: UnitResult) -> None:
        """Take over outputs, and unpack failures."""
        self._payloads.register(result)
        for node, failure in result.failures.items():
            result.failures[node] = unpack(failure, self._client.loads)  # type: ignore[arg-type]

    def is_kept(self, node: int, result: UnitResult) -> bool:
        """Whether all that a node might have handed on has come."""
        handed = self._stretches.handed[node]
        return all(self._number[name] in result.outputs for name in handed)

    def release(self, names: Sequence[str]) -> list[str]:
        """Remove values from the store; let datasets of the user's free what they hold here."""
        return self._payloads.release(names)

    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The catalog's own datasets; in-memory ones now load from the store.

        Raises:
            DatasetError: If one does not take its value. All others have theirs.
        """
        return self._payloads.results(names)

    def abandon(self, node: int, *, handed: bool = False) -> None:
        """Give up what a try of a node has left in the store."""
        self._store.abandon(owner_tag(self._name.token, node), unfinished=handed)
        if handed:
            self._store.abandon(owner_tag(self._name.token, node, handed=True))

    def end(self) -> None:
        """All that was sent has come back, and nothing went wrong: no worker is at anything."""
        self._is_over = True

    def close(self) -> None:
        """Remove every value that is not a result, and the plan unless another run may have it."""
        self._payloads.close()
        if self._plan is None:
            return
        if self._is_over and self._plan.fingerprint:
            self._sent_plans.keep(self._plan)
        else:
            self._plan.close()
