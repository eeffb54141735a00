"""Events and the log, on every backend."""

import logging
import re
import sys
import time

import functions
import pytest
from functions import (
    OddError,
    exit_hard,
    fail,
    identity,
    increment,
    increment_slowly_now_and_then,
)

from motorpool import DataCatalog, ParallelRunner, events, node, pipeline, registry
from motorpool.events import (
    NodeCompleted,
    NodeSubmitted,
    Observer,
    RunFinished,
    RunProgressed,
    RunStarted,
)


def chain(length):
    return pipeline([node(increment, f"d{i}", f"d{i + 1}", name=f"n{i}") for i in range(length)])


def test_events_tell_the_whole_story(any_backend, run, recorder):
    """Beginning, end, and for each node a submission before its completion."""
    result = run(any_backend, chain(3), {"d0": 0}, observers=[recorder])
    kinds = [type(e).__name__ for e in recorder.events]
    assert (kinds[0], kinds[-1]) == ("RunStarted", "RunFinished")
    for kind in (NodeSubmitted, NodeCompleted):
        assert [e.node for e in recorder.of(kind)] == ["n0", "n1", "n2"]
    assert len({e.run_id for e in recorder.events}) == 1
    times = [e.time for e in recorder.events]
    assert times == sorted(times)
    assert recorder.of(RunStarted)[0].nodes == 3
    assert recorder.of(RunFinished)[0].summary is result.summary


def test_attempt_returned_unstarted_is_reported_once(any_backend, run, recorder):
    """Short nodes travel together; when one takes long after all, the others go on later."""
    sometimes_slow = [
        node(increment_slowly_now_and_then, f"d{i}", f"d{i + 1}", name=f"n{i}") for i in range(50)
    ]
    run(any_backend, pipeline(sometimes_slow), {"d0": 0}, observers=[recorder])
    assert [(e.node, e.attempt) for e in recorder.of(NodeSubmitted)] == [
        (f"n{i}", 1) for i in range(50)
    ]


def test_summary_agrees_with_the_events(any_backend, run, recorder):
    """Times are the sums of the nodes' own, and the speed-up is that of their functions."""
    result = run(any_backend, chain(3), {"d0": 0}, observers=[recorder])
    summary = result.summary
    total = sum(e.seconds for e in recorder.of(NodeCompleted))
    assert summary.node_time == pytest.approx(total)
    calls = sum(e.call for e in recorder.of(NodeCompleted))
    assert summary.call_time == pytest.approx(calls)
    assert summary.speedup == pytest.approx(calls / summary.wall_time)
    for event, each in zip(recorder.of(NodeCompleted), summary.nodes, strict=True):
        names = ["node", "worker", "started", "seconds", "imports", "load", "call", "save"]
        names += ["wait", "nbytes"]
        assert [getattr(event, n) for n in names] == [getattr(each, n) for n in names]
        assert each.imports + each.load + each.call + each.save <= each.seconds
        assert min(each.imports, each.load, each.call, each.save, each.wait) >= 0
    assert summary.peak_memory > 0
    assert (summary.completed, summary.failed, summary.skipped) == (3, (), 0)


def test_time_is_split_where_it_goes(any_backend, run, tmp_path):
    """A slow dataset, a slow function and a slow module are told apart, and the longest chain."""
    module = tmp_path / "slow_module_of_a_node.py"
    module.write_text("import time\ntime.sleep(0.2)\ndef last(x):\n    return x\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import slow_module_of_a_node

        nodes = [
            node(identity, "x", "a", name="loads"),
            node(lambda x: time.sleep(0.3) or x, "a", "b", name="calls"),
            node(identity, "b", "saved", name="saves"),
            node(slow_module_of_a_node.last, "saved", "c", name="imports"),
            node(identity, "x", "d", name="apart"),
        ]
        slow = functions.SlowDataset
        catalog = DataCatalog({"x": slow(tmp_path / "x", 1), "saved": slow(tmp_path / "saved")})
        summary = run(any_backend, pipeline(nodes), catalog, fuse=False).summary
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["slow_module_of_a_node"]
    times = {each.node: each for each in summary.nodes}
    assert times["loads"].load > 0.1
    assert times["calls"].call > 0.3
    assert times["saves"].save > 0.1
    if not registry.get(any_backend).capabilities.isolation.in_process:
        assert times["imports"].imports > 0.2
    assert summary.critical_path == ["loads", "calls", "saves", "imports"]
    text = str(summary)
    assert re.search(r"nodes +5 of 5 completed\nbackend ", text)
    assert re.search(r"slowest +\w+ [\d.]+ s, ", text)
    assert re.search(r"critical path +[\d.]+ s: loads > calls > saves > imports\n", text)
    assert re.search(r"waiting +[\d.]+ m?s at most, \w+; workers were busy for \d+% of", text)
    assert re.search(r"speed-up +[\d.]+ x: time in functions over wall time", text)


def test_broken_observer_breaks_nothing(any_backend, run, recorder, caplog):
    """It is reported once and left out; the others get every event."""

    class Broken:
        def on_event(self, event):
            raise RuntimeError("observer trouble")

    result = run(any_backend, chain(3), {"d0": 0}, observers=[Broken(), recorder])
    assert result["d3"].load() == 3
    assert len(recorder.of(NodeCompleted)) == 3
    assert sum("is left out" in r.message for r in caplog.records) == 1


class Choosy:
    """Wants some events only."""

    def __init__(self, *wants):
        self.wants, self.events = wants, []

    def on_event(self, event):
        self.events.append(event)


def test_observer_gets_the_event_types_it_names(any_backend, run, recorder):
    """And no others; observers that name no types get all."""
    choosy = Choosy(NodeCompleted, RunFinished)
    run(any_backend, chain(3), {"d0": 0}, observers=[choosy, recorder])
    kinds = [type(e) for e in choosy.events]
    assert kinds == [NodeCompleted] * 3 + [RunFinished]
    assert len(recorder.of(NodeSubmitted)) == 3


def test_progress_events_go_to_observers_that_name_them(any_backend, run, recorder):
    """How many nodes are through grows, and what is running is named."""

    def rest(x):
        import time

        time.sleep(0.15)
        return x + 1

    choosy = Choosy(RunProgressed)
    nodes = [node(rest, f"d{i}", f"d{i + 1}", name=f"n{i}", retries=1) for i in range(4)]
    run(any_backend, pipeline(nodes), {"d0": 0}, observers=[choosy, recorder], fuse=False)
    finished = [e.finished for e in choosy.events]
    assert finished == sorted(finished)
    assert len(finished) >= 2
    assert finished[-1] > 0
    assert {name for e in choosy.events for name in e.running} <= {f"n{i}" for i in range(4)}
    assert not recorder.of(RunProgressed)


def test_observer_is_a_protocol(recorder):
    """Anything with on_event will do."""
    assert isinstance(recorder, Observer)
    assert not isinstance(print, Observer)


def test_events_are_frozen():
    """An observer cannot change what another sees."""
    event = events.DatasetReleased(run_id="r", dataset="d")
    with pytest.raises(AttributeError):
        event.dataset = "other"


def test_log_of_workers_reaches_the_drivers_handlers(process_backend, run, caplog):
    """With the logger's name, at the driver's levels, once."""

    def talk(x):
        logging.getLogger("mine").info("value %d", x)
        logging.getLogger("mine.quiet").info("not wanted")
        logging.getLogger("mine").error("trouble", exc_info=ValueError("details"))
        return x

    logging.getLogger("mine.quiet").setLevel(logging.ERROR)
    with caplog.at_level(logging.INFO):
        run(process_backend, pipeline(node(talk, "x", "y")), {"x": 5})
    mine = [r for r in caplog.records if r.name.startswith("mine")]
    assert [(r.name, r.message) for r in mine] == [("mine", "value 5"), ("mine", "trouble")]
    assert "ValueError: details" in mine[1].exc_text


def test_logs_before_a_crash_reach_the_driver(process_backend, run, caplog):
    """What was logged before the crash is not lost with the worker."""

    def speak_and_die(x):
        logging.getLogger("mine").warning("about to die")
        exit_hard(x)

    with pytest.raises(Exception, match="died"):
        run(process_backend, pipeline(node(speak_and_die, "x", "y")), {"x": 5})
    assert any(r.message == "about to die" for r in caplog.records)


def test_log_says_how_the_run_goes(any_backend, run, caplog):
    """In the words of Kedro's runners."""
    with caplog.at_level(logging.INFO, "motorpool"):
        run(any_backend, chain(2), {"d0": 0})
    text = caplog.text
    assert "Completed node: n0 (" in text
    assert " s), 2 out of 2" in text
    assert len(re.findall(r"[Cc]ompleted\b.*n0", text)) == 1  # one line a node
    assert "Pipeline execution completed successfully" in text


def test_resume_hint_names_the_nodes_to_start_from(any_backend, run, caplog):
    """The nearest that have their inputs; in-memory ones have to be made again."""
    pipe = pipeline(
        [
            node(increment, "x", "a", name="first"),
            node(identity, "a", "b", name="second"),
            node(fail, "b", "c", name="third"),
            node(identity, "x", "d", name="apart"),
        ]
    )
    with pytest.raises(ValueError, match="cannot use"):
        run(any_backend, pipe, {"x": 1}, on_failure="continue", runs_folder=False)
    last = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING][-1]
    assert last == (
        "1 node failed or did not run. To run the rest: "
        "runner.run(pipeline.filter(from_nodes=['first']), catalog)"
    )


def test_resume_hint_is_python(any_backend, tmp_path, caplog):
    """With a journal, it is the run that is resumed; before the first node has run, as before."""
    runner = ParallelRunner(any_backend, max_workers=1, runs_folder=tmp_path)
    first, second = node(increment, "x", "a"), node(fail, "a", "b")
    for steps, data, hint in [
        ([first, second], {"x": 1}, "runner.run(pipeline, catalog, resume='20"),
        ([second], {"a": 1}, "runner.run(pipeline, catalog), as before: no node has run"),
    ]:
        with pytest.raises(ValueError, match="cannot use"):
            runner.run(pipeline(steps), data)
        assert f"1 node failed or did not run. To run the rest: {hint}" in caplog.text


def test_log_record_that_does_not_unpickle_is_skipped(process_backend, run, caplog):
    """With a warning; the run and the other records are not touched."""

    def talk(x):
        logging.getLogger("mine").warning("odd", extra={"err": OddError("a", "b")})
        logging.getLogger("mine").warning("plain")
        return x

    run(process_backend, pipeline(node(talk, "x", "y")), {"x": 5})
    messages = [r.message for r in caplog.records]
    assert "plain" in messages
    assert any("cannot be read here" in m for m in messages)
