"""What runs inside a worker process: envelopes in, outcomes out.

run_envelope(bytes)
   |  session: the plan, mapped and kept; unpickles only what this worker runs
   v
envelope: stamp -> task, on a catalog -> stamp -> outcomes, as bytes
"""

from __future__ import annotations

import atexit
import pickle
from functools import lru_cache

from motorpool._store import close_maps
from motorpool._system.interpreters import is_beside_others
from motorpool._worker.envelope import Trip
from motorpool._worker.session import Session, close_output


def run_envelope(data: bytes) -> bytes:
    """Run the nodes of an envelope, one after the other.

    Args:
        data: Pickle of what leads to the run, from `envelope_head`; and of `Load`s, as tuples.

    Returns:
        Pickle of a list of outcomes, as plain tuples; nodes that are not in it were not started.
        Behind it what was logged, where no file takes that; see `LogWriter.take`.
    """
    head, loads = pickle.loads(data)
    session = _session(head)
    session.attach_output()
    with session.as_main():
        return Trip(session).run(loads) + session.take_logs()


def _close_files() -> None:
    """Close what is open: the process goes on when this interpreter has ended."""
    _session.cache_clear()
    close_output()
    close_maps()


if is_beside_others():
    atexit.register(_close_files)


@lru_cache(maxsize=2)  # two runs may share the workers of one runner
def _session(head: bytes) -> Session:
    return Session(*pickle.loads(head))
