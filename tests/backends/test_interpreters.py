"""Interpreters in one process, as an executor of the caller's own."""

import concurrent.futures
import logging
import sys

import functions
import pytest
from functions import fail, increment

from motorpool import DataCatalog, ParallelRunner, node, pipeline

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="InterpreterPoolExecutor is in Python 3.14 and later"
)


@pytest.fixture(autouse=True, scope="module")
def _ctypes_is_loaded():
    """It holds a file of libffi open for the life of the process, as soon as anything uses it."""
    if sys.version_info >= (3, 14):
        with concurrent.futures.InterpreterPoolExecutor(1) as executor:
            ParallelRunner(executor, runs_folder=False).run(
                pipeline(node(functions.repeated, "x", "y")), DataCatalog({"x": 1})
            )


@pytest.fixture
def runner():
    """A runner on two interpreters."""
    with concurrent.futures.InterpreterPoolExecutor(2) as executor:
        yield ParallelRunner(executor, runs_folder=False)


def test_nodes_of_pure_python_run(runner):
    """By name, and with large values in between."""
    nodes = [node(increment, "x", "y"), node(functions.repeated, "y", "z"), node(len, "z", "n")]
    assert runner.run(pipeline(nodes), DataCatalog({"x": 1}))["n"].load() == 2_000_000


def test_exceptions_logs_and_prints_arrive(runner, caplog, capfd):
    """Each interpreter has loggers and streams of its own."""
    nodes = [node(functions.say, "x", "y"), node(functions.log_it, "y", "z")]
    runner.run(pipeline(nodes), DataCatalog({"x": "spoken"}))
    assert "said" in capfd.readouterr().out
    assert [r.getMessage() for r in caplog.records if r.name == "mine"] == ["logged spoken"]
    with pytest.raises(ValueError, match="cannot use") as caught:
        runner.run(pipeline(node(fail, "x", "y", name="bad")), DataCatalog({"x": 1}))
    assert any("in node 'bad'" in note for note in caught.value.__notes__)


def test_what_cannot_be_loaded_there_is_said(runner, caplog):
    """In one line when the runner is made, and on the node's own error."""
    with pytest.raises(ImportError) as caught:
        runner.run(pipeline(node(functions.zeros, "n", "y")), DataCatalog({"n": 3}))
    assert any("an interpreter beside others" in note for note in caught.value.__notes__)
    with caplog.at_level(logging.WARNING), concurrent.futures.InterpreterPoolExecutor(1) as other:
        caplog.clear()
        ParallelRunner(other)
    (record,) = caplog.records
    assert "runs nodes of pure Python only: numpy says, " in record.getMessage()
    assert "\n" not in record.getMessage()
