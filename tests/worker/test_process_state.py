"""What nodes leave in their process, and when it is put back."""

import os
import signal
import sys

import pytest

from motorpool._worker.process_state import ProcessState, StateGuard

# The timer is one of the things that are looked at.
pytestmark = pytest.mark.timeout(60, method="thread")

LEFT = "MOTORPOOL_TEST_LEFT"
SHORT, LONG = 1e-6, 0.1


@pytest.fixture
def state():
    """The state of this process."""
    state = ProcessState()
    yield state
    state.restore()
    for fd in state._spares:
        os.close(fd)


def leave_variable():
    os.environ[LEFT] = "1"


def leave_folder():
    os.chdir("/")


def leave_signal():
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def leave_mask():
    os.umask(0o123)


def leave_path():
    sys.path.append("left")


def leave_recursion():
    sys.setrecursionlimit(sys.getrecursionlimit() + 1)


def leave_timer():
    signal.setitimer(signal.ITIMER_REAL, 1000)


def leave_stream():
    sys.stdout = None


@pytest.mark.parametrize(
    "leave",
    [
        leave_variable, leave_folder, leave_signal, leave_mask, leave_path, leave_recursion,
        leave_timer, leave_stream,
    ],
)  # fmt: skip
def test_what_was_left_is_put_back_and_said(state, leave):
    """Each of these, and nothing if there is nothing."""

    def look():
        mask = os.umask(0o077)
        os.umask(mask)
        return (
            os.getcwd(), dict(os.environ), signal.getsignal(signal.SIGUSR1), mask, list(sys.path),
            sys.getrecursionlimit(), signal.getitimer(signal.ITIMER_REAL), sys.stdout,
        )  # fmt: skip

    state.capture()  # pytest has changed it since the fixture was made
    before = look()
    assert not state.restore()
    leave()
    assert look() != before
    assert state.restore()
    assert look() == before
    assert not state.restore()


def test_first_node_of_a_function_is_looked_at_and_later_ones_when_their_unit_ends(state):
    """Unless they have taken long."""
    state.capture()
    guard = StateGuard(state)
    guard.after(0, SHORT)
    leave_variable()
    guard.after(0, SHORT)
    assert LEFT in os.environ
    guard.look()
    assert LEFT not in os.environ
    guard.after(1, SHORT)
    leave_variable()
    guard.after(1, LONG)
    assert LEFT not in os.environ


def test_function_that_has_left_something_is_looked_at_after_each_node(state):
    """In its first node or later; so are those that may have been it."""
    state.capture()
    guard = StateGuard(state)
    for function in (0, 1, 2):
        guard.after(function, SHORT)
    leave_variable()
    guard.after(0, SHORT)
    guard.after(1, SHORT)
    guard.look()
    for function, stays in ((0, False), (1, False), (2, True), (-1, False)):
        leave_variable()
        guard.after(function, SHORT)
        assert (LEFT in os.environ) == stays
        guard.look()
