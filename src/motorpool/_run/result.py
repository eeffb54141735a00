"""What a run leaves to its caller: results, failures, and a hint."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from motorpool._datasets.describe import describe_dataset
from motorpool._protocol.failure import own_frames
from motorpool._wording import counted
from motorpool.errors import unknown_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from motorpool.events import RunSummary

_logger = logging.getLogger("motorpool")
#: What is said of a run that is not complete; a command line has another way to say it.
RESUME_HINT = "%s failed or did not run. To run the rest: %s"
#: Why a dataset is not among the outputs.
NOT_KEPT = "What other nodes read is gone when the run is over, unless it is in the catalog."


class RunResult(dict[str, Any]):
    """Output name to dataset; each loads for as long as it is kept.

    Attributes:
        summary: What the run came to.
    """

    def __init__(self, datasets: Mapping[str, Any], summary: RunSummary) -> None:
        super().__init__(datasets)
        self.summary = summary

    def __missing__(self, name: str) -> NoReturn:
        raise KeyError(f"{unknown_names('output', [str(name)], self)} {NOT_KEPT}")

    def __repr__(self) -> str:
        lines = [f"{name}: {describe_dataset(dataset)}" for name, dataset in self.items()]
        title = f"<{counted(len(lines), 'output')} of the run {self.summary.run_id}>"
        return "\n  ".join([title, *lines])


def suggest_resume(done: int, unfinished: int, start: list[str], journal: str | None) -> None:
    """Log how to run what has not run.

    Args:
        done: Number of nodes that ran.
        unfinished: Number of nodes that did not.
        start: Names of the nodes to start from.
        journal: File of the run's journal, or None.
    """
    if done and journal is not None:
        way = f"runner.run(pipeline, catalog, resume={Path(journal).stem!r})"
    elif done:
        way = f"runner.run(pipeline.filter(from_nodes={start!r}), catalog)"
    else:
        way = "runner.run(pipeline, catalog), as before: no node has run"
    _logger.warning(RESUME_HINT, counted(unfinished, "node"), way)


def failure_of(found: Mapping[int, BaseException]) -> BaseException | None:
    """The failure of a run, or all of them as a group, in the order of the nodes; None if none.

    Their tracebacks begin with the nodes' own code.

    Args:
        found: What has failed, by number of the node.
    """
    failures = [found[i] for i in sorted(found)]
    for failure in failures:
        failure.with_traceback(own_frames(failure.__traceback__))  # an attribute may be frozen
    if len(failures) < 2:  # noqa: PLR2004, a group is of several
        return failures[0] if failures else None
    message = f"{counted(len(failures), 'node')} failed"
    if all(isinstance(f, Exception) for f in failures):
        return ExceptionGroup(message, failures)  # type: ignore[type-var]
    return BaseExceptionGroup(message, failures)
