"""The line that failed is shown: its file or cell, number and source, and no frame of ours."""

import traceback
from pathlib import Path

import functions
import pytest

import motorpool
from motorpool import node, pipeline
from motorpool._protocol.sources import with_sources

PACKAGE = str(Path(motorpool.__file__).parent)


def look_up_in(table):
    """A function that is pickled by value."""

    def look_up(x):
        return table[x]  # not there

    return look_up


def test_frames_begin_with_the_nodes_own(any_backend, run):
    """In this process and in others; of a function by name and of one by value."""
    for func, source in [(look_up_in({}), "not there"), (functions.fail, "raise ValueError")]:
        with pytest.raises((KeyError, ValueError)) as caught:
            run(any_backend, pipeline(node(func, "x", "y")), {"x": 1})
        cause = caught.value.__cause__
        if cause is None:
            frames = traceback.extract_tb(caught.value.__traceback__)
            ours = [frame.filename.startswith(PACKAGE) for frame in frames]
            assert sum(ours) == 1  # `run`
            assert not any(ours[ours.index(True) + 1 :])
            assert source in frames[-1].line
        else:
            text = str(cause)
            assert PACKAGE not in text
            assert f'File "{func.__code__.co_filename}", line ' in text
            assert source in text


@pytest.mark.parametrize("way", ["script", "notebook"])
def test_functions_that_come_from_no_module(process_backend, script, way):
    """Of a script, and of a notebook, whose cells have names of their own."""
    command = ["failing.py"] if way == "script" else ["kernel.py", "failing.py"]
    found = script(*command, process_backend)
    place = 'failing.py", line' if way == "script" else "Cell In[1], line"
    method, closure, death = (found[name].splitlines() for name in ("method", "closure", "death"))
    assert [place in line for line in method].count(True) == 2
    assert "    return x / 0  # plainly" in method
    assert [place in line for line in closure].count(True) == 1
    assert "    return table[x]  # in a closure" in closure
    assert "SIGSEGV" in death[0]
    assert place in death[-2]
    assert death[-1] == "    ctypes.string_at(0)  # the last line"
    assert not any("motorpool" in line for line in [*method, *closure, *death[1:]])


def test_sources_are_added_where_there_are_none():
    """Also beside the rule of a group; what is not known stays as it is."""
    here, line = __file__, look_up_in.__code__.co_firstlineno
    text = f"""\
Traceback (most recent call last):
  File "{here}", line {line}, in f
    there is one
  File "{here}", line {line} in f
  | File "{here}", line {line}, in f
  | KeyError: 1
  File "<string>", line 1, in g
"""
    assert (
        with_sources(text)
        == f"""\
Traceback (most recent call last):
  File "{here}", line {line}, in f
    there is one
  File "{here}", line {line} in f
    def look_up_in(table):
  | File "{here}", line {line}, in f
  |   def look_up_in(table):
  | KeyError: 1
  File "<string>", line 1, in g
"""
    )
