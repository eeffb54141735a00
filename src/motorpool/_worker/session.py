"""A plan, as one worker knows it: its store, the files that the driver reads, and the run.

Runs of the same plan share a session. What nodes may have changed is made anew for each of them:
functions, the names of the script, the context.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool._pipeline.form import Form
from motorpool._protocol.context import CapturedContext, NodeContext
from motorpool._protocol.equipment import Equipment, sealed
from motorpool._protocol.hooks import load_hooks
from motorpool._protocol.logs import redirect
from motorpool._protocol.messages import owner_tag
from motorpool._protocol.plan import RunName
from motorpool._protocol.spool import OUTCOMES, SpoolWriter
from motorpool._protocol.status import STATUS, StatusTable
from motorpool._store import INLINE_LIMIT, Pickled, ScriptModule, as_main
from motorpool._worker.process_state import StateGuard
from motorpool._worker.setup import set_up_interpreter, set_up_process
from motorpool._worker.task import FunctionNode, Hooks
from motorpool._worker.values import IMMUTABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from motorpool._protocol.host import Host
    from motorpool._protocol.plan import Plan
    from motorpool._protocol.wiring import Wiring
    from motorpool._store import Payload, Ref, StoreClient
    from motorpool._worker.behind import LeftBehind

_spool = SpoolWriter(OUTCOMES)
_spool_lock = threading.Lock()
# A function that takes less (s) may delay the news of the nodes before it.
BRISK = 0.005


class Session:
    """A plan, as one worker knows it, and the run that is under way.

    Args:
        client: Reads and writes values.
        plan: Where the plan is.
        key: Of what is sealed in it.
        scratch: Folder of the status table and the logs, or None.

    Attributes:
        client: Reads and writes values.
        settings: What holds for every node.
        run: Name of the run.
        status: Where nodes are stamped as started and finished, or None.
        start: Stamps a node as started.
        finish: Likewise, as finished.
        flags: Whose first item is 1 while nodes that have not started should not start any more.
        owned: What this process writes for the driver; None if the worker is not Motorpool's own.
        guard: Has the state of this process restored after nodes, if it is Motorpool's own.
        left: What the last unit has left, if nodes of another one may need it.
        host: The framework that the run belongs to, or None.
        hooks: What is called around each node.
        context: What each node begins with.
        reads: For each node the numbers of what it reads.
        writes: Likewise, of what it writes.
        handed: Numbers of the datasets that nodes may hand to the next of their stretch.
        immutable: The types of which readers may have the very object.
        call_of: For each node that is no more than a function the number of that; or -1.
        forms, form_of: Forms by number, None for the usual one; the form of each of these nodes.
        brisk: Functions that are known, take little time and leave nothing behind, by number;
            None for others, and for -1.
    """

    def __init__(self, client: Any, plan: Ref, key: bytes, scratch: str | None) -> None:
        self.client: StoreClient = client
        self._plan: Plan = client.get(plan)
        self._equipment = Equipment.unpacked(sealed(self._plan.equipment, key))
        self.settings = self._plan.settings
        self._scratch = Path(scratch) if scratch else None
        self._open_status()
        self._wire(self._plan)
        self.guard: StateGuard | None = None
        self.left: LeftBehind | None = None
        self.run = RunName("", "")
        self._beginning = threading.Lock()

    def begin(self, name: tuple[str, str]) -> None:
        """Make ready for the run of a `RunName`, unless it is the one that is under way."""
        with self._beginning:  # a worker may be a thread, beside others of the same run
            if self.run != name:
                self._begin(RunName(*name))

    def _begin(self, run: RunName) -> None:
        client, equipment, self.left = self.client, self._equipment, None
        self._functions: dict[int, Any] = {}
        self._datasets: dict[str, Any] = {}
        self.brisk: list[Any] = [None] * (len(self._plan.nodes.functions) + 1)
        self.owned = set_up_process(self.settings)
        self._own = self.owned or set_up_interpreter()
        script = self._plan.script
        self._script = None if script.is_here else ScriptModule(script, client.loads)
        with self.as_main():
            own = self._own
            changed = own is not None and own.settings.use(equipment.process, client.loads)
            context = CapturedContext.loads(equipment.context, client.loads)
            host = equipment.host
            self.host: Host | None = None if host is None else client.loads(host)
            self.hooks = Hooks(load_hooks(equipment.hooks, client.loads))
            context.run(
                self.hooks.call, "motorpool_worker_started", backend=self.settings.backend,
                run_id=run.run_id,
            )  # fmt: skip
            self.context = NodeContext(context)  # with what the hooks have set in it
        changed = changed or equipment.hooks is not None or self.guard is None
        if self.owned is not None and changed:
            self.owned.state.capture()
            self.guard = StateGuard(self.owned.state)
        if self._own is not None:
            redirect(self._own.log, self.settings.log_levels)  # imports may have changed it
        self.run = run

    def _open_status(self) -> None:
        """Open the table in which nodes are stamped, if there is one."""
        self.status = StatusTable(self._scratch / STATUS) if self._scratch else None
        self.start: Callable[[int], None] = _ignore
        self.finish: Callable[[int], None] = _ignore
        self.flags: Any = bytearray(1)
        if self.status is not None:
            (self.start, self.finish), self.flags = self.status.stampers(), self.status.flags

    def _wire(self, plan: Plan) -> None:
        """Find out who reads and writes what, and which nodes are no more than functions."""
        nodes, self._before, self.handed = plan.nodes, plan.before, plan.handed
        self._wiring: Wiring = plan.wiring
        self.reads, self.writes = self._wiring.reads, self._wiring.writes
        direct = self.settings.fuse and self.settings.checkpoint is None
        self.immutable = IMMUTABLE if direct else frozenset[type]()
        self.form_of = nodes.plain
        self.forms = [None, None, *self._wiring.forms]
        self.call_of = [
            function if plain else -1
            for function, plain in zip(nodes.function_of, nodes.plain, strict=True)
        ]

    def as_main(self) -> AbstractContextManager[None]:
        """Give this process the names of the user's script; while it lasts, or for good."""
        return as_main(self._script, stays=self.owned is not None)

    def attach_output(self) -> None:
        """Let what this process writes for its driver go to the files of this run."""
        if self.owned is not None:
            if self.owned.settings.use(self._equipment.process, self.client.loads):
                self.owned.state.capture()
            self.owned.faults.point_to(self._scratch)
        if self._own is not None:
            self._own.log.point_to(self._scratch)

    def take_logs(self) -> bytes:
        """Log records that no file takes, for `handle_taken`."""
        return b"" if self._own is None else self._own.log.take()

    @property
    def stopping(self) -> bool:
        """Whether nodes that have not started should not start any more."""
        return bool(self.flags[0])

    @property
    def pressed(self) -> bool:
        """Whether other nodes wait for a worker."""
        return self.status is not None and self.status.pressed

    def node(self, index: int) -> Any:
        """A node; it is run once, so it is not kept, unlike its function."""
        number = self.call_of[index]
        if number < 0:
            return self._plan.nodes.load(index, self._function, self._loaded)
        inputs, outputs = (
            [self.dataset_name(i) for i in numbers]
            for numbers in (self.reads[index], self.writes[index])
        )
        form = self.forms[self.form_of[index]] or Form.usual(len(inputs))
        name = self._wiring.names[0][index]
        return FunctionNode(name, inputs, outputs, form, self._function(number))

    def dataset_name(self, number: int) -> str:
        """The name of a dataset."""
        return self._wiring.names[1][number]

    def parents(self, index: int) -> Sequence[int]:
        """The nodes that a node waits for."""
        return self._wiring.parents[index]

    def before(self, index: int) -> int:
        """The node before another in its stretch, or -1."""
        return self._before[index] if self._before else -1

    def function_of(self, index: int) -> int:
        """The number of a node's function; -1 for a node of another kind."""
        return self._plan.nodes.function_of[index]

    def dataset(self, name: str) -> Any | None:
        """A dataset that workers use themselves, or None."""
        pickled = self._equipment.datasets
        if name not in pickled:
            return None
        if name not in self._datasets:
            self._datasets[name] = self._loaded(Pickled(pickled[name], ()))
        return self._datasets[name]

    def allocate(self, node: int, nbytes: int) -> memoryview | None:
        """Memory of the store for an array of a node; None if there is none."""
        return self.client.allocate(nbytes, owner_tag(self.run.token, node))

    def put(self, value: Any, node: int, *, consume: bool, handed: bool) -> Payload:
        """Keep a node's value in the store.

        Args:
            value: The value.
            node: The node.
            consume: Whether the value itself ends with it.
            handed: Whether it is for the next node alone, so that the driver does not know of it.
        """
        owner = owner_tag(self.run.token, node, handed=handed)
        return self.client.put(value, owner=owner, consume=consume)

    def protect(self, array: Any) -> None:
        """Make a large array that is handed on read-only, if the run says so."""
        if self.client.readonly and array.nbytes > INLINE_LIMIT:
            array.flags.writeable = False

    def look_after(self, index: int, seconds: float) -> None:
        """A node has run: restore the state of this process if need be, and learn from it."""
        function = self.function_of(index)
        if self.guard is not None:
            self.guard.after(function, seconds)
        if function >= 0:
            tidy = self.guard is None or self.guard.is_tidy(function)
            known = self._functions.get(function) if tidy and seconds < BRISK else None
            self.brisk[function] = known

    def is_brisk(self, index: int) -> bool:
        """Whether the function of a node is known to take little time."""
        return self.brisk[self.function_of(index)] is not None

    def passed(self, functions: Iterable[int]) -> None:
        """Nodes of brisk functions have run, without a look at what they have left."""
        if self.guard is not None:
            self.guard.passed(functions)

    def look(self) -> None:
        """Restore the state of this process, if need be."""
        if self.guard is not None:
            for function in self.guard.look():
                self.brisk[function] = None

    @property
    def publishes(self) -> bool:
        """Whether there is a way for news to get to the driver before a unit is done."""
        return self._scratch is not None

    def publish(self, result: bytes) -> None:
        """Send news to the driver before a unit is done.

        Raises:
            OSError: If there is no room for it.
        """
        with _spool_lock:  # a worker may be a thread, beside one of another run
            _spool.point_to(self._scratch)
            _spool.write(result)

    def _function(self, index: int) -> Any:
        if index not in self._functions:
            self._functions[index] = self._loaded(self._plan.nodes.functions[index])
        return self._functions[index]

    def _loaded(self, pickled: Pickled) -> Any:
        """Unpickle; what imports change in this process by the way is meant for all nodes.

        But for where log records go.
        """
        value = pickled.load(self.client.loads)
        if self.owned is not None and self.owned.state.capture_imports():
            redirect(self.owned.log, self.settings.log_levels)
        return value


def _ignore(_index: int) -> None:
    """There is no table to stamp nodes in."""


def close_output() -> None:
    """Close the files that this worker writes for its driver."""
    _spool.close()
    own = set_up_interpreter()
    if own is not None:
        own.log.point_to(None)
