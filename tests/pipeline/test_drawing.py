"""Pictures of pipelines."""

import xml.etree.ElementTree as ET

import pytest
from functions import add, identity

from motorpool import node, pipeline
from motorpool._pipeline.drawing import dot

PIPE = pipeline(
    [
        node(add, ["a", "b"], "c", name='say "x" & <y>'),
        node(identity, "c", "d", name="second"),
        node(identity, "c", "e", name="Größe" * 20),
    ]
)
SPACE = "{http://www.w3.org/2000/svg}"


def test_picture_has_a_box_for_each_node_and_end():
    """And a line for each dataset that goes from one to another, which it names."""
    root = ET.fromstring(PIPE._repr_html_())
    boxes = {g.find(f"{SPACE}title").text: g.find(f"{SPACE}rect") for g in root.iter(f"{SPACE}g")}
    assert set(boxes) == {n.name for n in PIPE.nodes} | {"a", "b", "d", "e"}
    assert boxes["a"].get("class") == "data"
    assert boxes["second"].get("class") is None
    lines = sorted(p.find(f"{SPACE}title").text for p in root.iter(f"{SPACE}path"))
    assert lines == ["a", "b", "c", "c", "d", "e"]
    left = {name: float(box.get("x")) for name, box in boxes.items()}
    assert left["a"] < left['say "x" & <y>'] < left["second"] < left["d"]
    width = float(root.get("width"))
    assert all(left[name] + float(box.get("width")) <= width for name, box in boxes.items())
    shown = [text.text for text in root.iter(f"{SPACE}text")]
    assert max(map(len, shown)) == 40


def test_boxes_do_not_overlap():
    """Those of a column are below each other."""
    wide = pipeline([node(identity, "x", f"y{i}") for i in range(20)])
    root = ET.fromstring(wide._repr_html_())
    places = {(r.get("x"), r.get("y")) for r in root.iter(f"{SPACE}rect")}
    assert len(places) == 41


def test_very_large_pipeline_is_described():
    """A picture of it would show nothing."""
    many = pipeline([node(identity, "x", f"y{i}") for i in range(301)])
    assert many._repr_html_().startswith("Pipeline of 301 nodes: ")


@pytest.mark.parametrize("empty", [pipeline([])])
def test_empty_pipeline_has_a_picture(empty):
    """Of nothing."""
    assert ET.fromstring(empty._repr_html_()).tag == f"{SPACE}svg"


def test_text_for_other_programs():
    """Mermaid and Graphviz; quotes are escaped as each wants it."""
    assert PIPE.mermaid().splitlines()[0] == "flowchart LR"
    assert '    n0["say #quot;x#quot; & <y>"]' in PIPE.mermaid().splitlines()
    text = dot(PIPE.nodes)
    assert text.startswith("digraph pipeline {")
    assert '    n0 [label="say \\"x\\" & <y>", style=filled];' in text.splitlines()
    assert text.count("->") == 7


def test_node_shows_its_function():
    """Its name may be another's."""
    assert repr(node(add, ["a", "b"], "c", name="sum")) == "Node('sum': add, ['a', 'b'] -> 'c')"
