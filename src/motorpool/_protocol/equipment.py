"""What workers are sent beside nodes, unreadable in files: it may hold passwords.

A plan may lie in shared memory or, where that is short, on a disk. Its key goes with each
envelope, through pipes.
"""

from __future__ import annotations

import hashlib
import pickle
import secrets
from typing import NamedTuple, Self


class Equipment(NamedTuple):
    """What workers need beside nodes, each thing pickled.

    Attributes:
        datasets: The datasets that are loaded and saved by workers, by name.
        hooks: Project name, specifications and plug-ins of the hook manager; or None.
        host: The framework that the run belongs to, or None.
        process: The settings of the process that nodes find, the environment among them; see
            `capture_settings`.
        context: The context that nodes begin with, a `CapturedContext`.
    """

    datasets: dict[str, bytes]
    hooks: bytes | None
    host: bytes | None
    process: bytes
    context: bytes

    def packed(self) -> bytes:
        """All of it, as bytes."""
        return pickle.dumps(tuple(self))

    @classmethod
    def unpacked(cls, data: bytes) -> Self:
        """All of it again."""
        return cls(*pickle.loads(data))


def sealed(data: bytes, key: bytes) -> bytes:
    """Data that nobody can read who does not have the key; done twice, that is the data again.

    Combined with what SHAKE-256 makes of the key.
    """
    stream = hashlib.shake_256(key).digest(len(data))
    number = int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")
    return number.to_bytes(len(data), "little")


def new_key() -> bytes:
    """A key for one seal; a second one with the same key would give both away."""
    return secrets.token_bytes(32)
