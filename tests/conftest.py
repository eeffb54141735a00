"""Every installed backend, one by one or by what it can do."""

from __future__ import annotations

import sys

import pytest

from motorpool import ParallelRunner, registry

# Written as examples for authors of plug-ins; the kit is all that tests them.
EXAMPLES = {"executorlib", "mpi", "pebble"}
NAMES = [name for name in registry.names() if name not in EXAMPLES]
ABLE = {name: registry.get(name).capabilities for name in NAMES}
IN_PROCESS = [n for n in NAMES if ABLE[n].isolation.in_process]
OTHER_PROCESS = [n for n in NAMES if not ABLE[n].isolation.in_process]


@pytest.fixture
def all_backends():
    """The names of all of them."""
    return NAMES


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


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution of one module that claims a backend's name."""

    def install(name, code, *, distribution=None):
        distribution = distribution or f"dist-{name}"
        site = tmp_path / distribution
        module = f"plugin_{distribution.replace('-', '_')}"
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[motorpool.backends]\n{name} = {module}\n")
        (site / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, module, raising=False)
        return module

    return install
