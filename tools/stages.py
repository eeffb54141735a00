"""Stages of a check: commands, one after the other, and a page that says how they went."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from second_look import HEADING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A command of a check.

    Attributes:
        name: What the table calls it.
        commands: Run one after the other, until one fails.
        env: Variables that it has beside those of this process.
    """

    name: str
    commands: Sequence[Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a stage went.

    Attributes:
        name: The stage's.
        seconds: How long it took.
        code: Exit code of its last command.
        output: What it printed.
    """

    name: str
    seconds: float
    code: int
    output: str

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.code:
            return f"failed ({self.code})"
        return "ok, at the second try" if HEADING in self.output else "ok"


def run(stage: Stage) -> Result:
    """Run the commands of a stage, with nothing on their standard input."""
    began, output, code = time.monotonic(), "", 0
    for command in stage.commands:
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | stage.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        output, code = output + done.stdout, done.returncode
        if code:
            break
    return Result(name=stage.name, seconds=time.monotonic() - began, code=code, output=output)


def run_all(stages: Iterable[Stage]) -> int:
    """Run stages one after the other, each whatever has become of the others.

    Prints what failed, or passed only at its second try, and a table below it.

    Returns:
        The exit code: 0 if all went well, else 1.
    """
    console, results = Console(highlight=False, soft_wrap=True), []
    for stage in stages:
        with console.status(stage.name):
            results.append(run(stage))
        console.print(f"{results[-1].name}: {results[-1].verdict}, {results[-1].seconds:.0f} s")
    table = Table("stage", "seconds", "result")
    for result in results:
        if result.verdict != "ok":
            console.rule(result.name)
            sys.stdout.write(result.output)
            sys.stdout.flush()
        table.add_row(result.name, f"{result.seconds:.0f}", result.verdict)
    table.add_row("in all", f"{sum(r.seconds for r in results):.0f}", "")
    console.print(table)
    return int(any(r.code for r in results))
