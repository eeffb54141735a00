"""What the nodes of standard graphs do: arithmetic for a while, and bytes to pass on."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from itertools import repeat
from typing import Any


def work(iterations: int, nbytes: int, *_inputs: Any) -> bytes:
    """Multiply and add, so many times; a clock would hide that others use the core.

    Returns:
        So many zero bytes.
    """
    value = 1.0
    for _ in repeat(None, iterations):
        value = value * 0.999999 + 0.000001
    return bytes(nbytes) if value else b""


def rate(seconds: float = 0.2) -> float:
    """Iterations a second in this process."""
    count, elapsed = 1000, 0.0
    while elapsed < seconds / 4:
        count *= 2
        began = time.perf_counter()
        work(count, 0)
        elapsed = time.perf_counter() - began
    return count / elapsed


def rate_of(processes: int) -> float:
    """Iterations a second in each of so many processes that have nothing else to do.

    Cores that share something are slower together than alone; a system that spreads work over
    them is not to blame for it.
    """
    code = f"from {__name__} import rate; print(rate())"
    command = [sys.executable, "-c", code]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603, this Python
        for _ in range(processes)
    ]
    return statistics.median(float(process.communicate()[0]) for process in started)
