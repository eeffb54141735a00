"""How a node's function is called, and what becomes of what it returns, by positions of datasets.

Nodes of one form differ in nothing but their function and the names of their datasets.
"""

from __future__ import annotations

from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._pipeline.signature import arguments, outputs_by_name
from motorpool.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from motorpool._pipeline.signature import Names

# Positions in the order of the arguments, or argument to position.
Positions = list[int] | dict[str, int]


class Form(NamedTuple):
    """A form.

    Attributes:
        inputs: Positions among the node's inputs.
        outputs: Likewise, among its outputs; 0 if what is returned is its one output, and None if
            there is none.
    """

    inputs: Positions
    outputs: Positions | int | None

    @classmethod
    def usual(cls, count: int) -> Form:
        """The form of a node whose inputs are the arguments in order, and with one output.

        Args:
            count: Number of inputs.
        """
        return cls(list(range(count)), 0)

    @staticmethod
    def is_usual(inputs: Names, outputs: Names, reads: Sequence[str]) -> bool:
        """Whether a node is of the usual form; in a tenth of the time that it takes to make one.

        Args:
            inputs: As they were declared.
            outputs: Likewise.
            reads: Names of its inputs, each once.
        """
        in_order = isinstance(inputs, str) or (
            not isinstance(inputs, dict) and len(inputs or ()) == len(reads)
        )
        return (in_order or not inputs) and isinstance(outputs, str)

    @classmethod
    def of(
        cls, inputs: Names, outputs: Names, reads: Sequence[str], writes: Sequence[str]
    ) -> Form | None:
        """The form of a node; None if it has a name that is no string.

        Args:
            inputs: As they were declared.
            outputs: Likewise.
            reads: Names of its inputs, each once.
            writes: Likewise, of its outputs.
        """
        taken = _positions([inputs] if isinstance(inputs, str) else inputs or [], reads)
        made: Positions | int | None = None if outputs is None else 0
        if isinstance(outputs, list | tuple | dict):
            made = _positions(outputs, writes)
        keys = [
            *(taken if isinstance(taken, dict) else ()),
            *(made if isinstance(made, dict) else ()),
        ]
        return cls(taken, made) if all(type(key) is str for key in keys) else None

    def arguments(self, values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of a call, from the values of the inputs."""
        return arguments(self.inputs, values)  # type: ignore[arg-type]

    def results(self, returned: Any, writes: Sequence[str], owner: str) -> dict[str, Any]:
        """Say which output is which part of what was returned; see `outputs_by_name`.

        Args:
            returned: What the function has returned.
            writes: Names of the outputs.
            owner: Name of the node.
        """
        return outputs_by_name(self._named(writes), returned, owner)

    def values(self, returned: Any) -> list[Any] | None:
        """The values of the outputs, in order; None if it takes `results` to find them.

        That knows names, to say what does not have the declared form, now or while it is read.

        Args:
            returned: What the function has returned.
        """
        if self.outputs == 0:
            return [returned]
        if isinstance(returned, GeneratorType):
            return None
        try:
            found: Any = outputs_by_name(self.outputs, returned, "")  # type: ignore[arg-type]
        except PipelineError:
            return None
        return list(found.values())

    def _named(self, writes: Sequence[str]) -> Names:
        if self.outputs is None:
            return None
        if isinstance(self.outputs, int):
            return writes[0]
        if isinstance(self.outputs, dict):
            return {key: writes[i] for key, i in self.outputs.items()}
        return [writes[i] for i in self.outputs]


def _positions(spec: Iterable[str] | dict[str, str], names: Sequence[str]) -> Positions:
    position = {name: i for i, name in enumerate(names)}
    if isinstance(spec, dict):
        return {key: position[name] for key, name in spec.items()}
    return [position[name] for name in spec]
