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
    """Ours goes on working, and the other is listed with the reason."""
    own = registry.get("direct")
    install("direct", GOOD, distribution="usurper")
    assert registry.get("direct") is own
    ours, other = [info for info in registry.listing() if info.name == "direct"]
    assert (ours.backend, ours.error) == (own, None)
    assert (other.backend, other.distributions) == (None, ("usurper 1.0",))
    assert "a name that is Motorpool's own" in other.error


def test_damaged_entry_points_cost_their_own_backends_only(install, tmp_path, caplog):
    """What cannot be read is said."""
    install("damaged", GOOD)
    install("sound", GOOD)
    names = tmp_path / "dist-damaged" / "dist_damaged-1.0.dist-info" / "entry_points.txt"
    names.write_text("[motorpool.backends]\nno equals sign\n")
    assert {"sound", "direct"} <= set(registry.names())
    assert registry.get("sound").name == "sound"
    assert "entry points of dist-damaged cannot be read" in caplog.text


def test_a_name_with_blanks_is_none(install):
    """It could not be written on a command line."""
    install("my farm", GOOD)
    with pytest.raises(
        BrokenBackendError, match="'my farm' of dist-my farm 1.0 has a name with b"
    ):
        registry.get("my farm")


OPTIONS = GOOD.replace("    capabilities", "    options_type = Options\n    capabilities").replace(
    "class Backend",
    """
from dataclasses import dataclass, field

@dataclass(frozen=True)
class Options:
    size: int
    more: list = field(default_factory=list)

    def __post_init__(self):
        if self.size == 7:
            raise SystemExit("seven is unlucky")
        if self.size == 8:
            raise KeyError("eight")

class Backend""",
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Backend 'choosy': Option 'size' is required, int."),
        ({"size": 7}, "Backend 'choosy': SystemExit: seven is unlucky"),
        ({"size": 8}, "Backend 'choosy': KeyError: 'eight'"),
    ],
)
def test_options_that_a_plugin_does_not_take_are_an_error_of_ours(install, options, message):
    """Whatever it raises."""
    install("choosy", OPTIONS)
    with pytest.raises(BackendOptionError) as caught:
        ParallelRunner("choosy", **options)
    assert str(caught.value) == message
    assert ParallelRunner("choosy", size="3")._backend.options.size == 3


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
        ("raise SystemExit('not here')", "cannot be imported: SystemExit: not here"),
        (GOOD.replace("return Backend", "raise SystemExit('nor here')"), "SystemExit: nor here"),
        (GOOD.replace("    capabilities", "    options_type = dict\n    capabilities"),
         "has the options_type <class 'dict'>; write a frozen dataclass"),
        (OPTIONS.replace("_type = Options", "_type = Options(1)"),
         r"has the options_type Options\(size=1"),
        (OPTIONS.replace("size: int", "size: 'Missing'"),
         "Options, whose annotations do not resolve .NameError: name 'Missing'"),
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
