"""Every installed backend, one by one or by what it can do."""

from __future__ import annotations

import pytest

from motorpool import ParallelRunner, registry

NAMES = registry.names()
ABLE = {name: registry.get(name).capabilities for name in NAMES}
IN_PROCESS = [n for n in NAMES if ABLE[n].isolation.in_process]
OTHER_PROCESS = [n for n in NAMES if not ABLE[n].isolation.in_process]


@pytest.fixture(params=NAMES)
def any_backend(request):
    """The name of a backend."""
    return request.param


@pytest.fixture(params=OTHER_PROCESS)
def process_backend(request):
    """The name of a backend that runs nodes in other processes of this host."""
    return request.param


@pytest.fixture(params=IN_PROCESS)
def local_backend(request):
    """The name of a backend that runs nodes in this process."""
    return request.param


@pytest.fixture
def run():
    """Run a pipeline on a backend with two workers."""

    def run(backend, pipe, catalog=None, *, hook_manager=None, **options):
        runner = ParallelRunner(backend, max_workers=2, **options)
        return runner.run(pipe, {} if catalog is None else catalog, hook_manager)

    return run


class Recorder:
    """An observer that keeps every event."""

    def __init__(self):
        self.events = []

    def on_event(self, event):
        """Keep it."""
        self.events.append(event)

    def of(self, kind):
        """The events of a kind."""
        return [e for e in self.events if isinstance(e, kind)]


@pytest.fixture
def recorder():
    """An observer that keeps every event."""
    return Recorder()
