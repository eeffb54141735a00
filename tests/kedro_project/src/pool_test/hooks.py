"""Hooks that write down what they see."""

import os
import threading
from pathlib import Path

from kedro.framework.hooks import hook_impl
from kedro.framework.project import settings


def say(text):
    with Path(os.environ["POOL_LOG"]).open("a") as log:
        log.write(f"{text} in {os.getpid()}\n")


class CountingHooks:
    """Keeps state of the process that it was made in."""

    def __init__(self):
        self.seen = []

    @hook_impl
    def after_context_created(self, context):
        self.project = Path(context.project_path).name

    @hook_impl
    def before_node_run(self, node, catalog, inputs, is_async, run_id):
        self.seen.append(node.name)
        assert all(name in catalog for name in inputs)
        say(f"before {node.name} of {self.project} run {run_id}")
        if node.name == "scale":
            return {"params:factor": inputs["params:factor"] + 1}
        return None

    @hook_impl
    def after_node_run(self, node, outputs):
        say(f"after {node.name} with {sorted(outputs)}")

    @hook_impl
    def on_node_error(self, error, node, inputs):
        say(f"error {node.name} {type(error).__name__} {sorted(inputs)}")

    @hook_impl
    def after_pipeline_run(self):
        say(f"seen {len(self.seen)}")


class LockedHooks:
    """Holds a lock, so that each worker makes its own from the settings."""

    def __init__(self):
        self.lock = threading.Lock()

    @hook_impl
    def before_dataset_loaded(self, dataset_name, node):
        say(f"loading {dataset_name} with {len(settings.HOOKS)} hooks")

    @hook_impl
    def after_dataset_loaded(self, dataset_name, data, node):
        say(f"loaded {dataset_name} {type(data).__name__}")

    @hook_impl
    def before_dataset_saved(self, dataset_name, data, node):
        say(f"saving {dataset_name} {type(data).__name__}")
