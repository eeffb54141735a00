"""The table of which worker is at which node."""

import os
import subprocess
import sys

from motorpool._protocol.status import StatusTable


def test_start_and_finish_are_seen_through_another_view(tmp_path):
    """As driver and worker have one each."""
    driver = StatusTable(tmp_path / "j", 3)
    worker = StatusTable(tmp_path / "j")
    start, finish = worker.stampers()
    start(1)
    assert driver.running(1).pid == os.getpid()
    assert driver.running(0) is None
    finish(1)
    assert driver.running(1) is None


def test_stop_reaches_workers(tmp_path):
    """Through the first byte."""
    driver = StatusTable(tmp_path / "j", 1)
    worker = StatusTable(tmp_path / "j")
    assert not worker.flags[0]
    driver.stop()
    assert worker.flags[0]
    driver.go_on()
    assert not worker.flags[0]


def test_stamp_outlives_a_killed_worker(tmp_path):
    """What it had started is still there when it is gone."""
    driver = StatusTable(tmp_path / "j", 1)
    code = (
        "import os, signal, pathlib; from motorpool._protocol.status import StatusTable\n"
        f"StatusTable(pathlib.Path({str(tmp_path / 'j')!r})).stampers()[0](0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    assert process.wait() == -9
    assert driver.running(0).pid == process.pid
    driver.clear(0)
    assert driver.running(0) is None
