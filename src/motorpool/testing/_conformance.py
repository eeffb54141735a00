"""The suite, put together."""

from __future__ import annotations

from motorpool.testing._cluster_tests import ClusterTests
from motorpool.testing._data_tests import DataTests
from motorpool.testing._executor_tests import ExecutorTests
from motorpool.testing._fault_tests import FaultTests
from motorpool.testing._life_tests import LifeTests
from motorpool.testing._node_tests import NodeTests


class BackendConformance(ExecutorTests, LifeTests, NodeTests, DataTests, FaultTests, ClusterTests):
    """All tests of a backend: subclass it, and set `backend`.

    Tests that need a capability which the backend does not declare are run all the same (unless
    that would harm the process that tests): failing, they are expected to; passing, the summary
    says that the backend may declare it.

    Attributes:
        backend: Name of the backend, its class, or an instance.
        options: The backend's options.
        level: Run the tests of this level and of those before it: "core", "data", "faults" or
            "distributed". The command line's `--motorpool-level` goes first.
        patience: Seconds until something that does not end is a failure.
        expected_failures: Path of a file with the names of tests that are known to fail, one a
            line, each with a reason behind `#`; or None. One that passes is an error, and one
            that no test has a warning.
        host: The address of this host that workers can reach.
    """
