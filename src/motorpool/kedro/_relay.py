"""Hooks that run in the driver, for nodes that run elsewhere.

worker: Relay  -- name of the hook, its arguments -->  driver: Switchboard --> the hooks
               <-- what they returned or raised --
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import threading
from multiprocessing.connection import Client, Connection, Listener
from typing import TYPE_CHECKING, Any, Self

import cloudpickle
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.specs import DatasetSpecs, NodeSpecs
from pluggy import PluginManager

from motorpool._protocol.failure import pack, unpack
from motorpool._store import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HOOKS = (
    "before_dataset_loaded", "after_dataset_loaded", "before_node_run", "after_node_run",
    "on_node_error", "before_dataset_saved", "after_dataset_saved",
)  # fmt: skip
_BACKLOG = 61
# What has become of a request.
_ANSWERED, _FAILED, _UNREAD = range(3)
_connections: dict[tuple[int, Any], Connection] = {}
_lock = threading.Lock()


class Switchboard:
    """Calls the driver's hooks for workers; a context manager, for one run.

    Args:
        hook_manager: The driver's.
        nodes: The nodes of the run.
        catalog: The catalog that hooks are shown.
    """

    def __init__(self, hook_manager: Any, nodes: Iterable[Any], catalog: Any) -> None:
        self._relay = hook_manager.hook
        self._nodes = {node.name: node for node in nodes}
        self._catalog = catalog
        self._key = secrets.token_bytes(32)
        self._calling = threading.Lock()  # hooks need not be ready for several at a time
        self._connections: list[Connection] = []
        self._threads: list[threading.Thread] = []
        self._closed = False

    def __enter__(self) -> Self:
        self._listener = Listener(_new_address(), authkey=self._key, backlog=_BACKLOG)
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closed = True
        with contextlib.suppress(OSError, EOFError):
            Client(self._listener.address, authkey=self._key).close()  # wakes it
        self._threads[0].join()
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # the worker has hung up
                _hang_up(connection)
        for thread in self._threads:
            thread.join()

    def manager(self) -> PluginManager:
        """A hook manager for workers, which asks here."""
        wanted = [name for name in _HOOKS if getattr(self._relay, name).get_hookimpls()]
        manager = PluginManager("kedro")
        manager.add_hookspecs(NodeSpecs)
        manager.add_hookspecs(DatasetSpecs)
        if wanted:
            manager.register(Relay(self._listener.address, self._key, frozenset(wanted)))
        return manager

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except Exception:  # noqa: BLE001, a peer without the key, or one that has hung up
                if self._closed:
                    return
                continue
            if self._closed:
                connection.close()
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name="motorpool-hooks", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, connection: Connection) -> None:
        with connection, contextlib.suppress(EOFError, OSError):  # until the peer hangs up
            while True:
                connection.send_bytes(self._answer(connection.recv_bytes()))

    def _answer(self, request: bytes) -> bytes:
        outcome = _UNREAD
        try:
            name, node, arguments = cloudpickle.loads(request)
            outcome = _FAILED
            arguments["node"] = self._nodes[node]
            if "is_async" in arguments:
                arguments["catalog"] = self._catalog
            with self._calling:
                answers = getattr(self._relay, name)(**arguments)
            return _pickled((_ANSWERED, answers))
        except BaseException as error:  # noqa: BLE001, the node fails with it
            return _pickled((outcome, pack(error, _pickled, cloudpickle.loads)))


class Unpicklable:
    """Stands for a value that cannot leave its worker, such as a generator, where hooks see it.

    So it does for one that pickles well, and cannot be unpickled.

    Attributes:
        kind: Name of the value's class.
    """

    def __init__(self, value: Any) -> None:
        self.kind = type(value).__name__

    def __repr__(self) -> str:
        return f"<a {self.kind}, which cannot leave its worker>"


def _without_unpicklable(arguments: dict[str, Any]) -> dict[str, Any]:
    replaced: dict[str, Any] = {}
    for name, value in arguments.items():
        try:
            cloudpickle.loads(_pickled(value))
            replaced[name] = value
        except Exception:  # noqa: BLE001, as above
            if isinstance(value, dict):
                replaced[name] = _without_unpicklable(value)
            elif isinstance(value, BaseException):
                failure = pack(value, _pickled, cloudpickle.loads)
                replaced[name] = unpack(failure, cloudpickle.loads)
            else:
                replaced[name] = Unpicklable(value)
    return replaced


def _pickled(message: Any) -> bytes:
    return dumps(message, None)


def _new_address() -> Any:
    """Where to listen: a socket of this machine alone, and on Linux one that leaves no file."""
    if sys.platform == "linux":
        return f"\0motorpool-{secrets.token_hex(16)}"
    return None if hasattr(socket, "AF_UNIX") else ("127.0.0.1", 0)


def _hang_up(connection: Connection) -> None:
    """End a connection that another thread waits for."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


class Relay:
    """Hooks in a worker that have the driver's called.

    Args:
        address: Where the switchboard listens.
        key: What it asks for.
        wanted: The hooks that the driver has.
    """

    def __init__(self, address: Any, key: bytes, wanted: frozenset[str]) -> None:
        self._address = address
        self._key = key
        self._wanted = wanted

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Any) -> None:
        self._ask("before_dataset_loaded", node, dataset_name=dataset_name)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any, node: Any) -> None:
        self._ask("after_dataset_loaded", node, dataset_name=dataset_name, data=data)

    @hook_impl
    def before_node_run(self, node: Any, inputs: Any, is_async: bool, run_id: str) -> Any:
        replaced: dict[str, Any] = {}
        about = {"inputs": inputs, "is_async": is_async, "run_id": run_id}
        for answer in self._ask("before_node_run", node, **about):
            if not isinstance(answer, dict):
                return answer  # the engine says what is wrong with it
            replaced |= answer
        return replaced

    @hook_impl
    def after_node_run(
        self, node: Any, inputs: Any, outputs: Any, is_async: bool, run_id: str
    ) -> None:
        about = {"inputs": inputs, "is_async": is_async, "run_id": run_id}
        self._ask("after_node_run", node, outputs=outputs, **about)

    @hook_impl
    def on_node_error(
        self, error: Exception, node: Any, inputs: Any, is_async: bool, run_id: str
    ) -> None:
        about = {"inputs": inputs, "is_async": is_async, "run_id": run_id}
        self._ask("on_node_error", node, error=error, **about)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, data: Any, node: Any) -> None:
        self._ask("before_dataset_saved", node, dataset_name=dataset_name, data=data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Any) -> None:
        self._ask("after_dataset_saved", node, dataset_name=dataset_name, data=data)

    def _ask(self, name: str, node: Any, **arguments: Any) -> list[Any]:
        if name not in self._wanted:
            return []
        try:
            request = _pickled((name, node.name, arguments))
        except Exception:  # noqa: BLE001, whatever of it cannot be pickled
            request = None
        answer: Any
        outcome, answer = (_UNREAD, None) if request is None else self._exchange(request)
        if outcome == _UNREAD:
            fit = _without_unpicklable(arguments)
            outcome, answer = self._exchange(_pickled((name, node.name, fit)))
        if outcome != _ANSWERED:
            raise unpack(answer, cloudpickle.loads)
        return answer or []

    def _exchange(self, request: bytes) -> tuple[int, Any]:
        with _lock:  # a node may load with several threads
            connection = self._connection()
            connection.send_bytes(request)
            outcome, answer = cloudpickle.loads(connection.recv_bytes())
        return outcome, answer

    def _connection(self) -> Connection:
        me = (os.getpid(), self._address)
        if me not in _connections:
            for old in [known for known in _connections if known != me]:
                _connections.pop(old).close()
            _connections[me] = Client(self._address, authkey=self._key)
        return _connections[me]
