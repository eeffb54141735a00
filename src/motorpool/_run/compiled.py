"""What runs need to know of a pipeline, found out once and kept for as long as the pipeline lives.

Pipelines do not change. What depends on the catalog, on the backends or on settings is not here.
"""

from __future__ import annotations

from array import array
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from motorpool._engine.priority import urgency
from motorpool._journal.fingerprint import code_hash
from motorpool._pipeline.form import Form
from motorpool._pipeline.graph import Graph, untranscoded
from motorpool._pipeline.node import Node
from motorpool._pipeline.signature import function_name
from motorpool._protocol.wiring import Wiring
from motorpool._system.amounts import parse_resources
from motorpool._worker.task import is_generator
from motorpool.pipeline import Pipeline, ends_of, graph_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEDRO = ("kedro.pipeline.pipeline", "Pipeline")
# As many as a byte can number.
_MOST_FORMS = 254
_declared = attrgetter("_inputs", "_outputs")
_known: WeakKeyDictionary[Any, CompiledPipeline] = WeakKeyDictionary()


def compiled(pipeline: Any) -> CompiledPipeline:
    """What is to be known of a pipeline.

    Args:
        pipeline: One of ours or of Kedro's, for which it is kept; or anything like them.

    Raises:
        CyclicPipelineError: If nodes wait for each other.
        PipelineError: If a node waits for something that is no node of the pipeline.
    """
    kind = type(pipeline)
    if kind is not Pipeline and (kind.__module__, kind.__qualname__) != _KEDRO:
        return _compile(pipeline)
    if pipeline not in _known:
        _known[pipeline] = _compile(pipeline)
    return _known[pipeline]


def _compile(pipeline: Any) -> CompiledPipeline:
    nodes = list(pipeline.nodes)
    return CompiledPipeline(nodes, graph_of(pipeline, nodes), *ends_of(pipeline))


class CompiledPipeline:
    """What is to be known of a pipeline; nothing of it may be changed.

    Args:
        nodes: The nodes, in a topological order.
        graph: Who waits for whom.
        inputs: Names of the datasets that are read and not written.
        outputs: Names of the datasets that are written and not read.

    Attributes:
        nodes: The same.
        graph: The same.
        inputs: The same.
        outputs: The same.
        names: Names of the nodes.
        layers: Number of nodes of the longest path.
    """

    def __init__(
        self, nodes: list[Any], graph: Graph, inputs: frozenset[str], outputs: frozenset[str]
    ) -> None:
        self.nodes, self.graph = nodes, graph
        self.inputs, self.outputs = inputs, outputs
        self.names = [node.name for node in nodes]
        self.layers = len(graph.layers(self.names))

    def part(self, kept: Sequence[int]) -> CompiledPipeline:
        """What is to be known of some of the nodes.

        Args:
            kept: Their indices, in ascending order.
        """
        new = {old: i for i, old in enumerate(kept)}
        parents = self.graph.parents
        graph = Graph.from_parents([new[p] for p in parents[i] if p in new] for i in kept)
        return CompiledPipeline([self.nodes[i] for i in kept], graph, self.inputs, self.outputs)

    @property
    def written(self) -> set[str]:
        """Names of the datasets that nodes write."""
        return {name for node in self.nodes for name in node.outputs}

    def is_written(self, name: str) -> bool:
        """Whether a node writes a dataset."""
        number = self.wiring.numbers.get(name)
        return number is not None and bool(self._makes[number])

    @cached_property
    def _makes(self) -> bytearray:
        """For each dataset 1 if a node writes it, or 0."""
        made = bytearray(len(self.datasets))
        for numbers in self.wiring.writes:
            for number in numbers:
                made[number] = 1
        return made

    @cached_property
    def given(self) -> dict[str, list[str]]:
        """The names of the nodes that read each dataset that no node writes under this name."""
        written, readers = self.written, dict[str, list[str]]()
        for node in self.nodes:
            for name in node.inputs:
                if name not in written:
                    readers.setdefault(name, []).append(node.name)
        return readers

    @cached_property
    def datasets(self) -> list[str]:
        """Names of all datasets that are read, written or confirmed, sorted."""
        found = self.written
        for node in self.nodes:
            found.update(node.inputs)
            found.update(getattr(node, "confirms", None) or ())
        return sorted(found)

    @cached_property
    def wiring(self) -> Wiring:
        """Who reads and writes what, by number; datasets are numbered as in `datasets`."""
        return Wiring.of(
            self.nodes, self.names, self.datasets, self.graph.parents, self.forms
        )  # fmt: skip

    @property
    def plain(self) -> bytes:
        """For each node 0 if it takes more to run it than to call its function; its form if not.

        1 is the usual form: its inputs are the arguments in order, and what is returned is its one
        output. Others are numbered from 2, in the order of `forms`. Nothing is confirmed.
        """
        return self._formed[1]

    @property
    def forms(self) -> list[Form]:
        """The forms of plain nodes, but for the usual one."""
        return self._formed[0]

    @cached_property
    def _formed(self) -> tuple[list[Form], bytes]:
        forms: list[Form] = []
        number: dict[str, int] = {}
        plain = bytearray(len(self.nodes))
        for i, (node, function) in enumerate(zip(self.nodes, self.functions, strict=True)):
            if type(node) is not Node or node.confirms or self._streams[function]:
                continue
            inputs, outputs = _declared(node)
            if Form.is_usual(inputs, outputs, node.inputs):
                plain[i] = 1
                continue
            form = Form.of(inputs, outputs, node.inputs, node.outputs)
            if form is None:
                continue
            if (key := repr(form)) in number or len(forms) < _MOST_FORMS:
                if key not in number:
                    number[key] = len(forms) + 2
                    forms.append(form)
                plain[i] = number[key]
        return forms, bytes(plain)

    @cached_property
    def streamed(self) -> frozenset[str]:
        """The outputs of generators, which may change what they have yielded."""
        made = zip(self.nodes, self.functions, strict=True)
        return frozenset(n for node, f in made if self._streams[f] for n in node.outputs)

    @cached_property
    def _streams(self) -> list[bool]:
        """Whether each function is a generator function, by number."""
        found = dict(zip(self.functions, self.nodes, strict=True))
        return [is_generator(node) for node in found.values()]

    @cached_property
    def users(self) -> array[int]:
        """For each dataset the number of nodes that make it, under this name, or read it."""
        found = array("i", bytes(4 * len(self.datasets)))
        for rows in (self.wiring.reads, self.wiring.writes):
            for numbers in rows:
                for number in numbers:
                    found[number] += 1
        return found

    @cached_property
    def unmade(self) -> frozenset[str]:
        """Names of the datasets that are read and that no node makes, under any name."""
        made = {untranscoded(name) for name in self.written}
        return frozenset(name for name in self.given if untranscoded(name) not in made)

    @cached_property
    def manifest(self) -> list[list[Any]]:
        """The pipeline as journals describe it: of each node name, inputs, outputs, code."""
        return [
            [node.name, list(node.inputs), list(node.outputs), self._codes[function]]
            for node, function in zip(self.nodes, self.functions, strict=True)
        ]

    @cached_property
    def _functions(self) -> list[Any]:
        """The functions, by number."""
        found = dict(zip(self.functions, self.nodes, strict=True))
        return [getattr(node, "func", None) for node in found.values()]

    @cached_property
    def _codes(self) -> list[str]:
        """A hash of the code of each function, by number; see `code_hash`."""
        return [code_hash(function) for function in self._functions]

    @cached_property
    def order(self) -> array[int]:
        """All nodes, the most urgent first, as long as nothing is known of how long they take."""
        return array("i", urgency(self.graph, self.nodes, [None] * len(self.nodes)))

    @cached_property
    def resources(self) -> dict[int, dict[str, float]]:
        """What nodes take while they run, by index, of those that say so."""
        said = ((i, getattr(node, "resources", None)) for i, node in enumerate(self.nodes))
        return {i: parse_resources(value) for i, value in said if value}

    @cached_property
    def functions(self) -> list[int]:
        """For each node the number of its function."""
        numbers: dict[int, int] = {}
        ids = [id(getattr(node, "func", node)) for node in self.nodes]
        return [numbers.setdefault(each, len(numbers)) for each in ids]

    @cached_property
    def fingerprints(self) -> list[str]:
        """Of each function a text that it is known by in other pipelines as well."""
        named = zip(self._codes, self._functions, strict=True)
        return [code or function_name(function) for code, function in named]
