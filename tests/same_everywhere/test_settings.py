"""Settings of the process are the same in a node and here, and each run has its own."""

import logging
import os
import secrets

import context_functions
import pytest

from motorpool import ParallelRunner, create_hook_manager, hookimpl, node, pipeline
from motorpool.errors import ValidationError


class Records(logging.Handler):
    """Keeps the messages that it handles."""

    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def test_settings_of_the_process_are_the_same_in_nodes(any_backend, script, tmp_path):
    """All of them set, and again between two runs; a node does not see what another one sets."""
    first, after, second, again = script("settings.py", any_backend, tmp_path)
    assert first == after
    assert second == again
    folder = {"folder": "inner"}, {"folder": tmp_path.name}
    common = {
        "numpy printing": "[0.333]", "recursion": 2345, "digits": 9999, "path": True,
        "files": 500, "locale": "C", "method": "spawn", "level": 12, "warned": 1,
    }  # fmt: skip
    common |= {"wait": 0.25}
    errors = {"over": "warn", "under": "ignore", "invalid": "warn"}
    assert first == common | folder[0] | {
        "decimal": 52, "numpy errors": errors | {"divide": "raise"}, "pandas": [7, 6],
        "argv": [], "environment": {"PROBE_OLD": "old"}, "mask": 0o027, "raised": True,
        "hour": 9, "temporary": False,
        "context": ["of the script", "unset", ["good morning"]],
    }  # fmt: skip
    assert second == common | folder[1] | {
        "decimal": 22, "numpy errors": errors | {"divide": "warn"}, "pandas": [60, 2],
        "argv": ["more"], "hour": 19, "temporary": True, "mask": 0o022, "raised": False,
        "environment": {"PROBE_NEW": "new", "PROBE_TEMPORARY": f"{tmp_path}/inner"},
        "context": ["of the second run", "set", ["good evening"]],
    }  # fmt: skip


def test_environment_and_context_are_in_no_file(process_backend, tmp_path, monkeypatch):
    """They may hold passwords, and a plan may lie on a disk."""
    monkeypatch.chdir(tmp_path)
    secret = secrets.token_hex(16)
    monkeypatch.setenv("PROBE_PASSWORD", secret)
    token = context_functions.TOKEN.set(secret)
    try:
        runner = ParallelRunner(process_backend, max_workers=1, runs_folder=".motorpool")
        nodes = [
            node(context_functions.files_with, "name", "found"),
            node(context_functions.token, "name", "token"),
        ]
        result = runner.run(pipeline(nodes), {"name": "PROBE_PASSWORD"})
    finally:
        context_functions.TOKEN.reset(token)
    seen, holding = result["found"].load()
    assert seen > 0
    assert holding == []
    assert result["token"].load() == secret


def test_context_that_a_set_up_hook_changes_is_what_nodes_begin_with(process_backend):
    """The hook is called once a run, before the first node; each node begins with what it set."""
    nodes = [
        node(context_functions.look, "x", "first"),
        node(context_functions.look, "first", "second"),
    ]
    with ParallelRunner(process_backend, max_workers=1, runs_folder=False) as runner:
        result = runner.run(
            pipeline(nodes), {"x": 1}, create_hook_manager(context_functions.SetsUp())
        )
        assert result["second"].load() == [7, "raise"]
        without = runner.run(pipeline(nodes), {"x": 1})
        assert without["second"].load() == [28, "warn"]


def test_log_records_come_once_whatever_the_driver_has_set_up(any_backend, capfd):
    """A handler of the root's and one of a logger below it: each has each record once."""
    inner, root = Records(), Records()
    logging.getLogger("probe").addHandler(inner)
    logging.getLogger().addHandler(root)
    try:
        with ParallelRunner(any_backend, max_workers=1, runs_folder=False) as runner:
            for value in ("first", "second"):  # the second on a worker that is warm
                runner.run(pipeline([node(context_functions.say, "x", None)]), {"x": value})
    finally:
        logging.getLogger("probe").removeHandler(inner)
        logging.getLogger().removeHandler(root)
    assert inner.messages == ["said of first", "said of second"]
    assert [m for m in root.messages if m.startswith("said")] == inner.messages
    assert "said of" not in capfd.readouterr().err


def test_processors_are_those_that_the_driver_has_now(process_backend):
    """In a worker that was there before; and all of them again, when the driver has them again."""
    before = os.sched_getaffinity(0)
    nodes = [node(context_functions.processors, "x", "found")]
    seen = []
    with ParallelRunner(process_backend, max_workers=1, runs_folder=False) as runner:
        try:
            for wanted in (before, {min(before)}, before):
                os.sched_setaffinity(0, wanted)
                seen.append(runner.run(pipeline(nodes), {"x": 1})["found"].load())
        finally:
            os.sched_setaffinity(0, before)
    assert seen == [before, {min(before)}, before]


class Captured:
    """Captures what it is given."""

    def __init__(self, settings):
        self.settings = settings

    @hookimpl
    def motorpool_capture_settings(self):
        return self.settings


@pytest.mark.parametrize("settings", [(print, "x"), [print], [("print", 1)], 7])
def test_setting_that_is_none_is_refused(settings, process_backend, run):
    """Before anything starts, with what it is."""
    hooks = create_hook_manager(Captured(settings))
    with pytest.raises(ValidationError, match="is no pair. The hook returns a list of pairs"):
        run(process_backend, pipeline([node(len, "x", "y")]), {"x": "abc"}, hook_manager=hooks)


def test_setting_that_a_worker_cannot_apply_is_named(process_backend, run):
    """With its function, for the node that comes first has nothing to do with it."""
    hooks = create_hook_manager(Captured([(context_functions.refuse, 1)]))
    with pytest.raises(ValueError, match="no such option") as caught:
        run(process_backend, pipeline([node(len, "x", "y")]), {"x": "abc"}, hook_manager=hooks)
    assert "while refuse applied a setting of the driver in a worker" in caught.value.__notes__
