"""Maps of segments, when threads of one worker use them at the same time."""

import mmap
import os
import sys
import threading

import pytest

from motorpool._store.maps import Maps


@pytest.fixture
def segment(tmp_path):
    """Make a small file; return a descriptor and a map of it, until the test is over."""
    opened = []

    def make(name):
        fd = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, mmap.PAGESIZE)
        opened.append((fd, mmap.mmap(fd, mmap.PAGESIZE)))
        return opened[-1]

    yield make
    for fd, mapped in opened:
        mapped.close()
        os.close(fd)


class Emptied(dict):
    """What another thread makes of it between two steps of this one."""

    def __init__(self, items, *, before):
        super().__init__(items)
        self._before = before

    def __iter__(self):
        if self._before:
            self.clear()
            return super().__iter__()  # StopIteration follows
        found = super().__iter__()
        self.clear()
        return found  # RuntimeError follows: it has changed its size


@pytest.mark.parametrize("before", [True, False])
def test_written_map_is_kept_though_another_thread_takes_the_others(segment, before):
    """With `is_async` threads save side by side; the oldest map may be gone meanwhile."""
    maps = Maps()
    for name in map(str, range(16)):
        maps._keep_written(*segment(name))
    maps._written = Emptied(maps._written, before=before)
    fd, mapped = segment("last")
    maps._keep_written(fd, mapped)
    assert list(dict.values(maps._written)) == [mapped]


def test_threads_keep_maps_side_by_side(segment):
    """With or without a lock of the interpreter."""
    maps, errors = Maps(), []
    rows = [[segment(f"{thread}-{i}") for i in range(20)] for thread in range(6)]

    def keep(row):
        try:
            for n in range(1000):
                maps._keep_written(*row[n % len(row)])
        except BaseException as error:  # whatever it is, the test fails
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=keep, args=(row,)) for row in rows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []
