"""Nodes that make, keep or change values of the store."""

from __future__ import annotations

import pickle
import uuid
from pathlib import Path

import cloudpickle

from motorpool import allocate
from motorpool.store import Ref, Store, StoredValue

KEPT = []


def make_allocated(n):
    """An array in the store, which its maker keeps as well."""
    array = allocate((n, 2))
    array[:] = 3
    make_allocated.kept = array
    return array


def change_what_was_kept(array):
    before = array.sum()
    make_allocated.kept[:] = 100
    return float(before + array.sum())


def make_range(n):
    import numpy as np  # not above: a fresh worker would take 0.3 s longer to begin with any node

    return np.arange(n, dtype="float64")


def keep_range(n):
    KEPT[:] = [make_range(n)]
    return KEPT[0]


def range_is_kept(_copy, n):
    return bool((KEPT.pop() == make_range(n)).all())


class FolderClient:
    """Writes and reads values in a folder that all hosts mount, as a plug-in's author would."""

    readonly = False

    def __init__(self, folder):
        self.folder = folder

    @property
    def dumps(self):
        return cloudpickle.dumps

    @property
    def loads(self):
        return pickle.loads

    def put(self, value, *, inline=True, owner="", consume=False):
        data = self.dumps(value)
        if inline and len(data) < 100:
            return data
        path = Path(self.folder, f"{owner}{uuid.uuid4().hex}")
        path.write_bytes(data)
        return Ref(str(path), len(data))

    def get(self, payload):
        data = payload if isinstance(payload, bytes) else Path(payload.key).read_bytes()
        return self.loads(data)

    def allocate(self, nbytes, owner):
        return None

    def discard(self, payload):
        if not isinstance(payload, bytes):
            Path(payload.key).unlink()

    def end_node(self, *, goes_on=False):
        pass


class FolderStore(Store):
    """A store with no more than the contract asks for."""

    def __init__(self, folder):
        self._client = FolderClient(folder)

    @property
    def client(self):
        return self._client

    def release(self, payload):
        self._client.discard(payload)

    def pin(self, payload):
        return StoredValue(payload, self._client, self)

    def close(self):
        pass
