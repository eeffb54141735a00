"""Charts as SVG, without a plotting library: these three are all that is drawn."""

from __future__ import annotations

import zlib
from html import escape
from typing import TYPE_CHECKING

from motorpool.bench._units import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motorpool.bench._measures import Case, Measured
    from motorpool.bench._statistics import Interval

_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 960, 30, 170, 90, 24
_PLOT = _WIDTH - _LEFT - _RIGHT
_COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999933", "#882255",
)  # fmt: skip
# Of a bar's height; a name fits into a bar of that width.
_THICK, _NAME_WIDTH = 0.72, 60


def time_chart(times: Mapping[Case, tuple[Interval, Interval]]) -> str:
    """Bars of wall time, warm and cold, with intervals.

    Args:
        times: Warm and cold wall time of each case, in the order from top to bottom.
    """
    top = max((max(warm.high, cold.high) for warm, cold in times.values()), default=1.0)
    parts = []
    for row, (case, pair) in enumerate(times.items()):
        y = _TOP + row * 2 * _ROW
        parts.append(_label(str(case), y + _ROW * 0.8))
        for k, (found, kind) in enumerate(zip(pair, ("warm", "cold"), strict=True)):
            at, thick = y + k * _ROW * _THICK, _ROW * _THICK * 0.85
            title = f"{case}, {kind}: {seconds(found.median)}, from {seconds(found.low)} to "
            parts.append(_bar(0, found.median / top, at, thick, kind, title + seconds(found.high)))
            parts.append(_whisker(found.low / top, found.high / top, at + thick / 2))
            x, text = _LEFT + _PLOT * found.high / top + 6, seconds(found.median)
            parts.append(
                f'<text x="{x:.1f}" y="{at + thick * 0.75:.1f}">{text} '
                f'<tspan class="dim">{kind}</tspan></text>'
            )
    return _drawing(parts, _TOP + len(times) * 2 * _ROW + 8)


def scaling_chart(times: Mapping[str, Sequence[tuple[int, Interval]]]) -> str:
    """Warm wall time over the number of workers, a line for each backend.

    Args:
        times: Number of workers and wall time, by backend.
    """
    height, bottom = 300, 30
    counts = sorted({count for line in times.values() for count, _ in line})
    top = max((found.high for line in times.values() for _, found in line), default=1.0)
    xs = {c: _LEFT + _PLOT * k / max(1, len(counts) - 1) for k, c in enumerate(counts)}
    parts = [
        f'<line x1="{_LEFT}" x2="{_LEFT + _PLOT}" y1="{height}" y2="{height}" class="axis"/>',
        *(_centred(f"{c} worker{'s' * (c > 1)}", x, height + bottom - 10) for c, x in xs.items()),
    ]
    for (name, line), colour in zip(times.items(), _cycle(), strict=False):
        points = [(xs[c], height - (height - _TOP) * t.median / top, c, t) for c, t in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, count, found in points:
            title = escape(f"{name}, {count}: {seconds(found.median)}")
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{title}</title>'
                "</circle>"
            )
        x, y = points[-1][:2]
        parts.append(
            f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(name)}</text>'
        )
    return _drawing(parts, height + bottom)


def gantt_chart(run: Measured) -> str:
    """What each worker was at, when: a row for each worker, a bar for each node."""
    workers = {pid: row for row, pid in enumerate(dict.fromkeys(b.worker for b in sorted(
        run.bars, key=lambda bar: bar.begin)))}  # fmt: skip
    end = max([run.wall, *(bar.begin + bar.seconds for bar in run.bars)])
    parts = [_label(f"worker {row + 1}", _TOP + row * _ROW + 18) for row in workers.values()]
    for bar in run.bars:
        y = _TOP + workers[bar.worker] * _ROW
        begin, share = max(0.0, bar.begin / end), bar.seconds / end
        title = f"{bar.node}: {seconds(bar.seconds)}, from {seconds(max(0.0, bar.begin))}"
        colour = _COLOURS[zlib.crc32(bar.node.encode()) % len(_COLOURS)]
        parts.append(_bar(begin, share, y, _ROW * _THICK, "node", title, colour))
        fits = share * _PLOT > max(_NAME_WIDTH, 7 * len(bar.node))
        if fits:
            x = _LEFT + _PLOT * begin + 4
            parts.append(f'<text x="{x:.1f}" y="{y + 15}" class="in">{escape(bar.node)}</text>')
    base = _TOP + len(workers) * _ROW
    parts += [
        f'<line x1="{_LEFT}" x2="{_LEFT + _PLOT}" y1="{base}" y2="{base}" class="axis"/>',
        _centred("0 s", _LEFT, base + 18),
        _centred(seconds(end), _LEFT + _PLOT, base + 18),
    ]
    return _drawing(parts, base + 26)


def _cycle() -> Iterable[str]:
    while True:
        yield from _COLOURS


def _bar(
    begin: float, share: float, y: float, height: float, kind: str, title: str, colour: str = ""
) -> str:
    """A bar from and over shares of the plot's width."""
    fill = f' fill="{colour}"' if colour else ""
    return (
        f'<rect x="{_LEFT + _PLOT * begin:.2f}" y="{y:.1f}" width="{max(0.4, _PLOT * share):.2f}" '
        f'height="{height:.1f}" class="{kind}"{fill}><title>{escape(title)}</title></rect>'
    )


def _whisker(low: float, high: float, y: float) -> str:
    x1, x2 = _LEFT + _PLOT * low, _LEFT + _PLOT * high
    return f'<path d="M{x1:.1f} {y - 4:.1f}v8m0-4H{x2:.1f}m0-4v8" class="whisker"/>'


def _label(text: str, y: float) -> str:
    return f'<text x="{_LEFT - 10}" y="{y:.1f}" text-anchor="end">{escape(text)}</text>'


def _centred(text: str, x: float, y: float) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'


def _drawing(parts: Iterable[str], height: float) -> str:
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img">\n{body}\n</svg>'
