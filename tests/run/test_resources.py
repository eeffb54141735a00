"""Nodes that take resources, on real workers."""

import itertools
import subprocess
import sys

import functions
import pytest
from kedro.pipeline import node as kedro_node

from motorpool import ParallelRunner, Pipeline, node, pipeline
from motorpool.errors import PipelineError, ValidationError

GPU = {"gpu": 1}


def overlap(result):
    """Names of nodes that ran at the same time, as pairs."""
    spans = {name: dataset.load() for name, dataset in result.items()}
    return {
        (a, b)
        for (a, (a0, a1)), (b, (b0, b1)) in itertools.combinations(sorted(spans.items()), 2)
        if a0 < b1 and b0 < a1
    }


def test_nodes_that_need_the_same_thing_run_one_after_the_other(any_backend, run):
    """And the others beside them."""
    nodes = [
        node(functions.interval, "s", f"gpu{i}", name=f"gpu{i}", resources=GPU) for i in range(3)
    ]
    nodes += [node(functions.interval, "s", f"any{i}", name=f"any{i}") for i in range(3)]
    result = run(any_backend, pipeline(nodes), {"s": 0.05}, resources=GPU)
    assert len(result) == 6
    assert not [pair for pair in overlap(result) if {name[:3] for name in pair} == {"gpu"}]


def test_cpus_of_a_node_are_not_there_for_others(process_backend, run):
    """Of two workers one stands idle while a node takes both cores."""
    nodes = [
        node(functions.interval, "s", "wide", name="wide", resources={"cpu": 2}),
        *[node(functions.interval, "s", f"n{i}", name=f"n{i}") for i in range(4)],
    ]
    result = run(process_backend, pipeline(nodes), {"s": 0.05}, resources={"cpu": 2})
    assert not [pair for pair in overlap(result) if "wide" in pair]


def test_retried_and_crashed_nodes_give_back_what_they_had(process_backend, run):
    """Else the next one would wait for ever."""
    nodes = [
        node(functions.kill_self, "s", "a", name="dies", resources=GPU),
        node(len, "s", "b", name="fails", resources=GPU, retries=1),
        node(functions.interval, "s", "c", name="works", resources=GPU),
    ]
    with pytest.raises(ExceptionGroup) as caught:
        run(process_backend, pipeline(nodes), {"s": 0.0}, resources=GPU, on_failure="continue")
    assert len(caught.value.exceptions) == 2


def test_what_there_will_never_be_enough_of_is_refused_before_anything_runs(any_backend):
    """All of it together, with the way out."""
    pipe = pipeline(
        [
            node(len, "x", "a", name="many", resources={"cpu": 1000}),
            node(len, "x", "b", name="big", resources={"memory": "900TiB"}),
            node(len, "x", "c", name="gpus", resources={"gpu": 2}),
            node(len, "x", "d", name="odd", resources={"licence": 0.5}),
        ]
    )
    with pytest.raises(ValidationError) as caught:
        ParallelRunner(any_backend, runs_folder=False, resources=GPU).run(pipe, {"x": ""})
    text = str(caught.value)
    assert "'many' takes 1000 of 'cpu', of which the runner has" in text
    assert "'big' takes 9.22e+05 GiB of 'memory', of which the runner has" in text
    assert "'gpus' takes 2 of 'gpu', of which the runner has 1 in all: it could never run" in text
    assert "resources={'licence': ...} or --resource licence=..." in text


def test_node_that_says_nothing_is_refused_where_there_is_less_than_one_cpu():
    """It takes one where cpus are counted, and would wait for ever."""
    pipe = pipeline(
        [
            node(len, "x", "a", name="half", resources={"cpu": 0.5}),
            node(len, "x", "b", name="silent"),
        ]
    )
    runner = ParallelRunner("threads", runs_folder=False, resources={"cpu": 0.5})
    with pytest.raises(ValidationError, match="'silent' says nothing of 'cpu', and so takes 1"):
        runner.run(pipe, {"x": ""})


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (3, "must be a dict such as"),
        ({"cpu": 0}, "'cpu' must be a positive number, not 0"),
        ({"cpu": True}, "'cpu' must be a positive number, not True"),
        ({"cpu": float("inf")}, "'cpu' must be a positive number, not inf"),
        ({"memory": "lots"}, "'memory' must be a size such as '4GiB', not 'lots'"),
        ({"": 1}, "the name of a resource is a text"),
        ({7: 1}, "the name of a resource is a text, not 7"),
    ],
)
def test_mistakes_are_named_where_they_are_made(value, complaint):
    """By the node, with its name, and by the runner."""
    with pytest.raises(PipelineError, match="Node 'n': ") as caught:
        node(len, "x", "y", name="n", resources=value)
    assert complaint in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        ParallelRunner(resources=value)
    assert complaint in str(caught.value)


def test_nodes_of_kedro_and_whole_pipelines_get_them_by_settings():
    """A node of theirs has none of its own."""
    pipe = Pipeline([kedro_node(functions.interval, "s", f"o{i}", name=f"n{i}") for i in range(3)])
    pipe = pipe.with_settings(resources=GPU)
    assert [n.resources for n in pipe.nodes] == [GPU] * 3
    result = ParallelRunner("threads", max_workers=3, resources=GPU).run(pipe, {"s": 0.03})
    assert overlap(result) == set()
    with pytest.raises(PipelineError, match="positive number"):
        pipe.with_settings(resources={"gpu": -1})


def test_command_line_says_what_there_is(tmp_path):
    """And is told what is not there."""
    (tmp_path / "pipe.py").write_text(
        "from motorpool import node, pipeline as make\n"
        "pipeline = make([node(len, 'x', 'y', resources={'gpu': 1, 'memory': '1MB'})])\n"
        "catalog = {'x': 'abc'}\n"
    )

    def run(*arguments):
        command = [sys.executable, "-m", "motorpool", "run", "pipe.py", "-b", "sequential"]
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
            timeout=functions.LIMIT,
        )  # fmt: skip

    refused = run()
    assert refused.returncode == 2
    assert "--resource gpu=..." in refused.stderr
    done = run("--resource", "gpu=1", "--resource", "memory=1GB", "--print", "y")
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    wrong = run("--resource", "gpu=many")
    assert wrong.returncode == 2
    assert "could not convert string to float: 'many'" in wrong.stderr
