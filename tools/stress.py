"""Tests that start, kill or time processes, again and again while all cores are busy.

    uv run just stress [ROUNDS] [--all] [TEST ...]

Each round has the tests in another order, whose seed it prints. At the end: each test that has
failed at least once, with how often. The exit code is 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from stages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where such tests are.
TESTS = [
    "tests/conformance/test_builtin.py::TestDirect",
    "tests/conformance/test_builtin.py::TestProcess", "tests/faults", "tests/smoke",
    "tests/store/test_recycling.py", "tests/backends/test_direct.py", "tests/test_events.py",
    "tests/system/test_preload.py", "tests/run/test_several_backends.py", "backends/loky",
    "backends/multiprocess",
]  # fmt: skip


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Let every core have something else to do."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores or 1)
    ]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def failures(seed: int, arguments: list[str]) -> tuple[int, list[str]]:
    """One round: pytest's exit code, and the tests that have failed."""
    tools = str(Path(__file__).parent)
    with tempfile.NamedTemporaryFile("r", suffix=".failed") as file:
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "second_look", "--random-order",
            f"--random-order-seed={seed}", f"--write-failed={file.name}", *arguments,
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": tools}, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        return done.returncode, Path(file.name).read_text().splitlines()


def main() -> int:
    """Run so many rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=10)
    parser.add_argument("tests", nargs="*", default=TESTS, help="pytest's names of other tests")
    parser.add_argument("--all", action="store_true", help="with those left to the matrix")
    options = parser.parse_args()
    arguments = [*options.tests, *(["-m", ""] if options.all else [])]
    counts: Counter[str] = Counter()
    bad, first = 0, int(time.time())
    with busy():
        for seed in range(first, first + options.rounds):
            print(f"-- round {seed - first + 1} of {options.rounds}, seed {seed}", flush=True)
            code, names = failures(seed, arguments)
            counts.update(names)
            bad += code != 0
    for name, count in counts.most_common():
        print(f"{count} of {options.rounds}: {name}")
    print(f"{options.rounds - bad} of {options.rounds} rounds without a failure")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
