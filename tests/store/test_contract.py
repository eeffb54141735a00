"""A store of a plug-in's own, made with public names only."""

import os

import pytest
from functions import identity
from store_functions import FolderStore, make_range

from motorpool import ParallelRunner, node, pipeline
from motorpool.errors import WorkerCrashedError
from motorpool.executors import DirectBackend


@pytest.fixture
def backend(tmp_path):
    """The direct pool, with values in a folder."""

    class InAFolder(DirectBackend):
        name = "in_a_folder"

        def open_store(self, *, memory_limit=None, readonly_inputs=False):
            return FolderStore(tmp_path)

    return InAFolder()


def test_foreign_store_holds_the_values_and_releases_them(backend, tmp_path):
    """What is neither a result nor needed any more is released, the plan too."""
    pipe = pipeline([
        node(make_range, "n", "middle", name="make"),
        node(lambda array: int(array.sum()), "middle", "sum"),
        node(identity, "middle", "result"),
    ])  # fmt: skip
    results = ParallelRunner(backend, max_workers=2).run(pipe, {"n": 100_000})
    assert results["sum"].load() == 4_999_950_000
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size > 800_000
    assert results["result"].load().sum() == 4_999_950_000


def test_node_that_dies_is_named_without_a_status_table(backend):
    """Without files of ours there is no status table; nodes travel one by one."""
    pipe = pipeline([node(lambda n: os._exit(n), "n", "x", name="dies")])
    with pytest.raises(WorkerCrashedError) as caught:
        ParallelRunner(backend, max_workers=1).run(pipe, {"n": 3})
    assert (caught.value.node, caught.value.exitcode) == ("dies", 3)
