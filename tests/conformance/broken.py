"""Backends that are broken on purpose, one in each way; the kit has to catch them all."""

import contextlib
import functools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil

from motorpool import Capabilities, ExecutorBackend, Isolation
from motorpool._backends.direct.executor import DirectBackend
from motorpool._backends.process import ProcessBackend
from motorpool._store import FileStore

IN_THREADS = Capabilities(isolation=Isolation.THREAD)
IN_PROCESSES = Capabilities(isolation=Isolation.PROCESS)
CONTEXT = multiprocessing.get_context("forkserver")


class Threads(ThreadPoolExecutor):
    """Nothing is wrong with it yet."""

    number = 0


class InThreads(ExecutorBackend):
    """Nothing is wrong with it yet."""

    capabilities = IN_THREADS
    kind = Threads

    def _get_executor(self, max_workers):
        return self.kind(max_workers)


class InProcesses(ProcessBackend):
    """Nothing is wrong with it yet."""

    name = ""


class LosesResult(InThreads):
    """One future is never answered."""

    class kind(Threads):
        def submit(self, fn, /, *args, **kwargs):
            self.number += 1
            future = super().submit(fn, *args, **kwargs)
            return Future() if self.number == 50 else future


class SwapsResults(InThreads):
    """Two futures get each other's result."""

    class kind(Threads):
        held = None

        def submit(self, fn, /, *args, **kwargs):
            self.number += 1
            future = super().submit(fn, *args, **kwargs)
            if self.number == 51:
                future, self.held = self.held, future
            elif self.number == 50:
                self.held = future
                future = super().submit(lambda: self.held.result())
            return future


class RunsTwice(InThreads):
    """A task is run, and run again."""

    class kind(Threads):
        def submit(self, fn, /, *args, **kwargs):
            self.number += 1
            if self.number == 10:
                super().submit(fn, *args, **kwargs)
            return super().submit(fn, *args, **kwargs)


class IgnoresCancel(InThreads):
    """It says that a task is cancelled, and runs it."""

    class kind(Threads):
        def submit(self, fn, /, *args, **kwargs):
            future = super().submit(fn, *args, **kwargs)
            future.cancel = lambda: True
            return future


class SwallowsException(InThreads):
    """A task that raises has the result None."""

    class kind(Threads):
        def submit(self, fn, /, *args, **kwargs):
            def run():
                with contextlib.suppress(Exception):
                    return fn(*args, **kwargs)

            return super().submit(run)


class ManglesTraceback(InThreads):
    """An exception comes without the way to where it was raised."""

    class kind(Threads):
        def submit(self, fn, /, *args, **kwargs):
            outer = Future()

            def tell(future):
                error = future.exception()
                if error is None:
                    outer.set_result(future.result())
                else:
                    outer.set_exception(type(error)(*error.args))

            outer.set_running_or_notify_cancel()
            super().submit(fn, *args, **kwargs).add_done_callback(tell)
            return outer


class LeaksProcess(InProcesses):
    """Each executor starts a process and does not end it."""

    def _get_executor(self, max_workers):
        self.left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        return super()._get_executor(max_workers)


class LeaksSegment(InProcesses):
    """Whatever it pickles stays in a file."""

    @staticmethod
    def dumps(obj, buffer_callback=None):
        def keep(buffer):
            folder = Path(tempfile.gettempdir(), "motorpool-broken")
            folder.mkdir(exist_ok=True)
            Path(tempfile.mkstemp(dir=folder)[1]).write_bytes(buffer.raw())
            return buffer_callback(buffer)

        return InProcesses.dumps(obj, keep if buffer_callback else None)


class DiesOnShutdown(InThreads):
    """Its end is an error."""

    class kind(Threads):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait, cancel_futures=cancel_futures)
            if self.number:
                raise RuntimeError("shut down already")
            self.number = 1


class TakesInterpreterAlong(InThreads):
    """Its end is the end of the process, and not a good one."""

    class kind(Threads):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait, cancel_futures=cancel_futures)
            if "pytest" not in sys.modules:
                os._exit(7)


class ClaimsExactBlame(InProcesses):
    """It declares what the standard library's pool cannot do."""

    capabilities = Capabilities(isolation=Isolation.PROCESS, exact_blame=True)


class ClaimsToKillOne(InProcesses):
    """Killing one of its workers kills them all."""

    capabilities = Capabilities(isolation=Isolation.PROCESS, kills_workers=True)


class ClaimsToPlaceTasks(InProcesses):
    """It sends tasks anywhere."""

    capabilities = Capabilities(isolation=Isolation.PROCESS, places_tasks=True)

    def _get_executor(self, max_workers):
        executor = super()._get_executor(max_workers)
        executor.submit_near = lambda pid, fn, *args: executor.submit(fn, *args)
        return executor


class ClaimsToQueueTasks(InProcesses):
    """It queues tasks anywhere."""

    capabilities = Capabilities(isolation=Isolation.PROCESS, queues_tasks=True)

    def _get_executor(self, max_workers):
        executor = super()._get_executor(max_workers)
        executor.lone_calls = dict
        executor.submit_behind = lambda pid, fn, *args: executor.submit(fn, *args)
        return executor


class PlacesTasks(DirectBackend):
    """Nothing is wrong with it but that it does not say what it can do."""

    name = ""
    capabilities = Capabilities(isolation=Isolation.PROCESS, exact_blame=True)

    def kill_worker(self, executor, pid):
        """Kill all of them."""
        for each in executor.worker_pids():
            executor.kill_worker(each)


class ClaimsIsolation(InThreads):
    """It declares processes of its own, and has none."""

    capabilities = IN_PROCESSES


def serve(connection):
    """What the one worker of `OnePipe` does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError):
        while True:
            fn, args, kwargs = connection.recv()
            try:
                answer = True, fn(*args, **kwargs)
            except BaseException as error:
                answer = False, error
            connection.send(answer)


class OnePipe:
    """An executor of one process, which writes a task to a pipe and reads what comes back."""

    def __init__(self):
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.waiting, self.lock = [], threading.Lock()

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.connection.send((fn, args, kwargs))
        self.waiting.append(future)
        future.exception = functools.partial(self._answer, future)
        return future

    def _answer(self, future, timeout=None):
        while future in self.waiting:
            if not self.connection.poll(timeout):
                raise TimeoutError
            well, value = self.connection.recv()
            first = self.waiting.pop(0)
            first.set_result(value) if well else first.set_exception(value)
        return Future.exception(future, timeout)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.process.kill()
        self.process.join()
        self.connection.close()


class BlocksOnFullPipe(ExecutorBackend):
    """It reads no results while it writes tasks."""

    capabilities = IN_PROCESSES

    def _get_executor(self, max_workers):
        return OnePipe()


class HangsOnUnpicklableResult(BlocksOnFullPipe):
    """Its worker dies of such a result, and the death is not noticed."""


class SharesMutatedInput(InProcesses):
    """A worker that has unpickled a value once gives the same object to each of its nodes."""

    known: dict = {}

    @staticmethod
    def loads(data, buffers=None):
        if buffers:
            return pickle.loads(data, buffers=buffers)
        data = bytes(data)
        if data not in SharesMutatedInput.known:
            SharesMutatedInput.known[data] = pickle.loads(data)
        return SharesMutatedInput.known[data]


class TooManyWorkers(InThreads):
    """Twice as many as were asked for."""

    def _get_executor(self, max_workers):
        return ThreadPoolExecutor(2 * max_workers)


class TooFewWorkers(InThreads):
    """One, whatever was asked for."""

    def _get_executor(self, max_workers):
        return ThreadPoolExecutor(1)


class LosesTheCap(InThreads):
    """It overrides what caps the number of workers."""

    def get_executor(self, max_workers=None):
        return self._get_executor(max_workers)


class IsNotReusable(InThreads):
    """It has one executor for all, and the first shutdown ends it for all."""

    one: list = []

    def _get_executor(self, max_workers):
        if not self.one:
            self.one.append(ThreadPoolExecutor(max_workers))
        return self.one[0]


class SubmitsAfterShutdown(InThreads):
    """It takes tasks that it will never run."""

    class kind(Threads):
        def submit(self, fn, /, *args, **kwargs):
            return Future() if self._shutdown else super().submit(fn, *args, **kwargs)


class DoesNotWait(InThreads):
    """`shutdown(wait=True)` returns at once."""

    class kind(Threads):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)


class SwallowsOptions(InThreads):
    """It does not check its options."""

    def __init__(self, **options):
        super().__init__()


class HidesDeath(InProcesses):
    """A task whose worker died is never answered."""

    def _get_executor(self, max_workers):
        executor = super()._get_executor(max_workers)
        submit = executor.submit

        def silent(fn, /, *args, **kwargs):
            outer = Future()

            def tell(future):
                error = future.exception()
                if error is None:
                    outer.set_result(future.result())
                elif "terminated abruptly" not in str(error):
                    outer.set_exception(error)

            outer.set_running_or_notify_cancel()
            submit(fn, *args, **kwargs).add_done_callback(tell)
            return outer

        executor.submit = silent
        return executor


class KeepsInterpreterAlive(InThreads):
    """A script that forgets `shutdown` never ends."""

    class kind(Threads):
        def __init__(self, max_workers):
            super().__init__(max_workers)
            self.over = threading.Event()
            threading.Thread(target=self.over.wait).start()

        def shutdown(self, wait=True, *, cancel_futures=False):
            self.over.set()
            super().shutdown(wait, cancel_futures=cancel_futures)


class NamesTheWrongWorkers(InProcesses):
    """Killing its workers has no effect."""

    def worker_pids(self, executor):
        return [1]


class NeverCallsBack(InThreads):
    """Its futures forget who waits for them."""

    class kind(Threads):
        def submit(self, fn, /, *args, **kwargs):
            future = super().submit(fn, *args, **kwargs)
            future.add_done_callback = lambda _: None
            return future


class KeepsFilesFromTheCluster(InProcesses):
    """Says that its workers are elsewhere, and passes values on in files of this host."""

    capabilities = Capabilities(isolation=Isolation.CLUSTER, shares_memory=False)

    def open_store(self, *, memory_limit=None, readonly_inputs=False):
        return FileStore.create(type(self).dumps, type(self).loads)


def _is_dead(pid):
    """Whether a process has ended, even if it has not been waited for yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class GivesUpInSilence(InProcesses):
    """When idle workers have died, it takes tasks and never runs them."""

    def _get_executor(self, max_workers):
        executor = super()._get_executor(max_workers)
        submit = executor.submit

        def silent(fn, /, *args, **kwargs):
            if any(_is_dead(process.pid) for process in executor.started):
                return Future()
            return submit(fn, *args, **kwargs)

        executor.submit = silent
        return executor


class WaitsForTheDead(InProcesses):
    """A worker that is killed before it has said anything is waited for, as by executorlib."""

    def _get_executor(self, max_workers):
        executor = super()._get_executor(max_workers)
        submit, hello = executor.submit, []

        def silent(fn, /, *args, **kwargs):
            outer = Future()
            hello.append(submit(os.getpid))

            def go_on(begun):
                if begun.exception() is None:
                    submit(fn, *args, **kwargs).add_done_callback(
                        lambda future: outer.set_result(future.result())
                    )

            hello[-1].add_done_callback(go_on)
            return outer

        executor.submit = silent
        return executor
