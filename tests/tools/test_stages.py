"""The page that a check prints."""

import sys

from second_look import HEADING
from stages import Stage, run_all


def stage(name, code, **env):
    return Stage(name=name, commands=[[sys.executable, "-c", code]], env=env)


def test_what_fails_is_above_the_table_and_the_rest_is_run(capsys):
    """One page: what is well has a line and a row."""
    assert run_all([
        stage("first", "print('all is well')"),
        stage("bad", "print('a traceback'); raise SystemExit(3)"),
        stage("last", "import os; assert os.environ['WORD'] == 'yes'", WORD="yes"),
    ]) == 1  # fmt: skip
    printed = capsys.readouterr().out
    assert "all is well" not in printed
    assert printed.index("a traceback") < printed.index("stage")
    table = printed[printed.index("stage") :]
    assert [row.split()[1] for row in table.splitlines() if "│" in row] == [
        "first", "bad", "last", "in",
    ]  # fmt: skip
    assert "failed (3)" in table


def test_second_command_of_a_stage_waits_for_the_first(capsys):
    """It is not run if that fails."""
    commands = [[sys.executable, "-c", f"print('{n}'); raise SystemExit({n})"] for n in (0, 1, 2)]
    assert run_all([Stage(name="three", commands=commands)]) == 1
    printed = capsys.readouterr().out
    assert "failed (1)" in printed
    assert "\n2\n" not in printed


def test_stage_that_passed_at_the_second_try_is_shown(capsys):
    """A stage that passed at the second try is shown as if it had failed, and is no failure."""
    assert run_all([stage("tests", f"print('first traceback'); print('= {HEADING} =')")]) == 0
    printed = capsys.readouterr().out
    assert "first traceback" in printed
    assert "ok, at the second try" in printed
