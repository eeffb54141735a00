"""Workers run the code that the driver has: modules that are edited and loaded again."""

import importlib
import logging
import secrets
import sys
from concurrent.futures import ProcessPoolExecutor

import functions
import pytest

from motorpool import ParallelRunner, node, pipeline
from motorpool.errors import BackendError
from motorpool.processes import worker_context


class Module:
    """A module of the user's, which can be edited."""

    def __init__(self, folder):
        self.name = f"edited_{secrets.token_hex(4)}"
        self._file = folder / f"{self.name}.py"

    def write(self, text):
        self.text = f"{text}\n\n\ndef version(*inputs):\n    return VERSION\n"
        self._file.write_text(self.text)
        importlib.invalidate_caches()

    def load(self):
        return importlib.import_module(self.name)


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Module(tmp_path)
    made.write("VERSION = 'old'")
    yield made
    sys.modules.pop(made.name, None)


def _versions(runner, function, value=1):
    nodes = [node(function, "x", "version"), node(functions.pid, "x", "pid")]
    result = runner.run(pipeline(nodes), {"x": value})
    return result["version"].load(), result["pid"].load()


def _warm(backend):
    return ParallelRunner(backend, max_workers=1, runs_folder=False)


def test_reloaded_module_runs_in_warm_workers_as_here(any_backend, module, caplog):
    """So on every backend; other workers are told of."""
    caplog.set_level(logging.INFO, logger="motorpool")
    code = module.load()
    with _warm(any_backend) as runner:
        first = _versions(runner, code.version)
        again = _versions(runner, code.version)
        module.write("VERSION = 'edited'")
        importlib.reload(code)
        second = _versions(runner, code.version)
    assert [first[0], again[0], second[0]] == ["old", "old", "edited"]
    assert first[1] == again[1], "workers are kept where nothing was reloaded"
    if first[1] != second[1]:
        assert f"The workers of {any_backend} are replaced" in caplog.text
        assert repr(module.name) in caplog.text


def test_module_that_is_loaded_anew_in_place(any_backend, module):
    """As by tools that give its functions other code, and its spec as it was."""
    code = module.load()
    with _warm(any_backend) as runner:
        first = _versions(runner, code.version)
        module.write("VERSION = 'edited'\n\n\ndef added():\n    pass")
        exec(compile(module.text, code.__file__, "exec"), new := {"__name__": code.__name__})
        code.VERSION, code.version.__code__ = new["VERSION"], new["version"].__code__
        second = _versions(runner, code.version)
        third = _versions(runner, code.version)
    assert [first[0], second[0], third[0]] == ["old", "edited", "edited"]
    assert second[1] == third[1], "workers are replaced once"


def test_module_that_a_notebook_loads_anew_by_itself(process_backend, script, tmp_path):
    """With IPython's autoreload, in a kernel."""
    found = script("kernel.py", "autoreload.py", process_backend, tmp_path)
    assert found == ["old", "edited 1", "edited 1", "edited 2", "edited 2"]


def test_module_that_a_node_imports_by_itself_is_reloaded_too(any_backend, module):
    """The node's function is of a module that has not changed."""
    module.load()
    with _warm(any_backend) as runner:
        first, _ = _versions(runner, functions.version_of, module.name)
        module.write("VERSION = 'edited'")
        importlib.reload(module.load())
        second, _ = _versions(runner, functions.version_of, module.name)
    assert (first, second) == ("old", "edited")


def test_reload_alone_shows_what_the_module_makes_of_the_environment(
    any_backend, module, monkeypatch
):
    """The file is the same; what the module has read when it was loaded is not."""
    module.write("import os\nVERSION = os.environ['PROBE_VERSION']")
    monkeypatch.setenv("PROBE_VERSION", "one")
    code = module.load()
    with _warm(any_backend) as runner:
        first, _ = _versions(runner, code.version)
        monkeypatch.setenv("PROBE_VERSION", "two")
        importlib.reload(code)
        second, _ = _versions(runner, code.version)
    assert (first, second) == ("one", "two")


def test_module_that_is_dropped_and_imported_again(any_backend, module):
    """Another object, of the same name."""
    with _warm(any_backend) as runner:
        first, _ = _versions(runner, module.load().version)
        module.write("VERSION = 'edited'")
        del sys.modules[module.name]
        second, _ = _versions(runner, module.load().version)
    assert (first, second) == ("old", "edited")


def test_module_that_a_worker_had_before_the_driver(process_backend, module):
    """It is imported here after it was edited, so what the worker has is older."""
    with _warm(process_backend) as runner:
        first, _ = _versions(runner, functions.version_of, module.name)
        module.write("VERSION = 'edited'")
        second, _ = _versions(runner, module.load().version)
    assert (first, second) == ("old", "edited")


def test_executor_of_the_callers_own_is_not_used_with_old_code(module):
    """Only its owner can make another: it is refused before the run, also for another runner."""
    code = module.load()
    with ProcessPoolExecutor(1, worker_context("spawn")) as executor:
        first, _ = _versions(ParallelRunner(executor, runs_folder=False), code.version)
        module.write("VERSION = 'edited'")
        importlib.reload(code)
        with pytest.raises(BackendError, match=f"old code of {module.name!r}. Restart them"):
            _versions(ParallelRunner(executor, runs_folder=False), code.version)
    assert first == "old"


def test_module_that_is_edited_but_not_reloaded_is_told_of(process_backend, module, caplog):
    """New workers import what the file holds now; a comment may be all that is new."""
    code = module.load()
    _versions(_warm(process_backend), code.version)
    assert module.name not in caplog.text
    module.write("VERSION = 'edited'")
    _versions(_warm(process_backend), code.version)
    assert f"The file of module {module.name!r} has been edited" in caplog.text
    caplog.clear()
    _versions(_warm(process_backend), code.version)
    assert module.name not in caplog.text, "it is said once"
