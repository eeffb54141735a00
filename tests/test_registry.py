"""Finding backends: real distributions, put on the path for a test."""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from motorpool import ExecutorBackend, ParallelRunner, registry
from motorpool.errors import (
    BackendError,
    BackendOptionError,
    BrokenBackendError,
    DuplicateBackendError,
    UnknownBackendError,
)

GOOD = """
from concurrent.futures import ThreadPoolExecutor
from motorpool import Capabilities, ExecutorBackend, Isolation, hookimpl

class Backend(ExecutorBackend):
    capabilities = Capabilities(isolation=Isolation.THREAD)

    def _get_executor(self, max_workers):
        return ThreadPoolExecutor(max_workers)

@hookimpl
def motorpool_register_backend():
    return Backend
"""


def test_third_party_backend_is_found_by_name(install):
    """Its class takes the name of the entry point, and runs."""
    install("elsewhere", GOOD)
    result = ParallelRunner("elsewhere").run(_pipe(), {"a": "word"})
    assert result["b"].load() == 4
    assert registry.get("elsewhere").name == "elsewhere"


def test_interrupt_comes_after_the_import_of_a_plugin(install):
    """What is half imported is imported again, and finds what its first half has left behind."""
    interrupt = "import signal\nsignal.raise_signal(signal.SIGINT)\n"
    module = install("slow", interrupt + GOOD + "imported = True")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            ParallelRunner("slow")
    finally:
        signal.signal(signal.SIGINT, before)
    assert sys.modules[module].imported
    assert ParallelRunner("slow").run(_pipe(), {"a": "word"})["b"].load() == 4


def _pipe():
    from motorpool import node, pipeline

    return pipeline(node(len, "a", "b"))


def test_listing_names_imports_no_plugin(install):
    """Listing reads metadata, so a broken plug-in does not matter."""
    module = install("broken", "raise RuntimeError('no such library')")
    assert {"broken", "direct"} <= set(registry.names())
    assert module not in sys.modules


def test_unknown_name_is_an_error_with_the_nearest():
    """And with all that there are."""
    with pytest.raises(UnknownBackendError, match="'direkt'; do you mean 'direct'.*threads"):
        ParallelRunner("direkt")


def test_two_distributions_with_one_name_are_an_error(install):
    """Both are named, and neither is used."""
    install("twice", GOOD, distribution="first")
    install("twice", GOOD, distribution="second")
    with pytest.raises(DuplicateBackendError, match="first 1.0 and by second 1.0|second 1.0 and"):
        registry.get("twice")
    (row,) = [i for i in registry.listing() if i.name == "twice"]
    assert "Uninstall one" in row.error


def test_a_plugin_may_not_take_the_name_of_a_built_in(install):
    """A second `direct` is a duplicate like any other."""
    install("direct", GOOD, distribution="usurper")
    with pytest.raises(DuplicateBackendError, match="usurper"):
        registry.get("direct")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module", "cannot be imported: ModuleNotFoundError.*no_such_module"),
        ("x = 1", "registers nothing"),
        (GOOD.replace("@hookimpl", ""), "registers nothing"),
        (GOOD.replace("def motorpool_register_backend", "def motorpool_reg"), "cannot be reg"),
        (GOOD.replace("def motorpool_register_backend()", "def motorpool_register_backend(no)"),
         "(?s)cannot be registered.*'no'"),
        (GOOD.replace("_get_executor", "get_exec"), "lacks the method _get_executor"),
        (GOOD.replace("return Backend", "return 5"), "returns 5, which is no subclass"),
        (GOOD.replace("return Backend", "raise ZeroDivisionError('dear me')"), "dear me"),
        (GOOD.replace("    capabilities", "    name = 'other'\n    capabilities"), "'other'"),
        (GOOD.replace("    capabilities", "    api_version = 99\n    capabilities"), "version 99"),
    ],
)  # fmt: skip
def test_broken_plugin_is_reported_when_it_is_used(install, code, message):
    """The message names the distribution; all other backends go on working."""
    install("bad", code)
    with pytest.raises(BrokenBackendError, match=message) as caught:
        registry.get("bad")
    assert "dist-bad 1.0" in str(caught.value)
    rows = {info.name: info for info in registry.listing()}
    assert rows["bad"].error
    assert rows["bad"].backend is None
    assert rows["threads"].error is None
    assert registry.get("threads").name == "threads"


def test_backend_may_be_an_instance_or_an_executor():
    """A backend is taken as it is, an executor is wrapped."""
    backend = registry.get("sequential")()
    assert registry.resolve(backend) is backend
    with ThreadPoolExecutor(1) as executor:
        adopted = registry.resolve(executor)
        assert isinstance(adopted, ExecutorBackend)
        assert adopted.get_executor(3) is executor


def test_options_go_with_a_name_only():
    """An instance has its options already."""
    with pytest.raises(BackendOptionError, match="start_method"):
        registry.resolve(registry.get("direct")(), {"start_method": "spawn"})
    with pytest.raises(BackendOptionError, match="'start_metod'; do you mean 'start_method'"):
        ParallelRunner("direct", start_metod="spawn")


@pytest.mark.parametrize("wrong", [5, None, object()])
def test_anything_else_is_no_backend(wrong):
    """The message lists the names that there are."""
    with pytest.raises(BackendError, match="direct"):
        registry.resolve(wrong)


def test_a_class_is_no_backend():
    """A frequent slip, with the way out."""
    with pytest.raises(BackendError, match=r"DirectBackend\(\), an instance"):
        registry.resolve(registry.get("direct"))
