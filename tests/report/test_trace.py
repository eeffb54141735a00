"""Traces of runs, as programs that show them read them."""

import json
import os
import time

import pytest
from functions import add, fail, identity

from motorpool import ParallelRunner, node, pipeline
from motorpool._report.recording import Recording
from motorpool._report.trace import write_trace
from motorpool.errors import WorkerCrashedError


def die_once(folder):
    """Kill this process the first time."""
    path = os.path.join(folder, "died")
    if not os.path.exists(path):
        open(path, "w").close()
        os._exit(3)
    return 1


def nap(x):
    """Let another thread run."""
    time.sleep(0.0005)
    return x


def wait(x):
    """Take long enough for memory to be looked at."""
    time.sleep(0.6)
    return x


@pytest.fixture
def traced(tmp_path):
    """Run a pipeline, and read its trace."""

    def run(nodes, data, backend="direct", **settings):
        def finish(recording):
            with (tmp_path / "trace.json").open("w") as file:
                write_trace(file, recording)

        observers = [Recording(finish)]
        try:
            ParallelRunner(backend, 2, observers=observers, **settings).run(pipeline(nodes), data)
        except Exception as error:
            caught = error
        else:
            caught = None
        found = json.loads((tmp_path / "trace.json").read_text())
        assert found["otherData"]["backend"] == backend
        return found["traceEvents"], caught

    return run


def slices(events, kind="node"):
    return {e["name"]: e for e in events if e["ph"] == "X" and e["cat"] == kind}


def assert_nested(events):
    """Slices of one track follow each other, or lie one within the other."""
    tracks = {}
    for event in events:
        if event["ph"] == "X":
            tracks.setdefault((event["pid"], event["tid"]), []).append(event)
    for track in tracks.values():
        open_until = []
        for event in sorted(track, key=lambda e: (e["ts"], -e["dur"])):
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            end = event["ts"] + event["dur"]
            assert not open_until or end <= open_until[-1], event
            open_until.append(end)


@pytest.mark.parametrize("backend", ["direct", "threads", "sequential"])
def test_trace_has_each_node_on_the_track_of_its_worker(traced, backend):
    """With its parts within, the run on the driver's track, and names of tracks."""
    nodes = [node(identity, "x", f"y{i}", name=f'"a{i}" \\ é') for i in range(5)]
    events, _ = traced([*nodes, node(wait, "y0", "z", name="b")], {"x": bytes(10)}, backend)
    found = slices(events)
    assert set(found) == {*(f'"a{i}" \\ é' for i in range(5)), "b"}
    assert found["b"]["dur"] >= 600_000
    assert found["b"]["args"]["waited us"] >= 0
    first = found['"a0" \\ é']
    assert first["ts"] + first["dur"] <= found["b"]["ts"] + 1000
    (call,) = [e for e in events if e["ph"] == "X" and e["name"] == "call" and e["dur"] > 500_000]
    assert (call["pid"], call["tid"]) == (found["b"]["pid"], found["b"]["tid"])
    assert_nested(events)
    (whole,) = slices(events, "run").values()
    assert whole["pid"] == os.getpid()
    assert not [e for e in events if "ts" in e and not 0 <= e["ts"] <= whole["dur"]]
    names = {e["args"]["name"] for e in events if e["name"] == "process_name"}
    workers = {e["pid"] for e in found.values()} - {os.getpid()}
    assert names == {"driver", *(f"worker {i + 1}" for i in range(len(workers)))}


def test_short_nodes_of_several_threads_do_not_overlap_on_a_track(traced):
    """However short they are: what shows the trace would leave out those that do."""
    nodes = [node(nap, "x", f"y{i}", name=f"n{i}") for i in range(200)]
    events, _ = traced(nodes, {"x": 1}, "threads")
    assert len(slices(events)) == 200
    assert_nested(events)
    tracks = {(e["pid"], e["tid"]) for e in slices(events).values()}
    assert len(tracks) >= 2


def test_trace_counts_nodes_and_memory(traced):
    """How many run and how many could, at each moment; and bytes, as often as is cheap."""
    nodes = [node(wait, "x", f"y{i}", name=f"w{i}") for i in range(4)]
    events, _ = traced(nodes, {"x": 1})
    counters = {}
    for event in events:
        if event["ph"] == "C":
            counters.setdefault(event["name"], []).append(event["args"][event["name"]])
    assert max(counters["running nodes"]) == 2
    assert max(counters["ready nodes"]) >= 2
    assert counters["running nodes"][-1] == counters["ready nodes"][-1] == 0
    assert min(counters["memory (MiB)"]) > 10


def test_trace_of_a_run_that_fails_has_what_went_wrong(traced):
    """Each try that failed, and whether there was another."""
    nodes = [node(fail, "x", "y", name="bad"), node(add, ["x", "x"], "z", name="good")]
    events, caught = traced(nodes, {"x": 1}, retries=1)
    assert caught is not None
    instants = [e for e in events if e["ph"] == "i"]
    assert [e["name"] for e in instants] == ["bad failed, trying again", "bad failed, giving up"]
    assert [e["args"]["attempt"] for e in instants] == [1, 2]
    assert type(caught).__name__ in instants[0]["args"]["error"]


def test_trace_of_a_crash_has_the_worker_that_died(traced, tmp_path):
    """On its track, with the node that it died in."""
    events, caught = traced([node(die_once, "folder", "y", name="deadly")],
                            {"folder": str(tmp_path)})  # fmt: skip
    assert isinstance(caught, WorkerCrashedError)
    (lost,) = [e for e in events if e["ph"] == "i" and e["cat"] == "crash"]
    assert lost["name"] == "worker lost in deadly"
    assert lost["pid"] != os.getpid()


def test_trace_of_a_run_in_which_nothing_ran_is_a_trace(traced):
    """With a driver, and no worker."""
    events, caught = traced([node(fail, "x", "y", name="bad")], {"x": 1})
    assert caught is not None
    assert slices(events, "run")
