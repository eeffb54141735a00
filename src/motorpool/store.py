"""What a store promises, for backends whose workers do not share this host's files.

Such a backend returns a `Store` from `open_store`. Its `client` goes to each worker once, and
writes and reads values there; the driver handles payloads, and never looks into them.
"""

from motorpool._store.contract import Payload, Ref, Store, StoreClient, StoredValue

__all__ = ["Payload", "Ref", "Store", "StoreClient", "StoredValue"]
