"""`motorpool graph`."""

from __future__ import annotations

import json
from typing import IO, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from motorpool._pipeline.drawing import dot, mermaid, svg
from motorpool._pipeline.graph import Graph
from motorpool._wording import counted
from motorpool.cli._open import open_target
from motorpool.cli._target_options import TargetOptions, target_options


@click.command()
@target_options(data=False)
@click.option("--format", "form", type=click.Choice(["tree", "mermaid", "dot", "svg", "json"]),
              default="tree", show_default=True, help="How to show it.")  # fmt: skip
@click.option("-o", "--output", default="-",
              type=click.File("w", encoding="utf-8", errors="backslashreplace", lazy=False),
              metavar="FILE", help="Where to write it; default standard output.")  # fmt: skip
def graph(target: TargetOptions, form: str, output: IO[str]) -> None:
    """Show the pipeline in TARGET: who reads what, and what can run side by side."""
    pipeline = open_target(target).pipeline
    nodes = list(pipeline.nodes)
    index = Graph.from_pipeline(nodes, pipeline.node_dependencies)
    layers = index.layers([node.name for node in nodes])
    if form == "tree":
        Console(file=output).print(_tree(pipeline, nodes, layers))
        return
    text = {
        "mermaid": lambda: mermaid(nodes), "dot": lambda: dot(nodes),
        "svg": lambda: svg(nodes, index),
        "json": lambda: json.dumps(_plain(pipeline, nodes, index, layers), indent=2),
    }[form]()  # fmt: skip
    click.echo(text, file=output)


def _tree(pipeline: Any, nodes: list[Any], layers: list[list[int]]) -> Tree:
    top = Tree(f"{counted(len(nodes), 'node')} in {counted(len(layers), 'layer')}")
    top.add("inputs: " + escape(", ".join(sorted(pipeline.inputs())) or "none"))
    for number, layer in enumerate(layers, start=1):
        branch = top.add(f"layer {number}")
        for i in layer:
            reads, writes = ", ".join(nodes[i].inputs), ", ".join(nodes[i].outputs)
            branch.add(f"[bold]{escape(nodes[i].name)}[/]: {escape(f'{reads} -> {writes}')}")
    top.add("outputs: " + escape(", ".join(sorted(pipeline.outputs())) or "none"))
    return top


def _plain(
    pipeline: Any, nodes: list[Any], index: Graph, layers: list[list[int]]
) -> dict[str, Any]:
    layer_of = {i: number for number, layer in enumerate(layers) for i in layer}
    return {
        "inputs": sorted(pipeline.inputs()),
        "outputs": sorted(pipeline.outputs()),
        "nodes": [
            {
                "name": node.name,
                "inputs": list(node.inputs),
                "outputs": list(node.outputs),
                "tags": sorted(node.tags),
                "layer": layer_of[i],
                "parents": [nodes[p].name for p in index.parents[i]],
            }
            for i, node in enumerate(nodes)
        ],
    }
