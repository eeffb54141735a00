"""Which backend to take, and why, in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from motorpool._report.units import seconds
from motorpool.bench._measures import ONE_WORKER, differing, ranked, useful_time
from motorpool.bench._statistics import ENOUGH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motorpool.bench._measures import Case, Record

# Of the workers' time; with less of use, a pipeline does not keep them busy.
_BUSY = 0.5
# Of the nodes' time; with more of it, it is data that a pipeline waits for.
_MOVING = 0.5
# Relative difference of sums that were added up in another order.
_ROUNDING = 1e-6


def advise(records: Sequence[Record]) -> str:
    """A sentence; says so where the measurements do not show it.

    Args:
        records: What is known of each case.
    """
    done = ranked(records)
    if not done and not all(record.error for record in records):
        return "Nothing was measured to the end."
    if not done:
        return "No backend has run the pipeline without a failure."
    walls = {record.case: record.walls(warm=True) for record in done}
    equal = [r for r in done if not walls[done[0].case].is_below(walls[r.case])]
    best = min(equal, key=_costs)
    others = [_name(record.case) for record in equal if record is not best]
    text = f"Take {_name(best.case)}: {seconds(walls[best.case].median)}"
    if len(records) == 1:
        text += ", which was compared with nothing"
    elif len(done) == 1:
        text += ", which alone has run it"
    elif others:
        text += f", and no difference to {_listed(others)} that {_runs(done)} of each could show"
    else:
        ratio = walls[done[1].case].median / walls[best.case].median
        text += f", {ratio:.2f} times as fast as the next, {_name(done[1].case)}"
    text += f"; {_why(best, done)}{_cold(best, done, equal)}."
    if any(len(record.warm) < ENOUGH for record in done):
        text += f" With fewer than {ENOUGH} runs of each, take that as a hint."
    return text


def warnings(records: Sequence[Record], apart: Mapping[str, float]) -> list[str]:
    """What to know of the outputs, a sentence each; nothing if all runs gave the same.

    Args:
        records: What is known of each case.
        apart: Of outputs that are not the same everywhere, how far they are apart.
    """
    between, within, unknown = differing(records)
    far = {name: apart.get(name, math.inf) for name in between}
    rounded = {name: value for name, value in far.items() if 0 < value <= _ROUNDING}
    texts = (
        (
            [_described(n, value) for n, value in far.items() if value > _ROUNDING],
            "Outputs differ between backends",
        ),
        (
            [_described(name, value) for name, value in rounded.items()],
            "Outputs are the same on all backends but for rounding",
        ),
        (within, "Outputs differ from run to run on one backend, so they were not compared"),
        (unknown, "Outputs that cannot be pickled were not compared"),
    )
    return [f"{text}: {', '.join(names)}" for names, text in texts if names]


def _described(name: str, far: float) -> str:
    return name if math.isinf(far) else f"{name} (by up to {far:.1g} of a number)"


def _name(case: Case) -> str:
    return f"{case.backend} with {case.max_workers} worker{'s' if case.max_workers > 1 else ''}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _runs(done: Sequence[Record]) -> str:
    least = min(len(record.warm) for record in done)
    return f"{least} run{'s' if least > 1 else ''}"


def _costs(record: Record) -> tuple[int, bool, float]:
    """What is preferred among equals: few workers, no other process, a short start."""
    cold = record.walls(warm=False).median
    return record.case.max_workers, record.case.backend != ONE_WORKER, cold


def _why(best: Record, done: Sequence[Record]) -> str:
    """Where the time of the best goes, or why more workers do not help."""
    useful = useful_time(done)
    more = [record for record in done if record.median_run().workers > 1]
    if best.median_run().workers > 1 or not more:
        share = f"{100 * best.efficiency(useful):.0f} % of its workers' time is of use"
        idle = best.efficiency(useful) < _BUSY
        return f"{share}, because {_because(best, useful)}" if idle else share
    return f"more workers are not worth it, because {_because(more[0], useful)}"


def _because(record: Record, useful: float) -> str:
    """What keeps its workers from being of use."""
    run = record.median_run()
    losses = run.losses(useful)
    reason = max(losses, key=losses.__getitem__)
    if reason == "engine":
        length = seconds(useful / max(1, run.nodes))
        return f"nodes are short ({length}), and {seconds(run.overhead)} go into starting each"
    if reason == "narrow":
        return f"few nodes can run at the same time: {run.most:.2f} times as fast is the most"
    if run.moving > _MOVING:
        return f"{100 * run.moving:.0f} % of the time in nodes goes into loading and saving"
    return f"nodes take {run.node_time / useful:.2f} times as long beside each other"


def _cold(best: Record, done: Iterable[Record], equal: Sequence[Record]) -> str:
    """Which one is better where each run has to start its workers."""
    others = [record.walls(warm=False) for record in equal if record is not best]
    if others and all(best.walls(warm=False).is_below(other) for other in others):
        nearest = min(others)
        return (
            f"; from a cold start it is ahead of {'them' if len(others) > 1 else 'it'}, with "
            f"{seconds(best.walls(warm=False).median)} against {seconds(nearest.median)}"
        )
    first = min(done, key=lambda record: record.walls(warm=False).median)
    lowest, ours = first.walls(warm=False), best.walls(warm=False)
    if not lowest.is_below(ours):
        return ""
    return (
        f"; where each run is a process of its own, {_name(first.case)} is ahead, with "
        f"{seconds(lowest.median)} from a cold start against {seconds(ours.median)}"
    )
