"""The data plane: where values wait between the node that makes them and those that read them.

    producer                          driver                     consumer
    client.put(value)                                            client.get(payload)
       |  small: the pickle itself       |                           ^
       +---------------------- payload --+--- payload ---------------+
       |  large: a Ref                   |
       v                                 | release(payload), after the last consumer
    file in a directory of the run  <----+ pin(payload), for results that outlive the run

The driver handles payloads and never looks into them.
"""

from motorpool._store.client import INLINE_LIMIT, FileClient
from motorpool._store.contract import (
    CompositeRef,
    Payload,
    Ref,
    Store,
    StoreClient,
    StoredValue,
    payload_size,
)
from motorpool._store.driver import FileStore
from motorpool._store.exceptions import make_exception, state_of
from motorpool._store.format import dump, is_whole, layout, write_file
from motorpool._store.in_band import InBandClient, InBandStore
from motorpool._store.maps import close_maps
from motorpool._store.out_of_band import Pickled
from motorpool._store.owned import OwnedValue
from motorpool._store.pickling import dumps, reduce_out_of_band
from motorpool._store.script import OTHERS, Collector, Undefined, script_names, want_global
from motorpool._store.script_module import Script, ScriptModule, as_main
from motorpool._store.script_pickling import reduce_script
from motorpool._store.segments import Segments

__all__ = [
    "INLINE_LIMIT",
    "OTHERS",
    "Collector",
    "CompositeRef",
    "FileClient",
    "FileStore",
    "InBandClient",
    "InBandStore",
    "OwnedValue",
    "Payload",
    "Pickled",
    "Ref",
    "Script",
    "ScriptModule",
    "Segments",
    "Store",
    "StoreClient",
    "StoredValue",
    "Undefined",
    "as_main",
    "close_maps",
    "dump",
    "dumps",
    "is_whole",
    "layout",
    "make_exception",
    "payload_size",
    "reduce_out_of_band",
    "reduce_script",
    "script_names",
    "state_of",
    "want_global",
    "write_file",
]
