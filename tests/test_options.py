"""Options of backends."""

from dataclasses import dataclass
from typing import Literal

import pytest

from motorpool._options import build_options, describe
from motorpool.errors import BackendOptionError


@dataclass(frozen=True, kw_only=True)
class Options:
    """One option of each kind."""

    count: int = 1
    ratio: float | None = None
    flag: bool = False
    mode: Literal["a", "b"] | None = None
    label: str = ""
    either: int | str = 0

    def __post_init__(self):
        """Refuse a value that no type excludes."""
        if self.count == 13:
            raise ValueError("count must not be 13.")


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ("5", "count", 5),
        (5, "count", 5),
        ("0.5", "ratio", 0.5),
        (2, "ratio", 2.0),
        ("none", "ratio", None),
        ("yes", "flag", True),
        ("off", "flag", False),
        ("a", "mode", "a"),
        ("x", "label", "x"),
        ("7", "either", 7),
        ("x", "either", "x"),
    ],
)
def test_value_is_read_as_the_type_of_the_option(given, name, expected):
    """Strings, as from a command line, and values, as from code."""
    found = getattr(build_options(Options, {name: given}, "b"), name)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 1}, "no option 'cuont'; do you mean 'count'.*either, flag, label, mode, ratio"),
        ({"count": "many"}, "'count': expected int, not 'many'"),
        ({"count": 1.5}, "expected int, not 1.5"),
        ({"count": True}, "expected int, not True"),
        ({"flag": "perhaps"}, "expected bool"),
        ({"mode": "c"}, "expected 'a' | 'b' or None, not 'c'"),
        ({"ratio": "x"}, "expected float or None"),
        ({"count": 13}, "must not be 13"),
    ],
)
def test_wrong_option_is_an_error_that_names_it(values, message):
    """The name, what was expected, and what was given."""
    with pytest.raises(BackendOptionError, match=message.replace("|", r"\|")) as caught:
        build_options(Options, values, "some")
    assert "'some'" in str(caught.value)
    assert caught.value.backend == "some"


def test_all_wrong_options_are_reported_together():
    """One error for three mistakes."""
    with pytest.raises(BackendOptionError) as caught:
        build_options(Options, {"x": 1, "count": "a", "flag": "b"}, "some")
    assert all(part in str(caught.value) for part in ("'x'", "'count'", "'flag'"))


def test_backend_without_options_takes_none():
    """And says that there are none."""
    assert build_options(None, {}, "bare") is None
    with pytest.raises(BackendOptionError, match="There are: none"):
        build_options(None, {"x": 1}, "bare")


def test_types_are_described_as_people_write_them():
    """For the listing of backends."""
    assert describe(Literal["a", "b"] | None) == "'a' | 'b' | None"
    assert describe(int | None) == "int | None"
