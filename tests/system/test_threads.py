"""Whether a fork of a process would miss one of its threads."""

import subprocess
import sys

import pytest

from motorpool._system.process import usable_cores

ASK = """
from motorpool._system.threads import has_threads, may_fork
print(has_threads(), may_fork())
"""


def answers(code):
    """What a process says of itself: whether it has threads, and whether it may fork."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ASK}\nimport os, sys; sys.stdout.flush(); os._exit(0)"],
        text=True, capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="known from /proc")
@pytest.mark.parametrize(
    "code",
    ["", "import numpy", "import numpy, scipy.linalg, pandas, pyarrow",
     "import sklearn.cluster, numpy; numpy.ones((500, 500)) @ numpy.ones((500, 500))"],
)  # fmt: skip
def test_threads_that_see_to_forks_themselves_do_not_count(code):
    """OpenBLAS has one a core for each copy of it, and jemalloc has one with a name."""
    assert answers(code) == ["False", "True"]


def test_threads_of_python_count():
    """Whatever they do."""
    code = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    assert answers(code) == ["True", "False"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="known from /proc")
def test_threads_with_a_name_of_their_own_count():
    """Such as those that polars starts when it is imported."""
    assert answers("import polars") == ["True", "False"]


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or usable_cores() < 2,
    reason="OpenMP has one thread a core, known from /proc",
)
def test_threads_of_openmp_count_once_it_has_run():
    """A fork would wait for them for ever; they have no name of their own."""
    code = (
        "import os; os.environ['OMP_NUM_THREADS'] = '2'\n"
        "import numpy, sklearn.cluster\n"
        "sklearn.cluster.KMeans(4, n_init=1).fit(numpy.random.default_rng(1).random((5000, 3)))"
    )
    assert answers(code) == ["False", "False"]
