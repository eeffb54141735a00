"""Distributed: what holds where workers need not be on the driver's host."""

from __future__ import annotations

import itertools
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from motorpool import node, pipeline
from motorpool.errors import WorkerCrashedError
from motorpool.events import NodeCompleted
from motorpool.testing import _tasks as tasks
from motorpool.testing._harness import Harness
from motorpool.testing._marks import level, needs

if TYPE_CHECKING:
    from motorpool.events import Event
    from motorpool.testing._gate import Gate


@level("distributed")
class ClusterTests(Harness):
    """Nothing but what travels by the backend's own means."""

    @needs("isolation", "cluster")
    def test_values_reach_workers_without_shared_memory(self) -> None:
        """Twenty MB through three nodes."""
        data = secrets.token_bytes(20 << 20)
        names = ["x", "y", "z", "end"]
        nodes = [node(tasks.echo, a, b, name=b) for a, b in itertools.pairwise(names)]
        assert self.run(pipeline(nodes), {"x": data})["end"].load() == data

    @needs("isolation", "cluster")
    def test_no_folder_of_this_host_is_needed(self, gate: Gate) -> None:
        """Workers elsewhere would not see it."""
        before = _folders()
        found: dict[str, Any] = {}
        pipe = pipeline(node(tasks.wait_at, ["ticket", "x"], "y"))
        data = {"ticket": gate.ticket, "x": secrets.token_bytes(1 << 20)}
        run = threading.Thread(target=lambda: found.update(self.run(pipe, data)))
        run.start()
        arrived = gate.wait_for(1, self.patience)
        made = _folders() - before
        gate.open()
        run.join()
        assert arrived, "The node has not begun."
        assert not made, (
            f"`shares_memory` is not declared, and a run has made {sorted(made)}: its workers "
            "would have to see them. Let `open_store` return a store of the cluster's own, or "
            "leave it out."
        )
        assert found["y"].load() == data["x"]

    @needs("isolation", "cluster")
    def test_results_outlive_the_workers(self) -> None:
        """They are with the driver when a run is over, or where they outlive it."""
        data = secrets.token_bytes(5 << 20)
        with self.runner() as runner:
            pipe = pipeline(node(tasks.echo, "x", "y"))
            result = self.within("The run has not ended", runner.run, pipe, {"x": data})
        assert result["y"].load() == data, "A result is lost with the workers that made it."

    @needs("isolation", "cluster", "restarts")
    def test_value_is_not_lost_with_its_maker(self) -> None:
        """The worker that made it dies; its readers have it, or it is made again."""
        data = secrets.token_bytes(5 << 20)
        nodes = [
            node(tasks.echo, "x", "y", name="maker"),
            node(tasks.die_beside, ["how", "y"], "c0", name="culprit"),
            node(tasks.same, ["x", "y"], "read", name="reader"),
        ]  # what has more behind it goes first, so the reader comes after the culprit
        nodes += [node(tasks.echo, f"c{i}", f"c{i + 1}", name=f"c{i}") for i in range(5)]
        done: list[str] = []
        with (
            self.runner(1, fuse=False, on_failure="continue", observers=[_Names(done)]) as runner,
            pytest.raises(WorkerCrashedError),
        ):
            self.within(
                "A run whose worker died has not ended",
                runner.run, pipeline(nodes), {"x": data, "how": "kill"},
            )  # fmt: skip
        assert done[-1:] == ["reader"], f"A worker died, and then {done or 'nothing'} completed."


class _Names:
    """Keeps the names of nodes that have run."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def on_event(self, event: Event) -> None:
        """Keep a name."""
        if isinstance(event, NodeCompleted):
            self._names.append(event.node)


def _folders() -> set[str]:
    """Folders of runs in which this process holds a file, as it does its lock."""
    files = (Path(file.path) for file in psutil.Process().open_files())
    return {str(file.parent) for file in files if file.parent.name.startswith("motorpool-")}
