"""METG(50 %): the shortest node for which half of the workers' time is useful work.

The shorter the nodes, the more of the time goes into running them: below this duration, more than
half. Defined in Task Bench (doi:10.1109/SC41405.2020.00066) as minimum effective task granularity.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# The first duration tried (s), the factor to the next, and the longest and shortest of interest.
_FIRST, _FACTOR, _LONGEST, _SHORTEST = 1e-3, 2.0, 0.26, 1e-6
# Two workers that run in turn, as threads of one interpreter do, reach a half and no more; it is
# reached for certain only beyond this.
_HALF, _CERTAIN = 0.5, 0.6


class Point(NamedTuple):
    """One duration.

    Attributes:
        seconds: How long a node works.
        efficiency: Share of the workers' time that is useful, 0 to 1.
    """

    seconds: float
    efficiency: float


def find_metg(measure: Callable[[float], float]) -> float:
    """Take longer nodes until they are long enough, then shorter ones until they are too short.

    Args:
        measure: Runs a graph whose nodes take so many seconds each; returns the efficiency.

    Returns:
        Seconds; infinite if no duration that was tried is long enough, 0 if none is too short.
    """

    def point(seconds: float) -> Point:
        return Point(seconds, measure(seconds))

    points = [point(_FIRST)]
    while points[0].efficiency < _CERTAIN and points[0].seconds * _FACTOR <= _LONGEST:
        points.insert(0, point(points[0].seconds * _FACTOR))
    if points[0].efficiency < _CERTAIN:
        return math.inf
    while points[-1].efficiency >= _HALF and points[-1].seconds / _FACTOR >= _SHORTEST:
        points.append(point(points[-1].seconds / _FACTOR))
    for longer, shorter in pairwise(points):
        if shorter.efficiency < _HALF <= longer.efficiency:
            return _between(longer, shorter)
    return 0.0


def _between(longer: Point, shorter: Point) -> float:
    """Where a line through two points, on a logarithmic scale of durations, crosses a half."""
    share = (_HALF - shorter.efficiency) / (longer.efficiency - shorter.efficiency)
    return float(shorter.seconds * (longer.seconds / shorter.seconds) ** share)
