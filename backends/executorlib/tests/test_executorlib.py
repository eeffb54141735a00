"""What is executorlib's own, beside what the kit tests."""

import os
import queue
import signal
import threading
from concurrent.futures import Future

import pytest
from functions import LIMIT, wait_until

import motorpool_executorlib
from motorpool import registry
from motorpool.adapters import pack_call
from motorpool.errors import WorkerCrashedError
from motorpool.testing import BackendConformance


@pytest.mark.matrix
class TestExecutorlib(BackendConformance):
    """By the kit."""

    backend = "executorlib"
    patience = 300.0


def test_entry_point_names_the_backend():
    """Found by name, and nowhere mentioned in the engine."""
    assert registry.get("executorlib").__module__ == "motorpool_executorlib"


class HeldQueue(queue.SimpleQueue):
    """Hands a thing on when it is released, as to a thread that gets no time meanwhile."""

    def __init__(self):
        self.taken, self.released = threading.Event(), threading.Event()

    def get(self):
        item = super().get()
        self.taken.set()
        self.released.wait()
        return item


def test_shutdown_ends_though_a_worker_dies_as_it_is_sent_a_task():
    """A PAIR socket whose peer has gone waits for ever to send, and for ever refuses another."""
    worker = motorpool_executorlib._Worker(os.getpid)
    assert worker.schedule(len, ("ab",), {}).result(LIMIT) == 2
    calls, worker._calls = worker._calls, HeldQueue()
    calls.put((Future(), pack_call(len, ("abc",))))  # the thread goes on with the new queue
    task = worker.schedule(len, ("abc",), {})
    assert worker._calls.taken.wait(LIMIT)
    os.kill(worker.pid(), signal.SIGKILL)
    assert wait_until(lambda: worker._crash is not None, LIMIT)
    worker._calls.released.set()
    ending = threading.Thread(target=worker.end, daemon=True)
    ending.start()
    ending.join(LIMIT)
    assert not ending.is_alive()
    with pytest.raises(WorkerCrashedError):
        task.result(0)
