"""Pictures of a graph of nodes: text for mermaid and for Graphviz, and SVG."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from motorpool._pipeline.graph import Graph

# Sizes in pixels; a letter of the font below is about so wide.
_LETTER, _HEIGHT, _GAP, _AISLE, _MARGIN = 7.3, 30, 14, 60, 10
_LONGEST = 40
_STYLE = (
    "text{font:12px sans-serif;fill:#222;text-anchor:middle;dominant-baseline:central}"
    "rect{fill:#e8f0fe;stroke:#4a78c4}.data{fill:#f4f4f4;stroke:#999}"
    "path{fill:none;stroke:#888}"
)


def mermaid(nodes: Sequence[Any]) -> str:
    """A flow chart as mermaid reads it, with nodes and datasets."""
    datasets = _datasets(nodes)
    lines = ["flowchart LR"]
    lines += [f"    {key}([{_quoted(name, '#quot;')}])" for name, key in datasets.items()]
    for i, node in enumerate(nodes):
        lines.append(f"    n{i}[{_quoted(node.name, '#quot;')}]")
        lines += [f"    {datasets[name]} --> n{i}" for name in node.inputs]
        lines += [f"    n{i} --> {datasets[name]}" for name in node.outputs]
    return "\n".join(lines)


def dot(nodes: Sequence[Any]) -> str:
    """A graph as Graphviz reads it, with nodes and datasets."""
    datasets = _datasets(nodes)
    lines = ["digraph pipeline {", "    rankdir=LR;", "    node [shape=box, style=rounded];"]
    lines += [f"    {key} [label={_quoted(name)}];" for name, key in datasets.items()]
    for i, node in enumerate(nodes):
        lines.append(f"    n{i} [label={_quoted(node.name)}, style=filled];")
        lines += [f"    {datasets[name]} -> n{i};" for name in node.inputs]
        lines += [f"    n{i} -> {datasets[name]};" for name in node.outputs]
    return "\n".join([*lines, "}"])


def svg(nodes: Sequence[Any], graph: Graph) -> str:
    """A picture: a box for each node, from left to right, and what goes in and comes out.

    Args:
        nodes: The nodes, in a topological order.
        graph: The nodes that each waits for.
    """
    return _Picture(nodes, graph).draw()


def _datasets(nodes: Sequence[Any]) -> dict[str, str]:
    names = sorted({name for node in nodes for name in (*node.inputs, *node.outputs)})
    return {name: f"d{i}" for i, name in enumerate(names)}


def _quoted(text: str, quote: str = '\\"') -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', quote) + '"'


class _Picture:
    """Boxes in columns, one a layer of the graph, and lines between them.

    Args:
        nodes: The nodes, in a topological order.
        graph: The nodes that each waits for.
    """

    def __init__(self, nodes: Sequence[Any], graph: Graph) -> None:
        layers = graph.layers([node.name for node in nodes])
        made = {name for node in nodes for name in node.outputs}
        read = {name for node in nodes for name in node.inputs}
        makers = {name: node.name for node in nodes for name in node.outputs}
        ends = (
            [("data", n) for n in sorted(read - made)],
            [("data", n) for n in sorted(made - read)],
        )
        inner = [[("node", nodes[i].name) for i in layer] for layer in layers]
        self._columns = [column for column in (ends[0], *inner, ends[1]) if column]
        self._edges: dict[tuple[tuple[str, str], tuple[str, str]], list[str]] = {}
        for node in nodes:
            for name in node.inputs:
                source = ("node", makers[name]) if name in makers else ("data", name)
                self._edges.setdefault((source, ("node", node.name)), []).append(name)
            for name in node.outputs:
                if name not in read:
                    self._edges[("node", node.name), ("data", name)] = [name]
        self._places: dict[tuple[str, str], tuple[float, float, float]] = {}

    def draw(self) -> str:
        """The picture, as text."""
        width, height = self._lay_out()
        parts = [self._line(*edge, names) for edge, names in self._edges.items()]
        parts += [self._box(key) for key in self._places]
        size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
        body = "".join(parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>{body}</svg>'
        )

    def _lay_out(self) -> tuple[float, float]:
        """Give each box its place: left edge, middle, width; return the size of the whole."""
        before: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for source, target in self._edges:
            before.setdefault(target, []).append(source)
        tallest = max(map(len, self._columns), default=0) * (_HEIGHT + _GAP)
        left = float(_MARGIN)
        for column in self._columns:
            ordered = sorted(column, key=lambda key: self._height_of(before.get(key, [])))
            width = max(len(_short(name)) for _, name in column) * _LETTER + 2 * _MARGIN
            top = _MARGIN + (tallest - len(column) * (_HEIGHT + _GAP)) / 2
            for row, key in enumerate(ordered):
                self._places[key] = left, top + row * (_HEIGHT + _GAP) + _HEIGHT / 2, width
            left += width + _AISLE
        return left - _AISLE + _MARGIN, tallest + 2 * _MARGIN

    def _height_of(self, keys: list[tuple[str, str]]) -> float:
        """The mean height of what a box comes after, beside which it should be."""
        heights = [self._places[key][1] for key in keys if key in self._places]
        return sum(heights) / len(heights) if heights else 0.0

    def _line(self, source: tuple[str, str], target: tuple[str, str], names: list[str]) -> str:
        left, y, width = self._places[source]
        end, to, _ = self._places[target]
        start, bend = left + width, (end - left - width) / 2
        title = escape(", ".join(names))
        curve = f"M{start:.0f} {y:.0f}C{start + bend:.0f} {y:.0f} {end - bend:.0f} {to:.0f} "
        return f'<path d="{curve}{end:.0f} {to:.0f}"><title>{title}</title></path>'

    def _box(self, key: tuple[str, str]) -> str:
        kind, name = key
        left, y, width = self._places[key]
        radius = _HEIGHT / 2 if kind == "data" else 4
        mark = ' class="data"' if kind == "data" else ""
        box = (
            f'<rect{mark} x="{left:.0f}" y="{y - _HEIGHT / 2:.0f}" width="{width:.0f}" '
            f'height="{_HEIGHT}" rx="{radius:.0f}"/>'
        )
        text = f'<text x="{left + width / 2:.0f}" y="{y:.0f}">{escape(_short(name))}</text>'
        return f"<g><title>{escape(name)}</title>{box}{text}</g>"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
