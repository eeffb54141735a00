"""The backend `executorlib`: workers of executorlib, each by itself."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import zmq
from executorlib.api import SocketInterface, SubprocessSpawner, get_command_path

from motorpool import Capabilities, ExecutorBackend, Isolation, hookimpl
from motorpool.adapters import Single, SinglesExecutor, pack_call, run_call, unpack_result
from motorpool.errors import WorkerCrashedError
from motorpool.processes import interpreter_variables, refuse_frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor

__all__ = ["ExecutorlibBackend"]

_START = Path(__file__).with_name("_start.py")
# How often (ms) to look whether a worker lives that cannot be sent anything yet.
_LOOK = 100


class _Process(SubprocessSpawner):  # type: ignore[misc]  # executorlib has no types
    """Starts the process of a worker for executorlib, and keeps it."""

    process: subprocess.Popen[bytes] | None = None

    def bootup(
        self, command_lst: list[str], stop_function: Callable[[], bool] | None = None
    ) -> bool:
        """Start it.

        Args:
            command_lst: The command.
            stop_function: Not used.
        """
        del stop_function
        self.process = subprocess.Popen(  # noqa: S603, ours
            command_lst, stdin=subprocess.DEVNULL, env=interpreter_variables() | os.environ
        )
        return True

    def poll(self) -> bool:
        """Whether it lives, or has died so recently that it does not show yet."""
        return self.process is not None and self.process.poll() is None

    def has_died(self) -> bool:
        """Whether it was started and lives no more, even if that is not known yet."""
        if self.process is None:
            return False
        with contextlib.suppress(ChildProcessError):
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.process.pid, options) is not None
        return True


class _Interface(SocketInterface):  # type: ignore[misc]  # as above
    """Sends without waiting for a worker that has died.

    A PAIR socket whose peer is gone waits for ever to send, and refuses another peer until what
    the first has sent is read.
    """

    def __init__(self, spawner: _Process) -> None:
        super().__init__(spawner=spawner)
        self._socket.linger = 0  # what a dead worker has not read is of no use

    def send_dict(self, input_dict: dict[str, Any]) -> None:
        """Send, as soon as the worker is there; nothing if it is there no more."""
        data = cloudpickle.dumps(input_dict)
        while self._spawner.poll():
            try:
                self._socket.send(data, zmq.NOBLOCK)
            except zmq.Again:
                self._socket.poll(_LOOK, zmq.POLLOUT)
            else:
                return


class _Worker(Single):
    """A worker and its two threads: one talks to it, the other waits for its death.

    executorlib's own executors learn of a death within a second, give the task to the next worker
    until all are dead, and wait for ever for one that dies before it has called.

    Args:
        initializer: What the worker calls when it starts.
    """

    def __init__(self, initializer: Callable[[], None]) -> None:
        self._process = _Process()
        self._command = [
            sys.executable, str(_START), get_command_path("interactive_serial.py"),
            pickle.dumps(sys.path).hex(), pickle.dumps(initializer).hex(),
        ]  # fmt: skip
        self._calls: queue.SimpleQueue[tuple[Future[Any], bytes] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._task: Future[Any] | None = None
        self._crash: WorkerCrashedError | None = None
        self._thread = threading.Thread(target=self._serve, name="motorpool-talk", daemon=True)
        self._thread.start()

    def pid(self) -> int | None:
        """Process id of the worker."""
        process = self._process.process
        return process.pid if process is not None and self.is_usable() else None

    def is_usable(self) -> bool:
        """Whether it has not died."""
        return self._crash is None and not self._process.has_died()

    def schedule(
        self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Future[Any]:
        """Give the worker a task."""
        task: Future[Any] = Future()
        try:
            call = pack_call(fn, args, kwargs)
        except Exception as error:  # noqa: BLE001, whatever pickling raises
            task.set_exception(error)
            return task
        with self._lock:
            self._task = task
        if self._crash is not None:
            task.set_exception(self._crash)
        else:
            self._calls.put((task, call))
        return task

    def end(self) -> None:
        """End the worker."""
        self._calls.put(None)
        self._thread.join()

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the process inherits that
        try:
            interface = _Interface(self._process)
            port = str(interface.bind_to_random_port())
            interface.bootup([*self._command, "--zmqport", port])
        except OSError as error:  # no process, or no port
            self._died(f"it did not start: {error}", None)
            return
        watch = threading.Thread(target=self._watch, name="motorpool-watch", daemon=True)
        watch.start()
        self._talk(interface)
        watch.join()
        interface.shutdown()  # the socket; the process is no more

    def _talk(self, interface: SocketInterface) -> None:
        while self._crash is None and (item := self._calls.get()) is not None:
            task, call = item
            output = interface.send_and_receive_dict(
                {"fn": run_call, "args": (call,), "kwargs": {}}
            )
            with contextlib.suppress(InvalidStateError):  # the worker has died just then
                if "result" in output:
                    unpack_result(task, output["result"])
                elif self._process.poll():  # else `_watch` knows more
                    task.set_exception(output["error"])
        if self._crash is None:
            interface.send_and_receive_dict({"shutdown": True, "wait": True})

    def _watch(self) -> None:
        """See the worker end, and fail its task."""
        process = self._process.process
        exitcode = process.wait() if process is not None else None
        self._died(f"exit code {exitcode}", exitcode)
        self._calls.put(None)

    def _died(self, text: str, exitcode: int | None) -> None:
        crash = WorkerCrashedError(f"The worker died: {text}")
        process = self._process.process
        crash.pid, crash.exitcode = None if process is None else process.pid, exitcode
        with self._lock:
            self._crash = crash
            task = self._task
        if task is not None:
            with contextlib.suppress(InvalidStateError):  # it was done before
                task.set_exception(crash)


class ExecutorlibBackend(ExecutorBackend):
    """Runs nodes in workers of executorlib, on this host."""

    name = "executorlib"
    capabilities = Capabilities(isolation=Isolation.PROCESS, exact_blame=True, kills_workers=True)

    def _get_executor(self, max_workers: int) -> Executor:
        refuse_frozen("executorlib")
        return SinglesExecutor(max_workers, lambda: _Worker(self.initializer))

    def worker_pids(self, executor: Executor) -> list[int]:
        """Process ids of the live workers."""
        return executor.worker_pids() if isinstance(executor, SinglesExecutor) else []


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return ExecutorlibBackend
