"""Files that are written as a whole, or not at all."""

from pathlib import Path

import pytest

from motorpool._system.files import replacing


def test_new_file_takes_the_place_of_the_old(tmp_path):
    """At the end; until then the old one is there."""
    path = tmp_path / "f"
    path.write_text("old")
    with replacing(str(path)) as new:
        Path(new).write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("begun", [True, False])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, error, begun):
    """Whatever it is, and whether anything was written."""
    path = tmp_path / "f"
    path.write_text("old")

    def fail():
        with replacing(str(path)) as new:
            if begun:
                Path(new).write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_two_at_once_do_not_mix(tmp_path):
    """Each has a name of its own, and the last to end stays."""
    path = str(tmp_path / "f")
    with replacing(path) as first:
        with replacing(path) as second:
            Path(first).write_text("1")
            Path(second).write_text("2")
        assert Path(path).read_text() == "2"
    assert Path(path).read_text() == "1"
