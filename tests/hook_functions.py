"""Hooks and observers, that workers import by name."""

from __future__ import annotations

import os
from pathlib import Path

from functions import append, present

from motorpool import hookimpl


class Diary:
    """Writes down every call, from whatever process."""

    def __init__(self, path):
        self.path = str(path)

    def _note(self, *words):
        append(self.path, " ".join(map(str, words)))

    @hookimpl
    def motorpool_worker_started(self, backend):
        self._note("worker", backend)

    @hookimpl
    def before_dataset_loaded(self, dataset_name, node):
        self._note("before_load", dataset_name, node.name)

    @hookimpl
    def after_dataset_loaded(self, dataset_name, data):
        self._note("after_load", dataset_name, data)

    @hookimpl
    def before_node_run(self, node, inputs, is_async, run_id):
        self._note("before_run", node.name, inputs, is_async, run_id)

    @hookimpl
    def after_node_run(self, node, outputs):
        self._note("after_run", node.name, outputs)

    @hookimpl
    def on_node_error(self, error, node):
        self._note("error", node.name, error)

    @hookimpl
    def before_dataset_saved(self, dataset_name, data):
        self._note("before_save", dataset_name, data)

    @hookimpl
    def after_dataset_saved(self, dataset_name):
        self._note("after_save", dataset_name)

    @property
    def lines(self):  # pluggy looks at it, too
        path = Path(self.path)
        return path.read_text().splitlines() if path.exists() else []


class NodeCalls:
    """Writes down the nodes that are about to run, and the process."""

    def __init__(self, path):
        self.path = path

    @hookimpl
    def before_node_run(self, node):
        append(self.path, f"{node.name}:{os.getpid()}")


class DeadlySetUp:
    """Kills the worker that it should set up."""

    @hookimpl
    def motorpool_worker_started(self):
        os._exit(8)


class TryRecorder:
    """Writes down which attempt each hook was given."""

    def __init__(self, path):
        self.path = path

    @hookimpl
    def before_node_run(self, attempt):
        """Before."""
        present(self.path, f"before{attempt}")

    @hookimpl
    def after_node_run(self, attempt):
        """After."""
        present(self.path, f"after{attempt}")

    @hookimpl
    def on_node_error(self, error, attempt):
        """Between."""
        present(self.path, f"error{attempt}")


class LoadingHooks:
    """Writes down what nodes are about to read."""

    def __init__(self, path):
        self.path = str(path)

    @hookimpl
    def before_node_run(self, node, catalog):
        for name in node.inputs:
            append(self.path, f"{name}={catalog.load(name)}")
