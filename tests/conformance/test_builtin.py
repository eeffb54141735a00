"""The built-in backends, by the kit."""

from motorpool.testing import BackendConformance


class TestDirect(BackendConformance):
    """Our own pool."""

    backend = "direct"
    patience = 300.0


class TestProcess(BackendConformance):
    """The standard library's pool."""

    backend = "process"
    patience = 300.0


class TestThreads(BackendConformance):
    """Threads of this process."""

    backend = "threads"
    patience = 300.0


class TestSequential(BackendConformance):
    """No workers at all."""

    backend = "sequential"
    patience = 300.0
