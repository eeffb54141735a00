"""The built-in backends, by the kit."""

from motorpool.testing import BackendConformance


class TestDirect(BackendConformance):
    """Our own pool."""

    backend = "direct"


class TestProcess(BackendConformance):
    """The standard library's pool."""

    backend = "process"


class TestThreads(BackendConformance):
    """Threads of this process."""

    backend = "threads"


class TestSequential(BackendConformance):
    """No workers at all."""

    backend = "sequential"
