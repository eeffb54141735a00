"""What authors of plug-ins make executors of; the kit tests the executors, in `backends`."""

import threading
from concurrent.futures import Future

import pytest
from awkward_functions import one_way, raise_leave, raise_unpicklable
from functions import Unpicklable, add, fail, make_unpicklable

from motorpool.adapters import (
    RemoteTraceback,
    Single,
    SinglesExecutor,
    pack_call,
    run_call,
    unpack_result,
)
from motorpool.errors import WorkerCrashedError


def outcome(fn, *args, **kwargs):
    """What comes of a call by way of bytes."""
    future = Future()
    unpack_result(future, run_call(pack_call(fn, args, kwargs)))
    return future


def test_result_comes_back():
    """With arguments by position and name."""
    assert outcome(add, 1, 2).result() == 3
    assert outcome(dict, a=1).result() == {"a": 1}


def test_exception_comes_back_with_its_traceback():
    """Which leads to the line."""
    error = outcome(fail, 1).exception()
    assert isinstance(error, ValueError)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "functions.py" in str(error.__cause__)
    assert "in fail" in str(error.__cause__)


@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (make_unpicklable, "this one stays here"),
        (raise_unpicklable, "cannot be pickled"),
        (one_way, ""),
        (raise_leave, ""),
    ],
)
def test_unpicklable_result_is_an_exception(fn, said):
    """And never a worker that dies, or a future that stays pending."""
    error = outcome(fn, 1).exception(timeout=0)
    assert error is not None
    assert said in str(error)


def test_unpicklable_call_raises_in_submit():
    """Before anything is sent."""
    with pytest.raises(TypeError, match="stays here"):
        pack_call(len, [Unpicklable()])


class Local(Single):
    """A worker that runs tasks here, and dies of the task `None`."""

    def __init__(self, made):
        self.ended = threading.Event()
        made.append(self)

    def schedule(self, fn, args, kwargs):
        future = Future()
        if fn is None:
            future.set_exception(WorkerCrashedError("The worker died: it was told to"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future

    def end(self):
        self.ended.set()


def test_worker_that_has_died_is_replaced():
    """And ended; the others stay."""
    made = []
    with SinglesExecutor(1, lambda: Local(made)) as executor:
        assert executor.submit(len, "abc").result() == 3
        with pytest.raises(WorkerCrashedError, match="told to"):
            executor.submit(None).result()
        assert made[0].ended.wait(300)
        assert executor.submit(len, "ab").result() == 2
        assert len(made) == 2
    assert made[1].ended.is_set()


def test_worker_that_does_not_start_is_the_tasks_error():
    """Each time anew."""

    def new():
        raise OSError("no more processes")

    with SinglesExecutor(2, new) as executor:
        for _ in range(2):
            with pytest.raises(OSError, match="no more processes"):
                executor.submit(len, "abc").result()
