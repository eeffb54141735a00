"""The error tree."""

import pickle
import re

import pytest

from motorpool import errors

ALL = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("error", ALL, ids=lambda e: e.__name__)
def test_error_pickled_keeps_message_and_names(error):
    """An error that travels out of a nested run says what it said there."""
    original = error("what to do", node="n", dataset="d", backend="b")
    copy = pickle.loads(pickle.dumps(original))
    assert type(copy) is error
    assert str(copy) == "what to do"
    assert (copy.node, copy.dataset, copy.backend) == ("n", "d", "b")


def test_docstring_tree_names_every_error():
    """The drawing in the docstring is complete, and so is `__all__`."""
    drawn = set(re.findall(r"\b(\w+Error)\b(?= +\(|  )", errors.__doc__)) | {"MotorpoolError"}
    builtin = {"ValueError", "AttributeError", "LookupError", "TimeoutError", "OSError"}
    assert drawn - builtin == set(errors.__all__)


def test_every_error_is_a_motorpool_error():
    """One except clause catches all of them."""
    assert all(issubclass(error, errors.MotorpoolError) for error in ALL)
