"""Ctrl-C and SIGTERM to a real process group, and to the kernel of a notebook."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from functions import LIMIT, wait_until

from motorpool._system.signals import Interrupts
from motorpool.cli._observers import Outcome
from motorpool.cli._run import _exit_code
from motorpool.cli._signals import Signals, Terminated

BACKENDS = ["direct", "process", "loky", "multiprocess", "threads", "sequential"]


def check_end(process, code, *, starting=False):
    """Exit code, and nothing left; how long it takes is measured by `benchmarks/soak.py`."""
    _, errors = process.communicate(timeout=LIMIT)
    wait_until(lambda: not process.members())
    # An interrupt in an import may leave Python to end by the signal, which a shell calls 130 too.
    assert process.returncode in ({code, -signal.SIGINT} if starting else {code}), errors
    assert not process.members()
    assert not list(process.temporary.glob("*motorpool-*"))
    if not (starting and "loky" in process.args):  # its workers may say how they were interrupted
        assert "Traceback" not in errors, errors
    return errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_signal_to_the_group_ends_everything(start, backend, number, code):
    """Workers gone, nothing left, a command to run the rest."""
    process = start(backend)
    assert process.stdout.readline() == "waiting\n"
    os.killpg(process.pid, number)
    errors = check_end(process, code)
    assert re.search(r"To run the rest:\n  .*motorpool run --resume \S+ waits.py .*\n", errors)


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("backend", BACKENDS)
def test_signal_at_any_moment_of_the_start(start, backend, delay):
    """From the command's first line on: while modules load, and while workers come up."""
    process = start(backend)
    assert wait_until(lambda: _catches(process.pid, signal.SIGTERM))
    time.sleep(delay)  # at several moments; each will do
    os.killpg(process.pid, signal.SIGINT)
    check_end(process, 130, starting=True)


def _catches(pid, number):
    """Whether a process has a handler for a signal, read from Linux's `/proc`."""
    mask = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())[1]
    return int(mask, 16) >> (number - 1) & 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_second_signal_does_not_hang(start, backend):
    """It ends in the same way as after one signal."""
    process = start(backend)
    assert process.stdout.readline() == "waiting\n"
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.03)
    _, errors = process.communicate(timeout=LIMIT)
    wait_until(lambda: not process.members())
    assert process.returncode == 130, errors
    assert errors.count("Interrupted.") == 1
    assert not process.members()
    assert not list(process.temporary.glob("*motorpool-*"))


def test_errors_after_a_signal_are_reported_as_an_interrupt():
    """As a worker that the same signal has ended while it was being started."""

    def start():
        with Interrupts(lambda: None, active=True):
            signal.raise_signal(signal.SIGINT)  # kill may reach another thread first
            raise EOFError

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("held_up", [0.0, 0.2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_that_python_swallows_is_raised_again(number, held_up, monkeypatch):
    """As in the callback of a weak reference, of which imports have many."""
    start = threading.Thread.start

    def start_and_wait(thread):
        start(thread)
        time.sleep(held_up)  # as on a machine that is busy

    monkeypatch.setattr(threading.Thread, "start", start_and_wait)

    class Swallows:
        def __del__(self):
            signal.raise_signal(number)

    def wait():
        Swallows()
        threading.Event().wait(LIMIT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job ignores it
    try:
        with Signals(), pytest.raises((KeyboardInterrupt, Terminated)):
            wait()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("linked", ["cause", "context"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_that_other_code_makes_another_error_of_is_one(number, code, linked, capsys):
    """As Python 3.11 does where a class is made, which imports do by the hundred."""

    def wraps():
        try:
            signal.raise_signal(number)
        except BaseException as error:
            if linked == "cause":
                raise RuntimeError("Error calling __set_name__") from error
            raise OSError("cannot be closed")  # noqa: B904, as careless code does

    def fails():
        raise RuntimeError("of its own")

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as above
    try:
        with Signals() as signals:
            with pytest.raises(RuntimeError, match="of its own"):
                _exit_code(fails, Outcome(), signals)
            assert _exit_code(wraps, Outcome(), signals) == (None, code)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert capsys.readouterr().err in {"Interrupted.\n", "Terminated.\n"}


CELL = """
import threading
from pathlib import Path
from motorpool import ParallelRunner, node, pipeline

def hang(path):
    Path(path).touch()
    threading.Event().wait(600)

pipe = pipeline([node(hang, "path", f"y{i}") for i in range(4)])
ParallelRunner("BACKEND", max_workers=2).run(pipe, {"path": PATH})
"""
NEXT_CELL = """
pipe = pipeline(node(len, "word", "n"))
print(ParallelRunner("BACKEND", max_workers=2).run(pipe, {"word": "again"})["n"].load())
"""
CLIENT = """
import json, os, sys, time
from jupyter_client.manager import start_new_kernel

def reply(number):
    while True:
        message = client.get_shell_msg(timeout=300)
        if message["parent_header"].get("msg_id") == number:
            return message["content"]

def wait_for(text):
    while text not in str(client.get_iopub_msg(timeout=300)["content"].get("text", "")):
        pass

first, second, path = sys.argv[1:]
manager, client = start_new_kernel(kernel_name="python3", startup_timeout=300)
number = client.execute(first, stop_on_error=False)  # which may end the second one as well
while not os.path.exists(path):
    time.sleep(0.01)
manager.interrupt_kernel()
answer = reply(number)
number = client.execute(second)
wait_for("5")
print(json.dumps([answer["status"], answer.get("ename"), reply(number)["status"]]))
manager.shutdown_kernel(now=True)
"""


@pytest.mark.parametrize("backend", ["direct", "process", "loky", "multiprocess"])
def test_kernel_of_a_notebook_survives(backend, tmp_path):
    """The interrupted cell ends with KeyboardInterrupt, and the next one runs."""
    path = str(tmp_path / "running")
    cells = [c.replace("BACKEND", backend).replace("PATH", repr(path)) for c in (CELL, NEXT_CELL)]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *cells, path], capture_output=True, text=True, check=False,
        timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["error", "KeyboardInterrupt", "ok"]
