"""The project, and what Kedro makes of it.

Lets the server of workers import once what the workers of all tests here need.
"""

import pytest
from kedro_projects import Project

from motorpool._system.imports import need_modules

need_modules(["motorpool.kedro._host", "motorpool.kedro._project", "pandas"])


@pytest.fixture
def project(tmp_path):
    """A copy of the project."""
    return Project(tmp_path / "kp")


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """What Kedro's SequentialRunner makes of it."""
    of = Project(tmp_path_factory.mktemp("reference") / "kp")
    of.run("--runner=SequentialRunner")
    return of.outputs(), of.hooks()
