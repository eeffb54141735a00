"""Messages of workers, in files that grow."""

import os
import resource
import signal

import pytest

from motorpool._protocol.spool import SpoolReader, SpoolWriter


@pytest.fixture
def writer(tmp_path):
    """A spool of this process."""
    writer = SpoolWriter(".test")
    writer.point_to(tmp_path)
    yield writer
    writer.close()


def test_each_message_is_read_once(writer, tmp_path):
    """Also those that are written between two looks, and empty ones."""
    reader = SpoolReader(tmp_path, ".test")
    writer.write(b"first")
    assert list(reader.read()) == [b"first"]
    writer.write(b"")
    writer.write(b"x" * 100_000)
    assert list(reader.read()) == [b"", b"x" * 100_000]
    assert list(reader.read()) == []


@pytest.mark.parametrize("missing", [1, 5, 8])
def test_half_a_message_waits_for_the_rest(writer, tmp_path, missing):
    """Cut within the text, or within its length; as a reader may find it."""
    writer.write(b"whole")
    writer.write(b"parts")
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    reader = SpoolReader(tmp_path, ".test")
    file.write_bytes(data[:-missing])
    assert list(reader.read()) == [b"whole"]
    file.write_bytes(data)
    assert list(reader.read()) == [b"parts"]


def test_files_of_other_kinds_and_folders_that_are_gone_are_passed_over(writer, tmp_path):
    """A reader looks for one suffix; a run's folder may be removed before its last look."""
    writer.write(b"mine")
    assert list(SpoolReader(tmp_path, ".other").read()) == []
    assert list(SpoolReader(tmp_path / "gone", ".test").read()) == []


def test_writer_without_a_folder_drops_messages(tmp_path):
    """And one that gets another folder leaves the first as it is."""
    writer = SpoolWriter(".test")
    writer.write(b"lost")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        writer.point_to(folder)
        writer.write(os.fsencode(folder.name))
    writer.close()
    assert [list(SpoolReader(f, ".test").read()) for f in folders] == [[b"a"], [b"b"]]


def test_message_that_finds_no_room_does_not_spoil_the_next(writer, tmp_path):
    """On a file that may not grow, as on a full tmpfs, a write is short."""
    writer.write(b"first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        with pytest.raises(OSError, match="No space left|too large"):
            writer.write(b"second" * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    writer.write(b"third")
    assert list(SpoolReader(tmp_path, ".test").read()) == [b"first", b"third"]
