"""The errors that Motorpool raises.

    MotorpoolError
    ├── PipelineError (ValueError)            a node or pipeline is put together wrongly
    │   └── CyclicPipelineError               nodes depend on each other in a circle
    ├── DatasetError                          a dataset cannot be loaded or saved
    ├── MissingInputError (ValueError)        the catalog lacks what the pipeline needs
    ├── ValidationError (AttributeError)      nodes or datasets that this backend cannot run
    ├── ResumeError (LookupError)             there is no run to go on from
    ├── WorkerCountError (ValueError)         `max_workers` is not a positive whole number
    ├── BackendError                          a backend cannot be used
    │   ├── UnknownBackendError (LookupError) no installed backend has this name
    │   ├── DuplicateBackendError             two distributions claim one name
    │   ├── BrokenBackendError                a plug-in fails to load, or breaks the contract
    │   └── BackendOptionError (ValueError)   an unknown option, or a bad value
    ├── NodeError                             a node failed, and not with its own exception
    │   ├── WorkerCrashedError                the process that ran it died
    │   │   └── OutOfMemoryError              the kernel killed it for want of memory
    │   ├── NodeTimeoutError (TimeoutError)   it ran past its deadline
    │   └── RemoteError                       its own exception could not travel
    └── StoreError                            the store cannot keep or find a value
        └── StoreFullError (OSError)          no tier of the store has room

A node's own exception is raised as it is, with a note that names node, backend and worker;
several at once are an `ExceptionGroup`.

Every error carries `node`, `dataset` and `backend` where they are known. Errors pickle, so that a
runner inside a node reports like any other code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BackendError",
    "BackendOptionError",
    "BrokenBackendError",
    "CyclicPipelineError",
    "DatasetError",
    "DuplicateBackendError",
    "MissingInputError",
    "MotorpoolError",
    "NodeError",
    "NodeTimeoutError",
    "OutOfMemoryError",
    "PipelineError",
    "RemoteError",
    "ResumeError",
    "StoreError",
    "StoreFullError",
    "UnknownBackendError",
    "ValidationError",
    "WorkerCountError",
    "WorkerCrashedError",
]


class MotorpoolError(Exception):
    """The root of all errors of this package.

    Args:
        message: What is wrong, and what to do about it.
        node: Name of the node at fault, where one is.
        dataset: Name of the dataset at fault, where one is.
        backend: Name of the backend in use, where it matters.
    """

    def __init__(
        self,
        message: str = "",
        *,
        node: str | None = None,
        dataset: str | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__(message)
        self.node = node
        self.dataset = dataset
        self.backend = backend


class PipelineError(MotorpoolError, ValueError):
    """A node or a pipeline is put together wrongly."""


class CyclicPipelineError(PipelineError):
    """Nodes depend on each other in a circle; the message prints the path, in order."""


class DatasetError(MotorpoolError):
    """A dataset cannot be loaded or saved."""


class MissingInputError(MotorpoolError, ValueError):
    """The catalog lacks a dataset that the pipeline needs and does not produce."""


class ValidationError(MotorpoolError, AttributeError):
    """Nodes, datasets or settings that the chosen backend cannot run; all of them are named."""


class ResumeError(MotorpoolError, LookupError):
    """There is no run to go on from, or it is alive, or it was of another pipeline."""


class WorkerCountError(MotorpoolError, ValueError):
    """`max_workers` is not a positive whole number."""


class BackendError(MotorpoolError):
    """A backend cannot be used."""


class UnknownBackendError(BackendError, LookupError):
    """No installed backend has this name."""


class DuplicateBackendError(BackendError):
    """Two installed distributions claim one backend name."""


class BrokenBackendError(BackendError):
    """A plug-in does not register a usable backend, or its executor breaks the contract."""


class BackendOptionError(BackendError, ValueError):
    """An option that the backend does not have, or a value that it cannot take."""


class NodeError(MotorpoolError):
    """A node failed, and not with an exception of its own."""


class WorkerCrashedError(NodeError):
    """The process that ran the node died, or the node asked for that with `sys.exit`.

    Attributes:
        pid: Process id of the worker, if known.
        exitcode: Exit code; negative for the number of a signal; None if unknown, or if its pool
            ended it.
        last_words: What faulthandler wrote: the fault, and the node's own frames, innermost first;
            empty if it had no time to.
        reason: Why its pool ended it, as a sentence that begins with "it"; empty if it did not.
    """

    pid: int | None = None
    exitcode: int | None = None
    last_words: str = ""
    reason: str = ""


class OutOfMemoryError(WorkerCrashedError):
    """The kernel killed the process that ran the node for want of memory.

    Attributes:
        held: Bytes that the worker held when it was last looked at, if it was.
        peak: Most bytes that the control group has held, the run's other processes and its
            values in shared memory included, if known.
        limit: Bytes that the control group may hold; None without a limit.
    """

    held: int | None = None
    peak: int | None = None
    limit: int | None = None


class NodeTimeoutError(NodeError, TimeoutError):
    """The node ran past its deadline, and its worker was ended."""


class RemoteError(NodeError):
    """Stands in for a node's exception that cannot be pickled or unpickled.

    The message holds the original type and text; the original traceback is the cause.
    """


class StoreError(MotorpoolError):
    """The store cannot keep or find a value."""


class StoreFullError(StoreError, OSError):
    """No tier of the store has room for a value."""


# A list of choices is read, not searched; beyond this many the rest is only counted.
_MOST_SHOWN = 20


def unknown_names(what: str, unknown: Iterable[str], known: Iterable[str]) -> str:
    """Say which names do not exist, which are near, and which there are.

    Args:
        what: What the names are of, such as "node".
        unknown: The names that do not exist.
        known: All that do.
    """
    import difflib  # noqa: PLC0415, only a mistake needs it

    choices = sorted(known)
    parts = []
    for name in unknown:
        near = difflib.get_close_matches(name, choices, n=1)
        hint = f"; do you mean {near[0]!r}?" if near else "."
        parts.append(f"There is no {what} {name!r}{hint}")
    shown = ", ".join(choices[:_MOST_SHOWN])
    if len(choices) > _MOST_SHOWN:
        shown += f", and {len(choices) - _MOST_SHOWN} more"
    return " ".join(parts) + f" There are: {shown or 'none'}."
