"""The contract of a backend, and the number of workers."""

import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from motorpool import Capabilities, ExecutorBackend, Isolation
from motorpool._system import cgroup, process
from motorpool.backend import worker_count
from motorpool.errors import WorkerCountError


class Recording(ExecutorBackend):
    """Remembers what it was asked for."""

    capabilities = Capabilities(isolation=Isolation.THREAD)

    def _get_executor(self, max_workers):
        self.asked = max_workers
        return ThreadPoolExecutor(max_workers)


@pytest.mark.parametrize("bad", [0, -1, 1.5, "4", True, float("inf")])
def test_bad_number_of_workers_is_an_error(bad):
    """A ValueError that shows it, before anything is made."""
    backend = Recording()
    with pytest.raises(WorkerCountError, match="max_workers must be a whole number"):
        backend.get_executor(bad)
    assert not hasattr(backend, "asked")
    assert issubclass(WorkerCountError, ValueError)


def test_windows_takes_at_most_61_workers(monkeypatch):
    """An explicit number is capped too, with a warning; every backend gets it so."""
    monkeypatch.setattr(sys, "platform", "win32")
    backend = Recording()
    with pytest.warns(RuntimeWarning, match="61 are used"):
        backend.get_executor(100).shutdown()
    assert backend.asked == 61
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert worker_count(61) == 61


def test_default_on_windows_is_capped_in_silence(monkeypatch):
    """Without a warning, as no larger number was asked for."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(process, "usable_cores", lambda: 128)
    assert worker_count() == 61


def test_default_is_the_cores_that_may_be_used():
    """One worker a core, and no more than the affinity mask has."""
    assert 1 <= worker_count() <= len(os.sched_getaffinity(0))


def test_quota_makes_fewer_workers(monkeypatch):
    """Half a core is one worker; a quota above the cores changes nothing."""
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 0.5)
    assert worker_count() == 1
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 1000.0)
    assert worker_count() == len(os.sched_getaffinity(0))


def test_contract_has_one_abstract_method():
    """A backend without it cannot be made, and one with it needs nothing else."""
    assert ExecutorBackend.__abstractmethods__ == {"_get_executor"}
    with pytest.raises(TypeError, match="_get_executor"):
        ExecutorBackend()
