"""What runs inside a worker process: units in, what became of their nodes out.

run_envelope(bytes)
   |  session: the plan, mapped and kept; unpickles only what this worker runs, for each run anew
   v
unit: stamp -> call, or task on a catalog -> stamp -> what became of them, as bytes
"""

from __future__ import annotations

import atexit
import pickle
from functools import lru_cache

from motorpool._protocol.messages import Load
from motorpool._store import close_maps
from motorpool._system.interpreters import is_beside_others
from motorpool._worker.behind import left_by
from motorpool._worker.session import Session, close_output
from motorpool._worker.unit import UnitRun


def run_envelope(data: bytes) -> bytes:
    """Run the nodes of a unit, one after the other.

    Args:
        data: Pickle of what leads to the plan, from `envelope_head`; of a `RunName`; and of a
            `Load`; both as tuples.

    Returns:
        A packed `UnitResult`; nodes that are not in it were not started, or told of before.
        Behind it what was logged, where no file takes that; see `LogWriter.take`.
    """
    head, name, load = pickle.loads(data)
    session = _session(head)
    session.begin(name)
    session.attach_output()
    with session.as_main():
        unit = UnitRun(session, Load._make(load))
        result = unit.run()
        session.left = left_by(unit)
        return result + session.take_logs()


def _close_files() -> None:
    """Close what is open: the process goes on when this interpreter has ended."""
    _session.cache_clear()
    close_output()
    close_maps()


if is_beside_others():
    atexit.register(_close_files)


@lru_cache(maxsize=2)  # two runs may share the workers of one runner
def _session(head: bytes) -> Session:
    client, plan, key, scratch = pickle.loads(head)
    return Session(pickle.loads(client), plan, key, scratch)
