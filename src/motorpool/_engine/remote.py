"""How nodes and data get to workers in other processes: as bytes and refs, by way of a store."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import is_ephemeral, release_dataset
from motorpool._datasets.describe import with_size
from motorpool._engine.outputs import save_output
from motorpool._engine.stretches import NO_NODE
from motorpool._engine.tracked import TrackedTransport
from motorpool._protocol.context import capture_context
from motorpool._protocol.equipment import Equipment, new_key
from motorpool._protocol.failure import unpack
from motorpool._protocol.hooks import pickle_hooks, pickle_settings
from motorpool._protocol.messages import Outcome, envelope_head, owner_tag, rows_of
from motorpool._protocol.plan import Plan
from motorpool._protocol.problem import undefined_problem, unpicklable_value
from motorpool._store import OTHERS, StoredValue, payload_size
from motorpool._worker.main import run_envelope
from motorpool.catalog import MemoryDataset
from motorpool.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor, Future

    from motorpool._engine.stretches import Stretches
    from motorpool._engine.transport import Transport
    from motorpool._protocol.host import Host
    from motorpool._protocol.messages import Item
    from motorpool._protocol.plan import PickledNodes, Settings
    from motorpool._protocol.problem import Problem
    from motorpool._store import Collector, Payload, Store
    from motorpool.catalog import RunCatalog


class Shipped(TrackedTransport):
    """Nodes run in other processes; data are payloads, which the driver does not look into.

    Args:
        catalog: The run's datasets.
        nodes: The nodes, pickled.
        datasets: The datasets that workers use themselves, pickled.
        hook_manager: A pluggy manager, or None.
        settings: What holds for every node.
        store: Where values wait.
        stretches: Who hands what to whom.
        host: The framework that the run belongs to, or None.
        peers: The run's other ways, of which some may use the same store.
        script: The names of `__main__` that the nodes refer to; those of inputs are added.
    """

    result_type = bytes

    def __init__(  # noqa: PLR0913, each is a part of its own
        self, *, catalog: RunCatalog, nodes: PickledNodes, datasets: dict[str, bytes],
        hook_manager: Any, settings: Settings, store: Store, stretches: Stretches,
        host: Host | None, script: Collector, peers: Sequence[Transport] = (),
    ) -> None:  # fmt: skip
        super().__init__(settings.scratch)
        self._host, self._peers, self._script = host, peers, script
        self._catalog = catalog
        self._stretches = stretches
        self._store = store
        self._client: Any = store.client
        self._remote = frozenset(datasets)
        self._settings = settings
        self._values: dict[str, Payload] = {}
        self._about: dict[str, str] = {}
        self._makers: dict[str, int] = {}  # of large values: the workers that may have them mapped
        self._borrowed: list[Any] = []  # kept, so that they are not released meanwhile
        self._inputs: Sequence[Sequence[str]] = ()
        self._pickled = (nodes, datasets)
        self._hook_manager = hook_manager
        self._sent: set[int] = set()
        self._plan: Payload | None = None
        self._envelope_head = b""

    def open(self, nodes: Sequence[Any], own: Sequence[Any]) -> list[Problem]:
        """Put the plan and the inputs of the pipeline into the store.

        Args:
            nodes: All nodes of the run.
            own: Those that run here.

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
        written = {name for node in nodes for name in node.outputs}
        reads = {name for node in own for name in node.inputs}
        for name in sorted(reads - written - self._remote):
            problems += self._share(name)
            self._borrowed.append(getattr(self._catalog[name], "source", None))
        self._inputs = [[n for n in node.inputs if n not in self._remote] for node in nodes]
        undefined = self._script.define_all(self._client.dumps)
        problems += [undefined_problem(u) for u in undefined if u.users != {OTHERS}]
        if problems:
            return problems
        key = new_key()
        sealed = Equipment(datasets, hooks, host, process, context).seal(key)
        plan = Plan(
            settings=self._settings, nodes=pickled, sealed=sealed, script=self._script.script()
        )
        # Workers know a plan by its name, which must be no other run's.
        self._plan = self._put(plan, inline=False, owner=f"{self._settings.token}-plan-")
        self._envelope_head = envelope_head(self._client, self._plan, key)
        self._open_files(len(nodes))
        self._pickled = (pickled, {})
        return []

    def _share(self, name: str) -> list[Problem]:
        """Bring an in-memory input to where workers can read it."""
        dataset = self._catalog[name]
        found = [peer.payload(name, self._store) for peer in self._peers]
        found.append(self._store.find(getattr(dataset, "source", None)))
        known = next((payload for payload in found if payload is not None), None)
        if known is not None:
            self._script.want_sent()
            self._values[name] = known
            self._store.retain(known)
            return []
        value = dataset.peek() if isinstance(dataset, MemoryDataset) else dataset.load()
        try:
            with self._script.collecting(shares=False):
                self._values[name] = self._put(value)
            if self._plan is not None and self._script.waits:
                self._values[name] = self._put_with_names(name, value)
        except Exception as error:  # noqa: BLE001, whatever pickling raises is the reason
            return [unpicklable_value(name, value, error)]
        return []

    def payload(self, name: str, store: Store) -> Payload | None:
        """What a value is in a store, if it is there."""
        return self._values.get(name) if store is self._store else None

    def lend(self, name: str) -> StoredValue:
        """A value of the store; it is kept there for as long as the loader."""
        self._store.retain(self._values[name])
        return self._store.pin(self._values[name])

    def receive(self, name: str) -> None:
        """Bring a value from the catalog of the run to the store, unless it is there."""
        if name not in self._values and (problems := self._share(name)):
            raise DatasetError(problems[0].text, dataset=name)

    def submit(self, executor: Executor, items: Sequence[Item]) -> Future[bytes]:
        """Send nodes off, with their in-memory inputs."""
        stretches, values, load = self._stretches, self._values, []
        last = NO_NODE
        for i, (node, ticket, attempt, holds, needs) in enumerate(items):
            if self._status is not None:
                if node in self._sent:
                    self._status.clear(node)
                self._sent.add(node)
            follows = last != NO_NODE and stretches.before[node] == last
            inputs = {n: values[n] for n in self._inputs[node] if not needs or n in values}
            goes_on = i + 1 < len(items) and items[i + 1].node == stretches.following[node]
            handed = stretches.handed[node] if goes_on else ()
            load.append((node, ticket, attempt, holds, inputs, handed, follows, needs))
            last = node
        envelope = pickle.dumps((self._envelope_head, load), 5)
        near = self._near(items) if self._makers and hasattr(executor, "submit_near") else None
        if near is None:
            return executor.submit(run_envelope, envelope)
        future: Future[bytes] = executor.submit_near(near, run_envelope, envelope)  # type: ignore[attr-defined]
        return future

    def _near(self, items: Sequence[Item]) -> int | None:
        """The worker that has made the largest of the nodes' inputs, and may have it mapped."""
        names = {name for item in items for name in self._inputs[item.node]} & self._makers.keys()
        largest = max(names, key=lambda name: payload_size(self._values[name]), default=None)
        return None if largest is None else self._makers[largest]

    def settle(self, result: Any, wanted: Callable[[int, int], bool]) -> list[Outcome]:
        """Register outputs, and unpack failures."""
        if self._host is not None:
            self._read_logs()  # a host speaks of a node after the node has spoken
        outcomes = []
        for row in rows_of(result):
            if not wanted(row[0], row[1]):
                continue
            outcome = Outcome(*row)
            if outcome.failure is None:
                self._about |= outcome.about
                for name, payload in outcome.outputs.items():
                    self._store.retain(payload)
                    if name in self._values:  # of an earlier try that had to be taken back
                        self.release(name)
                    self._values[name] = payload
                    if type(payload) is not bytes:
                        self._makers[name] = outcome.pid
            else:
                failure = unpack(outcome.failure, self._client.loads)  # type: ignore[arg-type]
                outcome = outcome._replace(failure=failure)
            outcomes.append(outcome)
        return outcomes

    def release(self, name: str) -> bool:
        """Remove a value from the store; let a dataset of the user's free what it holds here."""
        if name not in self._values:
            if not is_ephemeral(self._catalog[name]):
                release_dataset(self._catalog[name])
            return False
        self._makers.pop(name, None)
        self._store.release(self._values.pop(name))
        return True

    def results(self, names: Iterable[str]) -> dict[str, Any]:
        """The catalog's own datasets; in-memory ones now load from the store.

        Raises:
            DatasetError: If one does not take its value. All others have theirs.
        """
        found, problems = {}, []
        for name in sorted(names):
            dataset = self._catalog[name]
            if name in self._values and name not in self._remote and not self._is_borrowed(name):
                self._makers.pop(name, None)
                payload = self._values.pop(name)
                source = self._store.pin(payload)
                if isinstance(dataset, MemoryDataset):
                    kind = self._about.get(name, "a value")
                    dataset.bind(source, with_size(kind, payload_size(payload)))
                else:  # an in-memory dataset of another library has no `bind`
                    problems += save_output(name, dataset, source)
            found[name] = dataset
        if problems:
            raise problems[0]
        return found

    def abandon(self, node: int, *, handed: bool = False) -> None:
        """Give up what a try of a node has left in the store."""
        self._store.abandon(owner_tag(self._settings.token, node), unfinished=handed)
        if handed:
            self._store.abandon(owner_tag(self._settings.token, node, handed=True))

    def close(self) -> None:
        """Remove the plan, the status table and every value that is not a result."""
        self._read_logs()
        for name in list(self._values):
            self._store.release(self._values.pop(name))
        if self._plan is not None:
            self._store.release(self._plan)
        super().close()

    def _put(self, value: Any, *, inline: bool = True, owner: str = "") -> Payload:
        payload: Payload = self._client.put(value, inline=inline, owner=owner)
        self._client.end_node()
        self._store.retain(payload)
        return payload

    def _put_with_names(self, name: str, value: Any) -> Payload:
        """Put a value that is of classes which the plan, sent before, does not have."""
        self._store.release(self._values.pop(name))
        for undefined in self._script.define_all(self._client.dumps):
            raise undefined.error
        with self._script.collecting(shares=False):
            return self._put(self._script.carrier(value))

    def _is_borrowed(self, name: str) -> bool:
        source = getattr(self._catalog[name], "source", None)
        return isinstance(source, StoredValue) and source.payload == self._values[name]
