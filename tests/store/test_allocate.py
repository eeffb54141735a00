"""Whose memory an array is made in."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from motorpool import allocate
from motorpool._store.allocate import allocating

SIZE = 100_000


class Source:
    """Gives memory, and remembers how often."""

    def __init__(self):
        self.memory = []

    def __call__(self, nbytes):
        self.memory.append(bytearray(nbytes))
        return memoryview(self.memory[-1])

    def owns(self, array):
        """Whether an array lies in its memory."""
        return any(np.shares_memory(array, np.frombuffer(m, "u1")) for m in self.memory)


def test_two_nodes_in_two_threads_have_their_own_memory():
    """Also when they begin and end in the same order."""
    first, second = Source(), Source()
    both_run, one_ended = threading.Barrier(2), threading.Event()

    def early():
        with allocating(first):
            both_run.wait()
            array = allocate(SIZE)
        one_ended.set()
        return array

    def late():
        with allocating(second):
            both_run.wait()
            early_array = allocate(SIZE)
            one_ended.wait()
            return early_array, allocate(SIZE)

    with ThreadPoolExecutor(2) as threads:
        of_first, of_second = threads.submit(early), threads.submit(late)
        assert first.owns(of_first.result())
        assert all(second.owns(array) for array in of_second.result())
    assert (len(first.memory), len(second.memory)) == (1, 2)


def test_thread_of_a_node_has_the_memory_of_the_node():
    """As long as it is the only one that runs in the process."""
    source = Source()
    with ThreadPoolExecutor(1) as threads, allocating(source):
        assert source.owns(threads.submit(allocate, SIZE).result())


def test_thread_of_one_of_two_nodes_has_memory_of_neither():
    """Such a thread belongs to no node for certain, so it gets an ordinary array."""
    first, second = Source(), Source()
    with ThreadPoolExecutor(1) as threads, allocating(first), allocating(second):
        array = threads.submit(allocate, SIZE).result()
    assert array.shape == (SIZE,)
    assert not first.memory + second.memory


def test_no_node_means_an_ordinary_array():
    """After the last one has ended."""
    source = Source()
    with allocating(source):
        pass
    assert allocate(SIZE).shape == (SIZE,)
    assert not source.memory
