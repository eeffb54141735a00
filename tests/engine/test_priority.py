"""Which node goes first, and what is known of nodes from earlier runs."""

import json
import subprocess
import sys
from random import Random

from functions import add, append, identity
from graphs import acyclic
from hypothesis import given
from hypothesis import strategies as st

from motorpool import ParallelRunner, SequentialRunner, node, pipeline
from motorpool._engine.lane import Lane
from motorpool._engine.priority import urgency
from motorpool._journal.history import History
from motorpool._pipeline.graph import Graph


def order(pipe, seconds=None):
    """Names of the nodes, the most urgent first."""
    graph = Graph.from_pipeline(pipe.nodes, pipe.node_dependencies)
    expected = [(seconds or {}).get(n.name) for n in pipe.nodes]
    return [pipe.nodes[i].name for i in urgency(graph, pipe.nodes, expected)]


def named(name, inputs, outputs):
    return node(add if isinstance(inputs, list) else identity, inputs, outputs, name=name)


PIPE = pipeline(
    [
        named("short", "x", "a"),
        named("long", "x", "b"),
        named("long2", "b", "c"),
        named("long3", "c", "d"),
    ]
)


def test_longest_path_goes_first_in_nodes_or_in_seconds():
    """Seconds of an earlier run count where there are any; a new node takes what is usual."""
    assert order(PIPE) == ["long", "long2", "long3", "short"]
    known = {"short": 9.0, "long": 1.0, "long2": 1.0, "long3": 1.0}
    assert order(PIPE, known) == ["short", "long", "long2", "long3"]
    assert order(PIPE, {"long3": 1.0, "long": 1.0}) == ["long", "long2", "long3", "short"]


def test_among_equal_paths_the_node_that_frees_memory_goes_first():
    """Two inputs with one reader against one with several."""
    pipe = pipeline(
        [
            *(named(f"make{i}", "x", f"v{i}") for i in range(3)),
            named("a_keeps", "v0", "r0"),
            named("b_frees", ["v1", "v2"], "r1"),
            named("c_reads", ["v0", "x"], "r2"),
        ]
    )
    assert order(pipe)[3:] == ["b_frees", "a_keeps", "c_reads"]
    alike = {n.name: 1.0 + i / 100 for i, n in enumerate(pipe.nodes)}
    assert order(pipe, alike)[3:] == ["b_frees", "a_keeps", "c_reads"]


@given(acyclic(), st.builds(Random, st.integers(0, 2**32)))
def test_equal_input_gives_equal_order(parents, random):
    """All nodes are there once, whatever is known; without durations, parents come first."""
    nodes = [node(add, [f"o{p}" for p in sorted(set(ps))] or None, f"o{i}", name=f"n{i}")
             for i, ps in enumerate(parents)]  # fmt: skip
    expected = [random.choice([None, random.random()]) for _ in nodes]
    found = urgency(Graph.from_parents(parents), nodes, expected)
    assert sorted(found) == list(range(len(nodes)))
    assert found == urgency(Graph.from_parents(parents), nodes, expected)
    by_hops = urgency(Graph.from_parents(parents), nodes, [None] * len(nodes))
    rank = {member: i for i, member in enumerate(by_hops)}
    assert all(rank[p] < rank[i] for i, ps in enumerate(parents) for p in ps)


def slow_first(path):
    """Two nodes without parents: by hop count the second has the longer path behind it."""

    def take(name, seconds):
        def run(x):
            import time

            append(path, name)
            time.sleep(seconds)
            return x

        return run

    return pipeline(
        [
            node(take("heavy", 1.0), "x", "y", name="heavy"),
            node(take("light", 0.001), "x", "z", name="light"),
            node(take("after", 0.001), "z", "out", name="after"),
        ]
    )


def test_second_run_starts_with_the_longest_nodes(tmp_path):
    """In one process by what the runner remembers; in another by the journal."""
    path = str(tmp_path / "ran")
    pipe = slow_first(path)
    runner = SequentialRunner(runs_folder=tmp_path / "runs")
    for _ in range(2):
        runner.run(pipe, {"x": 1})
    SequentialRunner(runs_folder=tmp_path / "runs").run(pipe, {"x": 1})
    ran = (tmp_path / "ran").read_text().split()
    assert [ran[i : i + 3] for i in (0, 3, 6)] == [
        ["light", "after", "heavy"], ["heavy", "light", "after"], ["heavy", "light", "after"],
    ]  # fmt: skip


def test_durations_are_forgotten_when_a_nodes_code_changes(tmp_path):
    """A journal of older code, of other nodes, or one that cannot be read is not used."""
    runs = tmp_path / "runs"
    runs.mkdir()
    shape = [["n", [], ["o"], "code"], ["m", [], ["p"], "code"]]
    for number, rows in enumerate([shape, [["n", [], ["o"], "older"]], [["else", [], [], "c"]]]):
        head = {"journal": 2, "pipeline": rows}
        lines = [head, *({"completed": row[0], "seconds": number + 0.5} for row in rows)]
        text = "\n".join(map(json.dumps, lines)) + '\n{"half'
        (runs / f"2026-0{number + 1}.jsonl").write_text(text)
    (runs / "2026-09.jsonl").mkdir()
    assert History().expected(shape, ["n", "m"], runs) == [None, None]  # the newest is older code
    (runs / "2026-02.jsonl").unlink()
    assert History().expected(shape, ["n", "m"], runs) == [0.5, 0.5]
    assert History().expected(shape, ["n"], tmp_path / "nowhere") == [None]
    assert History().expected([], ["n"], None) == [None]


def test_short_nodes_of_known_duration_are_batched_from_the_start(tmp_path):
    """Without them, the first node of a function travels alone, to see how long it takes."""
    script = """
import sys
from motorpool import ParallelRunner, node, pipeline
from motorpool._engine.lane import Lane

sent = []
submit = Lane.submit
Lane.submit = lambda self, unit: (sent.append(len(unit.nodes)), submit(self, unit))[1]

def nothing(x):
    return x

pipe = pipeline([node(nothing, "x", f"o{i}", name=f"n{i}") for i in range(64)])
ParallelRunner("direct", max_workers=2, runs_folder=sys.argv[1]).run(pipe, {"x": 1})
print(max(sent[:2]))
"""
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "runs")]
    first, second = (int(subprocess.check_output(command, timeout=300)) for _ in range(2))
    assert first == 1
    assert second > 1


def test_another_pipeline_of_the_same_functions_is_batched_from_the_start(monkeypatch):
    """On workers that have run them: no node of the second one was ever seen."""
    sent, submit = [], Lane.submit

    def watched(lane, unit):
        sent.append(len(unit.nodes))
        return submit(lane, unit)

    monkeypatch.setattr(Lane, "submit", watched)
    one, other = (
        pipeline([node(abs, "x", f"{name}{i}", name=f"{name}{i}") for i in range(64)])
        for name in "ab"
    )
    with ParallelRunner("direct", max_workers=2, runs_folder=False) as runner:
        runner.run(one, {"x": 1})
        assert sent[0] == 1
        known = runner._resources.places[""].pool.durations
        while any(seconds > 1e-4 for seconds, _ in known.values()):  # the machine was busy
            runner.run(one, {"x": 1})
        sent.clear()
        runner.run(other, {"x": 1})
        assert sent[0] > 1


def test_parallel_runs_of_one_runner_share_durations(tmp_path):
    """The second run knows the first one's nodes; nothing is asked of another pipeline's."""
    runner = ParallelRunner("threads", runs_folder=tmp_path)
    runner.run(pipeline(named("a", "x", "y")), {"x": 1})
    runner.run(pipeline(named("b", "x", "y")), {"x": 1})
    assert runner.run(pipeline(named("a", "x", "y")), {"x": 2})["y"].load() == 2
