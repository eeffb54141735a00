"""A real control group with little memory, and nodes that want more."""

import json

import pytest

from motorpool import _cgroup, _memory

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

def large(folder, me, other):
    note(me)
    open(f"{folder}/{me}", "w").close()
    while not os.path.exists(f"{folder}/{other}"):
        time.sleep(0.005)
    hold = []
    for _ in range(11):  # 220 MB: room for one of them
        hold.append(b"x" * 20_000_000)
        time.sleep(0.02)
    time.sleep(0.5)
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


def test_node_that_wants_too_much_is_tried_alone_then_fails(process_backend, starve):
    """With the figures; nobody else is charged, or run twice for it."""
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


def test_nodes_that_are_too_much_together_run_one_after_the_other(process_backend, starve):
    """Memory runs out once; both succeed."""
    found, tries = starve(process_backend, "pair")
    assert sorted(found["results"]) == ["a", "b"]
    assert sum(tries.values()) in {3, 4}  # loky kills the neighbour as well
    assert any(starved for _, _, starved in found["lost"])


def test_kill_of_another_process_is_forgotten(monkeypatch):
    """The count is the group's, or the machine's: what rose long ago was somebody else's death."""
    count, now = [5], [1000.0]
    monkeypatch.setattr(_cgroup, "oom_kills", lambda: count[0])
    monkeypatch.setattr(_memory.time, "monotonic", lambda: now[0])
    watch = _memory.MemoryWatch()
    count[0] = 6
    assert not watch.take_kill(-11)  # not by SIGKILL, so not for want of memory
    assert watch.take_kill(-9)
    assert not watch.take_kill(-9)
    count[0] = 7  # somebody else's
    for _ in range(20):
        now[0] += 0.2
        watch.look([])
    assert not watch.take_kill(-9)
    count[0] = 8
    assert watch.take_kill(None)
