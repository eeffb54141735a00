"""What a run has computed, and brings to where its owner wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._protocol.failure import summary_of
from motorpool.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable


def save_output(name: str, dataset: Any, source: Callable[[], Any]) -> list[DatasetError]:
    """Save an output of the run; return what is wrong with that, if anything."""
    try:
        dataset.save(source())
    except Exception as error:  # noqa: BLE001, whatever a dataset raises is the reason
        problem = DatasetError(
            f"The output {name!r} is computed, but its dataset ({type(dataset).__name__}) cannot "
            f"keep it: {summary_of(error)}",
            dataset=name,
        )
        problem.__cause__ = error
        return [problem]
    return []
