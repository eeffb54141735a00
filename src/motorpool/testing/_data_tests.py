"""Data: values come out as they went in, belong to their reader alone, and are gone in the end."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from motorpool import node, pipeline
from motorpool.testing import _tasks as tasks
from motorpool.testing._harness import Harness, wait_until
from motorpool.testing._marks import level, needs

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIZES = (0, 1, 1000, 70_000, 1 << 20, 20 << 20)
_SHARED = Path("/dev/shm")  # noqa: S108, looked at only


@level("data")
class DataTests(Harness):
    """Sizes, kinds, changes in place, views, and what stays."""

    @pytest.mark.parametrize("size", _SIZES)
    def test_bytes_of_any_size(self, size: int) -> None:
        """From the driver to a node, to another, and back."""
        data = secrets.token_bytes(size)
        nodes = [node(tasks.echo, "x", "y", name="y"), node(tasks.echo, "y", "z", name="z")]
        found = self.run(pipeline(nodes), {"x": data})["z"].load()
        same = hashlib.sha256(found).digest() == hashlib.sha256(data).digest()
        assert same, f"{size} bytes came back as {len(found)} others."

    def test_arrays_of_any_kind(self) -> None:
        """Strided, dates, empty, of objects, and larger than a pipe."""
        np = _numpy()
        arrays = {
            "plain": np.arange(1_000_000.0).reshape(1000, 1000),
            "strided": np.arange(100_000)[::3],
            "transposed": np.ones((300, 200)).T,
            "dates": np.arange("2026-01-01", "2030-01-01", dtype="datetime64[D]"),
            "empty": np.empty((0, 5)),
            "objects": np.array([{"a": 1}, None, "text"], dtype=object),
        }
        nodes = [node(tasks.echo, name, f"{name}_out", name=name) for name in arrays]
        result = self.run(pipeline(nodes), arrays)
        for name, array in arrays.items():
            found = result[f"{name}_out"].load()
            assert found.dtype == array.dtype, f"{name}: {array.dtype} became {found.dtype}."
            assert np.array_equal(found, array), f"{name}: the values are others."

    def test_change_in_place_is_not_seen_by_others(self) -> None:
        """Two nodes read a list; the first changes it."""
        nodes = [
            node(tasks.spoil, "values", "first", name="first"),
            node(tasks.add_after, ["values", "first"], "second", name="second"),
        ]
        values = [1, 2, 3]
        result = self.run(pipeline(nodes), {"values": values}, max_workers=1)
        assert result["second"].load() == 3, "A node has seen what another did to its input."
        assert values == [1, 2, 3], "The driver's own value was changed by a node."

    def test_change_of_a_large_array_is_not_seen_by_others(self) -> None:
        """The same with data that is not copied."""
        np = _numpy()
        nodes = [
            node(tasks.spoil, "values", "first", name="first"),
            node(tasks.sum_after, ["values", "first"], "second", name="second"),
        ]
        values = np.ones(1_000_000)
        result = self.run(pipeline(nodes), {"values": values}, max_workers=1)
        assert result["second"].load() == 1_000_000, (
            "A node has seen what another did to its input."
        )
        assert values.sum() == 1_000_000, "The driver's own array was changed by a node."

    def test_result_outlives_the_runner(self) -> None:
        """And views of it outlive its dataset."""
        np = _numpy()
        result = self.run(pipeline(node(np.arange, "n", "values")), {"n": 500_000})
        view = result["values"].load()[10:20]
        del result
        assert view.tolist() == list(range(10, 20)), "The memory behind a result was reused."

    def test_one_value_reaches_many_nodes(self) -> None:
        """Twenty readers of 5 MB."""
        data = secrets.token_bytes(5 << 20)
        nodes = [node(len, "data", f"n{i}", name=f"n{i}") for i in range(20)]
        result = self.run(pipeline(nodes), {"data": data})
        assert {result[f"n{i}"].load() for i in range(20)} == {5 << 20}

    @pytest.mark.parametrize("other", ["threads", "direct"])
    @pytest.mark.parametrize("size", [100, 2 << 20])
    def test_values_go_to_another_backend_and_back(self, size: int, other: str) -> None:
        """In one run, of which some nodes name the other one."""
        data = secrets.token_bytes(size)
        nodes = [
            node(tasks.echo, "x", "here", name="here"),
            node(tasks.echo, "here", "there", name="there", backend=other),
            node(tasks.cut, "there", "back", name="back"),
        ]
        found = self.run(pipeline(nodes), {"x": data})["back"].load()
        assert found == data[: size // 2], (
            f"{size} bytes went to the backend {other!r} and back, and are others now."
        )

    @needs("shares_memory")
    def test_values_are_given_back(self) -> None:
        """After the run and its results, no file holds what nodes have passed on."""
        token = secrets.token_hex(16).encode()
        for size in (1 << 10, 1 << 20):
            data = token * (size // len(token))
            nodes = [node(tasks.echo, "x", "y", name="y"), node(tasks.cut, "y", "z", name="z")]
            result = self.run(pipeline(nodes), {"x": data})
            assert result["z"].load() == data[: len(data) // 2]
            del result
        wait_until(lambda: not _holders(token), self.patience)
        left = _holders(token)
        assert not left, f"A run is over, and {len(left)} files still hold its values: {left}."


def _numpy() -> Any:
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("numpy is not installed")
    import numpy as np  # noqa: PLC0415, for these tests alone

    return np


def _holders(token: bytes) -> list[str]:
    """Files in shared memory, and in runs' folders elsewhere, that begin with or hold a token."""
    return [str(path) for path in _candidates() if _holds(path, token)]


def _candidates() -> Iterable[Path]:
    for top in (_SHARED, *Path(tempfile.gettempdir()).glob("motorpool-*")):
        for folder, _, names in os.walk(top):  # passes over what vanishes meanwhile
            yield from (Path(folder, name) for name in names)


def _holds(path: Path, token: bytes) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return token in file.read(1 << 16)
    except OSError:
        return False  # gone, or another user's
