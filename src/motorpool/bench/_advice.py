"""Which backend to take, and why, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motorpool.bench._measures import ENOUGH, differing, useful_time
from motorpool.bench._units import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from motorpool.bench._measures import Case, Record

# Of the workers' time; with less of use, a pipeline does not keep them busy.
_BUSY = 0.5


def advise(done: Sequence[Record]) -> str:
    """A sentence; says so where the measurements do not show it.

    Args:
        done: The cases that have run without a failure, fastest first.
    """
    if not done:
        return "No backend has run the pipeline without a failure."
    walls = {record.case: record.walls(warm=True) for record in done}
    equal = [r for r in done if not walls[done[0].case].is_below(walls[r.case])]
    best = min(equal, key=lambda record: record.case.max_workers)
    others = [_name(record.case) for record in equal if record is not best]
    text = f"Take {_name(best.case)}: {seconds(walls[best.case].median)}"
    if len(done) == 1:
        text = f"Only {_name(best.case)} could run it: {seconds(walls[best.case].median)}"
    elif others:
        text += f", and as far as was measured {_listed(others)} {_verb(others)} as fast"
    else:
        ratio = walls[done[1].case].median / walls[best.case].median
        text += f", {ratio:.2f} times as fast as the next, {_name(done[1].case)}"
    text += f"; {_why(best, useful_time(done))}{_cold(best, done)}."
    if any(len(record.warm) < ENOUGH for record in done):
        text += f" With fewer than {ENOUGH} runs of each, take that as a hint."
    return text


def warnings(records: Sequence[Record]) -> list[str]:
    """What to know of the outputs, a sentence each; nothing if all runs gave the same."""
    between, within, unknown = differing(records)
    texts = (
        (between, "Outputs differ between backends"),
        (within, "Outputs differ from run to run on one backend, so they were not compared"),
        (unknown, "Outputs that cannot be pickled were not compared"),
    )
    return [f"{text}: {', '.join(names)}" for names, text in texts if names]


def _name(case: Case) -> str:
    return f"{case.backend} with {case.max_workers} worker{'s' if case.max_workers > 1 else ''}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _verb(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _why(best: Record, useful: float) -> str:
    """Where the time of the best goes."""
    run, efficiency = best.median_run(), best.efficiency(useful)
    share = f"{100 * efficiency:.0f} % of its workers' time is of use"
    if efficiency >= _BUSY:
        return share
    if run.overhead(useful) * run.nodes > run.bound:
        length = seconds(useful / max(1, run.nodes))
        return f"{share}, because nodes are short ({length}) and starting each costs more"
    return f"{share}, because few nodes can run at the same time"


def _cold(best: Record, done: Iterable[Record]) -> str:
    """Whether another one is better where each run has to start its workers."""
    first = min(done, key=lambda record: record.walls(warm=False).median)
    lowest, ours = first.walls(warm=False), best.walls(warm=False)
    if not lowest.is_below(ours):
        return ""
    return (
        f"; where each run is a process of its own, {_name(first.case)} is ahead, with "
        f"{seconds(lowest.median)} from a cold start against {seconds(ours.median)}"
    )
