"""A real control group with little memory, and nodes that want more."""

import json
import os
import subprocess

import pytest

from motorpool._engine import memory
from motorpool._system import cgroup

SCRIPT = """
import json, os, sys, time
from motorpool import ParallelRunner, errors, events, node, pipeline

backend, folder, case = sys.argv[1:]

def note(name):
    with open(f"{folder}/roll-call", "a") as file:
        file.write(name + "\\n")

def endless(folder):
    note("endless")
    hold = []
    while True:
        hold.append(b"x" * 10_000_000)
        time.sleep(0.005)

def is_alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

def large(folder, me, other):
    note(me)
    with open(f"{folder}/{me}.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{folder}/{me}.new", f"{folder}/{me}")
    while not os.path.exists(f"{folder}/{other}"):
        time.sleep(0.005)
    beside = open(f"{folder}/{other}").read()
    hold = []
    for _ in range(11):  # 220 MB: room for one of them
        hold.append(b"x" * 20_000_000)
        time.sleep(0.02)
    open(f"{folder}/{me} has it", "w").close()
    while is_alive(beside) and not os.path.exists(f"{folder}/{other} has it"):
        time.sleep(0.005)
    return me

def small(folder, number):
    note(f"small{number}")
    return number

def smalls():
    return [node(lambda f, i=i: small(f, i), "f", f"o{i}", name=f"small{i}") for i in range(4)]

pipe = {
    "endless": [node(endless, "f", "never", name="endless"), *smalls()],
    "pair": [
        node(lambda f: large(f, "a", "b"), "f", "x", name="a"),
        node(lambda f: large(f, "b", "a"), "f", "y", name="b"),
    ],
}[case]
seen = []

class Recorder:
    def on_event(self, event):
        if isinstance(event, events.WorkerLost):
            seen.append([event.node, event.innocent, event.out_of_memory])

found = {"lost": seen}
try:
    runner = ParallelRunner(backend, max_workers=2, on_failure="continue", observers=[Recorder()])
    found["results"] = [d.load() for d in runner.run(pipeline(pipe), {"f": folder}).values()]
except errors.OutOfMemoryError as error:
    found["error"] = [error.node, error.held, error.peak, error.limit, str(error)]
print(json.dumps(found))
"""


@pytest.fixture
def starve(with_little_memory, tmp_path):
    """Run a case on a backend; return what it printed, and who ran how often."""

    def starve(backend, case):
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        done = with_little_memory(script, backend, tmp_path, case)
        assert done.returncode == 0, done.stderr
        names = (tmp_path / "roll-call").read_text().split()
        return json.loads(done.stdout), {n: names.count(n) for n in names}

    return starve


def test_node_that_runs_out_of_memory_is_tried_alone_then_fails(process_backend, starve):
    """With the figures; no other node is charged, or run twice for it."""
    found, tries = starve(process_backend, "endless")
    node, held, peak, limit, text = found["error"]
    assert node == "endless"
    assert tries["endless"] == 2
    assert limit == 400 * 2**20
    assert 0 < held <= limit
    assert held <= peak <= limit
    assert "out of memory, with no other node beside it" in text
    assert [None, ["endless"], True] in found["lost"]
    assert ["endless", [], True] in found["lost"]
    assert {n for n in tries if n != "endless"} == {f"small{i}" for i in range(4)}


def test_nodes_that_run_out_of_memory_together_run_in_turn(process_backend, starve):
    """Memory runs out once; both succeed."""
    found, tries = starve(process_backend, "pair")
    assert sorted(found["results"]) == ["a", "b"]
    assert sum(tries.values()) in {3, 4}  # loky kills the neighbour as well
    assert any(starved for _, _, starved in found["lost"])


@pytest.fixture
def kills(monkeypatch):
    """The kernel's count of processes that it has killed, to be set."""
    count = [5]
    monkeypatch.setattr(cgroup, "oom_kills", lambda: count[0])
    return count


def test_oom_kill_is_counted_once_and_only_for_sigkill(kills):
    """Or for one of which nothing is known."""
    watch = memory.MemoryWatch()
    kills[0] = 6
    assert not watch.take_kill(-11)
    assert watch.take_kill(-9)
    assert not watch.take_kill(-9)
    kills[0] = 7
    assert watch.take_kill(None)


def test_oom_kill_that_no_worker_died_of_is_dropped(kills):
    """The count is the group's, or the machine's."""
    watch = memory.MemoryWatch()
    watch.look([os.getpid()])
    kills[0] = 6
    watch.look([os.getpid()])  # it may be killed just now
    watch.look([os.getpid()])
    assert not watch.take_kill(-9)
    kills[0] = 7
    assert watch.take_kill(-9)


def test_oom_kill_is_kept_until_the_missing_worker_is_noticed(kills, monkeypatch):
    """However long it takes to hear of its death, on a machine that is busy; and not for ever."""
    now = [1000.0]
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    worker = subprocess.Popen(["sleep", "600"])
    watch = memory.MemoryWatch()
    watch.look([os.getpid(), worker.pid])
    kills[0] = 6
    worker.kill()
    worker.wait()
    for seconds, kept in [(20, True), (20, False)]:
        for _ in range(seconds * 5):
            now[0] += 0.2
            watch.look([os.getpid()])
        assert (watch._counted < 6) == kept
