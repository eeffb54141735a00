"""What Kedro's nodes do in tests, and datasets and hooks that workers import by name."""

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import functions
import kedro.framework.project
from functions import UnfriendlyError, Unpicklable
from kedro.framework.hooks import hook_impl
from kedro.framework.project import settings
from kedro.io import AbstractDataset, DataCatalog


class Pickled(AbstractDataset):
    """A file, whose pickles are counted in the process that makes them."""

    pickles: ClassVar = []

    def __init__(self, path, credentials=None):
        self._path = Path(path)
        self._credentials = credentials

    def load(self):
        return self._path.read_text()

    def save(self, data):
        self._path.write_text(data)

    def _exists(self):
        return self._path.exists()

    def confirm(self):
        self._path.with_suffix(".confirmed").touch()

    def _describe(self):
        return {"path": str(self._path)}

    def __getstate__(self):
        self.pickles.append(self._path.name)
        return self.__dict__.copy()


class OneProcess(Pickled):
    """Says that it is for one process only."""

    _SINGLE_PROCESS = True


class Released(Pickled):
    """Notes, in each process, what is released."""

    released: ClassVar = []

    def _release(self):
        self.released.append(self._path.name)


class HoldingNotes:
    """Hooks that hold the catalog, as those of kedro-viz do."""

    @hook_impl
    def after_catalog_created(self, catalog):
        self.catalog = catalog

    @hook_impl
    def before_node_run(self, node):
        assert set(node.inputs) <= set(self.catalog)


class ShoutingCatalog(DataCatalog):
    """A catalog class of the user's, which changes what it loads."""

    def load(self, ds_name, version=None):
        data = super().load(ds_name, version)
        return data.upper() if isinstance(data, str) else data


class Notes:
    """Hooks that write down which of them are called, and where."""

    def __init__(self, path):
        self.path = str(path)
        self.seen = []

    def _say(self, text):
        self.seen.append(text)
        with Path(self.path).open("a") as file:
            file.write(f"{text} {os.getpid()}\n")

    @hook_impl
    def before_dataset_loaded(self, dataset_name, node):
        self._say(f"before_dataset_loaded {dataset_name} {node.name}")

    @hook_impl
    def after_dataset_loaded(self, dataset_name, data, node):
        self._say(f"after_dataset_loaded {dataset_name} {data!r}")

    @hook_impl
    def before_node_run(self, node, catalog, inputs, is_async, run_id):
        known = [name for name in inputs if name in catalog]
        self._say(f"before_node_run {node.name} {run_id} {is_async} {sorted(known)}")
        return {"x": "hooked"} if "x" in inputs else None

    @hook_impl
    def after_node_run(self, node, catalog, inputs, outputs, is_async, run_id):
        self._say(f"after_node_run {node.name} {sorted(outputs)}")

    @hook_impl
    def on_node_error(self, error, node, catalog, inputs, is_async, run_id):
        self._say(f"on_node_error {node.name} {error!r}")

    @hook_impl
    def before_dataset_saved(self, dataset_name, data, node):
        self._say(f"before_dataset_saved {dataset_name}")

    @hook_impl
    def after_dataset_saved(self, dataset_name, data, node):
        self._say(f"after_dataset_saved {dataset_name} {data!r}")


class LockedNotes(Notes):
    """Hooks that cannot be pickled."""

    def __init__(self, path):
        super().__init__(path)
        self.lock = Unpicklable()


class RegisteredNotes:
    """Hooks that write down where a hook manager takes them in."""

    def __init__(self, path):
        self.path = str(path)

    def __dir__(self):
        with Path(self.path).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return super().__dir__()

    @hook_impl
    def before_node_run(self, node):
        pass


class Unfriendly:
    """Hooks that raise what pickles well and cannot be unpickled, when a node ends."""

    def __init__(self):
        self.seen = []

    @hook_impl
    def on_node_error(self, error):
        self.seen.append(repr(error))

    @hook_impl
    def after_node_run(self, node, outputs):
        self.seen.append(outputs)
        if node.name == "bad":
            raise UnfriendlyError(1, 2)


class WrongAnswer:
    """A hook that returns what it must not."""

    @hook_impl
    def before_node_run(self, node):
        return ["no", node.name]


def shout(x):
    logging.getLogger("kedro_functions").warning("shouting %s", x)
    return x + "!"


def none(x):
    return None


def get_module(x):
    """Something that cloudpickle can send, and nothing can copy."""
    return tempfile


def project(x):
    """The project that this process has configured, by its setting and its name."""
    return settings.DATA_CATALOG_CLASS.__name__, kedro.framework.project.PACKAGE_NAME


def kill(x):
    os.kill(os.getpid(), 9)


def error(x):
    raise KeyError(x)


def error_after(x, folder):
    """Fail when another node has begun, which leaves a file."""
    deadline = time.monotonic() + 300
    while not any(Path(folder).iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    raise KeyError(x)


def error_together(x, folder):
    """Fail when another node that does so has begun as well."""
    os.close(tempfile.mkstemp(dir=folder)[0])
    deadline = time.monotonic() + 300
    while len(list(Path(folder).iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    raise KeyError(x)


def mark(x, path):
    """Begin, and take a while."""
    Path(path).touch()
    time.sleep(1)
    return x


def slow_mark(x, folder):
    """Leave a file, and take a moment."""
    os.close(tempfile.mkstemp(dir=folder)[0])
    time.sleep(0.1)
    return x


def pid(x):
    return os.getpid()


def parent(x):
    """The process that this one was started from."""
    return os.getppid()


def letters(x):
    yield from x


def spoil(values):
    values.append("spoilt")
    return len(values)


def fetch(function, x):
    return function(x)


def number(text):
    return int(text)


def summed(values):
    return values.sum()


def files_with_secret(_text):
    """How many files there are, of this run and of those beside it, and which hold a secret."""
    return functions.files_of_runs_with(b"xyzzy-4711-" + b"secret")
