"""The data plane: where values wait between the node that makes them and those that read them.

    producer                          driver                     consumer
    client.put(value)                                            client.get(payload)
       |  small: the pickle itself       |                           ^
       +---------------------- payload --+--- payload ---------------+
       |  large: a Ref                   |
       v                                 | release(payload), after the last consumer
    file in a directory of the run  <----+ claim(payload), for results that outlive the run

The driver handles payloads and never looks into them.
"""

from motorpool._store._contract import (
    Payload,
    Ref,
    Store,
    StoreClient,
    StoredValue,
    payload_size,
)
from motorpool._store._directory import try_lock, unlock
from motorpool._store._files import FileClient, FileStore, write_file
from motorpool._store._segment import dump, is_whole

__all__ = [
    "FileClient",
    "FileStore",
    "Payload",
    "Ref",
    "Store",
    "StoreClient",
    "StoredValue",
    "dump",
    "is_whole",
    "payload_size",
    "try_lock",
    "unlock",
    "write_file",
]
