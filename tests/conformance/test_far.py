"""A backend whose workers are reached by pipes alone, as those of a cluster are."""

import sys

import cloudpickle

from motorpool import Capabilities, Isolation, registry
from motorpool.testing import BackendConformance


class Far(registry.get("process")):
    """Says that its workers are elsewhere; so nothing goes by way of files."""

    capabilities = Capabilities(isolation=Isolation.CLUSTER, shares_memory=False)


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have no tests


class TestFar(BackendConformance):
    """By the kit."""

    backend = Far
    patience = 300.0
