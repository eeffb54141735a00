"""What the kit's tasks and nodes do; workers import it by name."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from multiprocessing.connection import Client
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from motorpool.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from motorpool.testing._gate import Ticket

DEATHS = ("exit", "kill", "segfault", "abort")
_PIPE = 1 << 16


def echo(x: Any) -> Any:
    """Return what is given."""
    return x


def keep(_other: Any, x: Any) -> Any:
    """Return the second of two."""
    return x


def add(*numbers: int, plus: int = 0) -> int:
    """Add numbers."""
    return sum(numbers) + plus


def increment(x: int) -> int:
    """Add one."""
    return x + 1


def make_none() -> int:
    """Take no input."""
    return 42


def split(x: int) -> dict[str, int]:
    """Return two outputs by name."""
    return {"low": x - 1, "high": x + 1}


def pair(x: int) -> tuple[int, int]:
    """Return two outputs in order."""
    return x - 1, x + 1


def stream(n: int) -> Iterator[list[int]]:
    """Yield chunks."""
    for i in range(n):
        yield [i]


def raise_deep_down(*args: Any) -> Never:
    """Fail in a function of its own."""
    _deep_down(*args)


def _deep_down(*args: Any) -> Never:
    raise ValueError(*args)


def raise_lookup(_x: Any) -> Never:
    """Fail with something else."""
    raise LookupError("this one as well")


class AwkwardError(Exception):
    """Pickles, and cannot be unpickled: its constructor wants more than it keeps."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def raise_awkward(_x: Any) -> Never:
    """Fail with an error that cannot be unpickled."""
    raise AwkwardError(1, 2)


def raise_unpicklable(_x: Any) -> Never:
    """Fail with an error that cannot be pickled."""
    error = ValueError("holds something")
    error.held = Unpicklable()  # type: ignore[attr-defined]
    raise error


def raise_group(_x: Any) -> Never:
    """Fail with several errors at once."""
    raise ExceptionGroup("two", [ValueError("one"), KeyError("other")])


def raise_huge(_x: Any) -> Never:
    """Fail with a message of 20 MB."""
    raise ValueError("x" * 20_000_000)


class Unpicklable:
    """Refuses to be pickled."""

    def __reduce__(self) -> Never:
        raise TypeError("this one stays here")


def make_unpicklable(_x: Any = None) -> Unpicklable:
    """Return what cannot be pickled."""
    return Unpicklable()


def pid(*_inputs: Any) -> int:
    """Process id of the worker."""
    return os.getpid()


def place() -> tuple[int, int]:
    """Process and thread that a task runs in."""
    return os.getpid(), threading.get_ident()


def environment(names: list[str]) -> list[str | None]:
    """Some variables of the environment."""
    return [os.environ.get(name) for name in names]


def note(path: str, line: Any) -> Any:
    """Append a line to a file, in one write."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


def wait_at(ticket: Ticket, name: Any = None) -> Any:
    """Wait at a gate; return the name."""
    with Client(ticket[0], authkey=ticket[1]) as connection:
        connection.send((name, os.getpid()))
        connection.recv()
    return name


def wait_and_die(ticket: Ticket, how: str) -> Never:
    """Wait at a gate, then end the worker."""
    wait_at(ticket, how)
    die(how)


def die(how: str) -> Never:
    """End the worker without a word."""
    if how == "kill":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "abort":
        os.abort()
    os._exit(13)


def die_beside(how: str, _other: Any) -> Never:
    """End the worker, having read something."""
    die(how)


def same(a: Any, b: Any) -> bool:
    """Raise unless two values are equal."""
    if a != b:
        raise ValueError("the two are not equal")
    return True


def chatter(size: int) -> int:
    """Say a lot, to both streams of the process."""
    for stream_ in (sys.stdout, sys.stderr):
        print("." * size, file=stream_, flush=True)
    return size


def log(x: Any) -> Any:
    """Say something to a logger."""
    logging.getLogger("motorpool.kit").warning("a word from a node: %s", x)
    return x


def spoil(values: Any) -> int:
    """Change an input in place; return its new length or sum."""
    if isinstance(values, list):
        values.append("spoilt")
        return len(values)
    values[:] = 0
    return int(values.sum())


def add_after(values: list[int], _before: Any) -> int:
    """Length of a list, once something else has run."""
    return len(values)


def sum_after(values: Any, _before: Any) -> int:
    """Sum of an array, once something else has run."""
    return int(values.sum())


def cut(text: bytes) -> bytes:
    """Return a part of a large value."""
    return bytes(memoryview(text)[: len(text) // 2])


def hang(_x: Any) -> Never:
    """Never return."""
    while True:
        signal.pause() if hasattr(signal, "pause") else None


def tell_and_hang(fifo: str) -> Never:
    """Wait for a reader of a named pipe, and never return."""
    with Path(fifo).open("w"):
        hang(None)


def fail_when_told(fifo: str) -> Never:
    """Wait for a writer to a named pipe, and fail."""
    with Path(fifo).open():
        raise ValueError("told")


def nested(backend: Any, x: int) -> int:
    """Run a pipeline within a node."""
    from motorpool import ParallelRunner, node, pipeline  # noqa: PLC0415, where a run is wanted

    inner = pipeline(node(increment, "x", "y"))
    value: int = ParallelRunner(backend, max_workers=1).run(inner, {"x": x})["y"].load()
    return value


class TenTimes:
    """A hook that replaces inputs."""

    @hookimpl
    def before_node_run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Multiply each."""
        return {name: 10 * value for name, value in inputs.items()}
