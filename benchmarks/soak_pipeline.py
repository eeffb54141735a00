"""Random pipelines whose nodes go wrong now and then; `soak.py` runs them.

A pipeline follows from its seed. Values are arrays and other things that follow from a digest, and
each node digests every byte of its inputs, so a value that is damaged, swapped or stale anywhere
changes the outputs. What is to go wrong lies in a folder, as files: a node that finds one with its
name removes it and does what it says; so a fault happens once, wherever the node runs again.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from motorpool import DataCatalog, PickleDataset, Pipeline, node

# What any node may do, and what only one in a process of its own may.
MILD = ("raise", "huge")
SEVERE = ("exit", "fork", "hang", "kill", "mess", "segfault", "thread")
# Seconds; a worker that is new has to import numpy in it, on a machine that is busy.
TIMEOUT = 10.0


class Spec:
    """One random pipeline.

    Args:
        seed: What it follows from.

    Attributes:
        inputs: For each node, the nodes whose values it reads.
        kinds: For each node, what it makes.
        sizes: For each node, the size of that, in items.
    """

    def __init__(self, seed: str) -> None:
        rng = random.Random(seed)
        count = rng.choice([3, 8, 20, 40])
        self.inputs = [
            sorted(rng.sample(range(i), min(i, rng.choice([0, 1, 1, 2, 3])))) for i in range(count)
        ]
        self.kinds = [rng.choice(["int", "array", "array", "dict", "bytes"]) for _ in range(count)]
        self.sizes = [rng.choice([1, 100, 20_000, 100_000, 500_000]) for _ in range(count)]
        self.times = [rng.choice([0.0, 0.0, 0.002, 0.02]) for _ in range(count)]

    def __len__(self) -> int:
        return len(self.inputs)

    def finals(self) -> list[int]:
        """The nodes whose values have no reader."""
        read = {parent for parents in self.inputs for parent in parents}
        return [i for i in range(len(self)) if i not in read]

    def expected(self) -> dict[int, int]:
        """Digest of each node's value, by a plain loop."""
        values: list[Any] = []
        for i, parents in enumerate(self.inputs):
            values.append(make(self.kinds[i], self.sizes[i], mix(i, [values[p] for p in parents])))
        return {i: digest(value) for i, value in enumerate(values)}


def digest(value: Any) -> int:
    """A number that changes with any byte of a value."""
    hashed = hashlib.blake2b(digest_size=6)
    _feed(hashed, value)
    return int.from_bytes(hashed.digest(), "little")


def _feed(hashed: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        hashed.update(f"{value.dtype}{value.shape}".encode())
        hashed.update(np.ascontiguousarray(value).view(np.uint8))
    elif isinstance(value, dict):
        for key in sorted(value):
            hashed.update(key.encode())
            _feed(hashed, value[key])
    else:
        hashed.update(value if isinstance(value, bytes) else repr(value).encode())


def mix(index: int, values: list[Any]) -> int:
    """What a node makes of its inputs."""
    return digest(repr((index, [digest(value) for value in values])))


def make(kind: str, size: int, number: int) -> Any:
    """A value that follows from a number."""
    if kind == "array":
        return np.arange(size, dtype=np.float64) + number % 1_000_003
    if kind == "dict":
        half = np.full(size // 2 + 1, number, dtype=np.int64)
        return {"number": number, "half": half, "dates": half.astype("datetime64[s]")}
    return bytes([number % 251]) * size if kind == "bytes" else number


def work(index: int, spec: Spec, folder: str, *values: Any) -> Any:
    """Run one node: note the try, go wrong if so planned, spoil the inputs, and make the value."""
    with Path(folder, "tries").open("a") as file:
        file.write(f"n{index}\n")
    number = mix(index, list(values))
    for value in values:  # a node may change its inputs, and no other node sees it
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value[:] = -1
    _go_wrong(index, folder)
    time.sleep(spec.times[index])
    return make(spec.kinds[index], spec.sizes[index], number)


def _go_wrong(index: int, folder: str) -> None:
    for path in sorted(Path(folder).glob(f"n{index}.*")):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        _FAULTS[path.name.split(".")[1]]()
        return


def _raise() -> None:
    raise ValueError("planned")


def _huge() -> None:
    raise ValueError("x" * 10_000_000)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _mess() -> None:
    os.chdir("/")
    os.environ["MOTORPOOL_SOAK"] = "1"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.close(0)


_FAULTS = {
    "exit": lambda: os._exit(3),
    "fork": _fork,
    "hang": lambda: time.sleep(600),
    "huge": _huge,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "mess": _mess,
    "raise": _raise,
    "segfault": lambda: ctypes.string_at(0),
    "thread": lambda: threading.Thread(target=time.sleep, args=(30,)).start(),
}


def build(
    spec: Spec, folder: str, *, timeout: float | None, backends: list[str | None] | None = None
) -> Pipeline:
    """The pipeline of a spec; its values are called v0, v1 and so on.

    Args:
        spec: The spec.
        folder: Where its faults are.
        timeout: Of each node that names no backend.
        backends: For each node the backend that it names; by default none does.
    """
    nodes = []
    for i, parents in enumerate(spec.inputs):

        def call(*values: Any, i: int = i) -> Any:
            return work(i, spec, folder, *values)

        names = [f"v{p}" for p in parents]
        backend = None if backends is None else backends[i]
        limits = {None: timeout, "threads": None}
        limit = limits.get(backend, TIMEOUT)
        nodes.append(
            node(call, names or None, f"v{i}", name=f"n{i}", backend=backend, timeout=limit)
        )
    return Pipeline(nodes)


def pipeline() -> Pipeline:
    """For the command line: the pipeline that the environment names."""
    timeout = TIMEOUT if os.environ["SOAK_TIMEOUT"] == "yes" else None
    return build(Spec(os.environ["SOAK_SEED"]), os.environ["SOAK_FOLDER"], timeout=timeout)


def catalog() -> DataCatalog:
    """For the command line: the outputs go to files."""
    folder = Path(os.environ["SOAK_FOLDER"])
    spec = Spec(os.environ["SOAK_SEED"])
    return DataCatalog({f"v{i}": PickleDataset(folder / f"v{i}") for i in spec.finals()})
