"""A dataset in a file of its own."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import Dataset
from motorpool._system.files import replacing
from motorpool.errors import DatasetError

if TYPE_CHECKING:
    import os


class PickleDataset(Dataset):
    """Keeps a value in a file, as a pickle.

    The file is written under another name and then renamed, so that no one sees half of it,
    and a save that fails leaves what was there. Load your own files only: pickles run code.

    Args:
        path: The file; its folder is made if need be.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()  # workers may be in another folder

    def load(self) -> Any:
        """Return the value.

        Raises:
            DatasetError: If there is no such file.
        """
        try:
            with self._path.open("rb") as file:
                return pickle.load(file)
        except FileNotFoundError:
            raise DatasetError(f"There is no file {self._path}; save something first.") from None

    def save(self, data: Any) -> None:
        """Keep the value.

        Raises:
            DatasetError: If the value is None.
            Exception: Whatever pickling or writing raises; the file is as it was.
        """
        if data is None:
            raise DatasetError("None cannot be saved; let the node return a value.")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(str(self._path)) as new, Path(new).open("wb") as file:
            pickle.dump(data, file, 5)

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self._path.exists()

    def __repr__(self) -> str:
        return f"PickleDataset({str(self._path)!r})"
