"""Runs random pipelines with random faults at random moments, and checks every result.

    uv run python benchmarks/soak.py --minutes 10 --seed 1 [--backends direct,loky] [--workers 2]

Faults: node exceptions, huge ones, crashes, hangs, forks, threads left behind, a spoilt process;
kill -9 of a random worker; Ctrl-C, kill -9 of the driver and of the whole group, after which the
run is resumed. Each result is compared with that of a plain loop. Wrong results, lost nodes and
leaks must be 0; else the exit code is 1, and the seed of the run that went wrong is printed. A run
that hangs ends it all, with the stacks of this process. The slowest end is the longest time from a
blow at a command until no process of its group was left.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from soak_checks import group_members, unpickled, workers
from soak_pipeline import MILD, SEVERE, TIMEOUT, Spec, build, digest

from motorpool import ParallelRunner, registry

# Tries after the first: more than faults can fall on one node.
RETRIES = 8
# Shares of the runs: in this process rather than by command; with a worker killed from outside.
_HERE, _HALF, _KILLING, _HANGING = 0.8, 0.5, 0.4, 0.3
# Of those in this process, the share whose nodes are on several backends.
_MIXED = 0.4
# How often a run by command is stopped before it is left alone.
_BLOWS = 2
_SOON = 3.0
# Threads that stay: the one that ends executors of motorpool.adapters with the interpreter.
_STAYING = {"motorpool-main-watch"}
# A run that takes longer (s) hangs.
_TOO_LONG = 300.0


@dataclass
class Tally:
    """What has been done on one backend, and what went wrong."""

    runs: int = 0
    nodes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    lost: int = 0
    leaks: int = 0
    slowest_end: float = 0.0
    notes: list[str] = field(default_factory=list)


class Soak:
    """Runs on one backend.

    Args:
        backend: Its name.
        workers: Number of workers.
        folder: A folder of our own; every run gets one in it.
    """

    def __init__(self, backend: str, workers: int, folder: Path) -> None:
        self.backend, self.workers, self.folder = backend, workers, folder
        self.tally = Tally()
        self.in_process = registry.get(backend).capabilities.isolation.in_process
        self.faults = MILD if self.in_process else MILD + SEVERE
        # The first run starts helpers that stay, such as the forkserver.
        self._run_here("warm-up", random.Random(0), self._place("warm-up"))
        self.tally = Tally()

    def step(self, seed: str) -> None:
        """One random run."""
        rng = random.Random(seed)
        place = self._place("run")
        before = len(self.tally.notes)
        try:
            if rng.random() < _HERE:
                self._run_here(seed, rng, place)
            else:
                self._run_elsewhere(seed, rng, place)
        except Exception as error:  # noqa: BLE001, that it ends so is the finding
            self.tally.lost += 1
            self._note(seed, f"{type(error).__name__}: {error}"[:500])
        self._check_leaks(seed)
        if len(self.tally.notes) == before:
            shutil.rmtree(place)
        self.tally.runs += 1

    def _place(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{self.backend}-{name}-", dir=self.folder))

    def _plan(
        self, spec: Spec, rng: random.Random, place: Path, backends: list[str | None]
    ) -> None:
        """Lay out what is to go wrong; in this process, nothing that would end it."""
        for number in range(rng.choice([0, 1, 2, 4])):
            index = rng.randrange(len(spec))
            own, named = backends[index] is None, backends[index] != "threads"
            kind = rng.choice(self.faults if own else MILD + SEVERE if named else MILD)
            if kind == "hang" and rng.random() > _HANGING:  # each takes as long as the timeout
                kind = "exit"
            (place / f"n{index}.{kind}.{number}").touch()
            self.tally.faults[kind] += 1

    def _run_here(self, seed: str, rng: random.Random, place: Path) -> None:
        spec = Spec(seed)
        backends: list[str | None] = [None] * len(spec)
        if rng.random() < _MIXED:
            backends = [rng.choice([None, "direct", "process", "threads"]) for _ in backends]
        self._plan(spec, rng, place, backends)
        pipe = build(
            spec, str(place), timeout=None if self.in_process else TIMEOUT, backends=backends
        )
        options = {} if rng.random() < _HALF else {"checkpoint": place / "kept"}
        runner = ParallelRunner(
            self.backend, max_workers=self.workers, retries=RETRIES,
            runs_folder=place / "runs", **options,
        )  # fmt: skip
        with runner, self._killing(rng):
            for again in range(rng.choice([1, 1, 2])):  # warm workers the second time
                (place / "tries").unlink(missing_ok=True)
                found = runner.run(pipe, {}, resume=bool(again and options))
                values = {name: dataset.load() for name, dataset in found.items()}
                self._check(seed, spec, values, place, resumed=bool(again and options))

    @contextlib.contextmanager
    def _killing(self, rng: random.Random) -> Any:
        """Kill a random worker at a random moment, now and then."""
        if self.in_process or rng.random() > _KILLING:
            yield
            return
        over, delay = threading.Event(), rng.random() * 0.5

        def kill() -> None:
            if not over.wait(delay) and (pids := sorted(workers())):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(pids), signal.SIGKILL)
                    self.tally.faults["worker killed"] += 1

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _run_elsewhere(self, seed: str, rng: random.Random, place: Path) -> None:
        """Run by the command line, stop that at a random moment, and resume until it is done."""
        spec = Spec(seed)
        self._plan(spec, rng, place, [None] * len(spec))
        blow = rng.choice(["Ctrl-C", "driver killed", "group killed"])
        arguments: list[str] = []
        for attempt in range(6):
            process = self._start(seed, place, arguments)
            if attempt < _BLOWS:
                self._strike(seed, process, blow, rng.random() * 1.5 + 0.3)
            else:
                process.wait(timeout=120)
            log = (place / "log").read_text()
            if process.returncode == 0:
                break
            kept = any((place / ".motorpool/runs").glob("*.jsonl"))
            arguments = ["--resume"] if kept else []
        else:
            raise RuntimeError(f"it does not come to an end: {log[-300:]}")
        values = {}
        if spec.finals():
            for i in spec.finals():
                values[f"v{i}"] = unpickled(place / f"v{i}")
        self._check(seed, spec, values, place, resumed=attempt > 0)

    def _start(self, seed: str, place: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "motorpool", "run"]
        command += [str(Path(__file__).with_name("soak_pipeline.py")), "-b", self.backend]
        command += ["-w", str(self.workers), "--retries", str(RETRIES), "--checkpoint", "kept"]
        environment = os.environ | {
            "SOAK_SEED": seed, "SOAK_FOLDER": str(place),
            "SOAK_TIMEOUT": "no" if self.in_process else "yes",
        }  # fmt: skip
        environment.pop("MOTORPOOL_RUNS", None)
        with (place / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, *arguments], cwd=place, env=environment, start_new_session=True,
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509, no locks
            )  # fmt: skip

    def _strike(
        self, seed: str, process: subprocess.Popen[bytes], blow: str, delay: float
    ) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        if process.returncode is not None:
            return
        self.tally.faults[blow] += 1
        struck = time.monotonic()
        if blow == "driver killed":
            process.kill()
        else:
            number = signal.SIGINT if blow == "Ctrl-C" else signal.SIGKILL
            os.killpg(process.pid, number)
        process.wait(timeout=60)
        deadline = time.monotonic() + _SOON
        while group_members(process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.tally.slowest_end = max(self.tally.slowest_end, time.monotonic() - struck)
        if left := group_members(process.pid):
            self.tally.leaks += 1
            self._note(seed, f"after {blow}: processes {left} are left")
            os.killpg(process.pid, signal.SIGKILL)

    def _check(
        self, seed: str, spec: Spec, values: dict[str, Any], place: Path, *, resumed: bool
    ) -> None:
        expected = spec.expected()
        for i in spec.finals():
            if f"v{i}" not in values:
                self.tally.lost += 1
                self._note(seed, f"v{i} is not there")
            elif digest(values[f"v{i}"]) != expected[i]:
                self.tally.wrong += 1
                self._note(seed, f"v{i} is wrong")
        tries = (place / "tries").read_text().split() if (place / "tries").exists() else []
        self.tally.nodes += len(set(tries))
        missing = set() if resumed else {f"n{i}" for i in range(len(spec))} - set(tries)
        if missing:
            self.tally.lost += len(missing)
            self._note(seed, f"{sorted(missing)} never ran")

    def _check_leaks(self, seed: str) -> None:
        """After a run: no worker, no thread, no directory of a run that is not being swept."""
        deadline = time.monotonic() + _SOON
        while True:
            threads = {thread.name for thread in threading.enumerate()[1:]} - _STAYING
            left = [*workers(), *threads, *self._folders()]
            if not left:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self.tally.leaks += 1
        self._note(seed, f"left behind: {left}")

    def _folders(self) -> list[str]:
        """Run directories whose lock this process holds."""
        links = []
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(str(path.readlink()))
        return [x for x in links if "motorpool-" in x and x.endswith("/lock")]

    def _note(self, seed: str, text: str) -> None:
        self.tally.notes.append(f"{self.backend}, seed {seed}: {text}")


def report(tallies: dict[str, Tally]) -> None:
    """Print what was done, as a table."""
    kinds = sorted({kind for tally in tallies.values() for kind in tally.faults})
    print(
        f"| backend | runs | nodes | {' | '.join(kinds)} | wrong results | lost nodes | leaks | "
        "slowest end, s |"
    )
    print("|---" * (len(kinds) + 7) + "|")
    for name, tally in tallies.items():
        faults = " | ".join(str(tally.faults[kind]) for kind in kinds)
        print(
            f"| {name} | {tally.runs} | {tally.nodes} | {faults} | {tally.wrong} | {tally.lost} "
            f"| {tally.leaks} | {tally.slowest_end:.1f} |"
        )
    for tally in tallies.values():
        for note in tally.notes:
            print(note)


def main() -> int:
    """Read the arguments, run until the time is up, and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="in all, for all backends")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--backends", default=",".join(registry.names()))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print(f"{arguments.minutes:g} minutes, seed {arguments.seed}, {arguments.workers} workers; "
          f"Python {platform.python_version()}, {os.cpu_count()} cores, "
          f"{datetime.now(tz=UTC):%Y-%m-%d}")  # fmt: skip
    deadline = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        names = arguments.backends.split(",")
        soaks = [Soak(name, arguments.workers, Path(folder)) for name in names]
        number = 0
        while time.monotonic() < deadline:
            faulthandler.dump_traceback_later(_TOO_LONG, exit=True)
            soak = soaks[number % len(soaks)]
            soak.step(f"{arguments.seed}-{number}")
            number += 1
    tallies = {soak.backend: soak.tally for soak in soaks}
    report(tallies)
    return 1 if any(t.wrong or t.lost or t.leaks for t in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
