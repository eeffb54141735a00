"""The catalog as one running node sees it, in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import confirm_dataset
from motorpool._datasets.describe import describe
from motorpool._store import OwnedValue
from motorpool._system.exceptions import add_note
from motorpool.errors import MotorpoolError, NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from motorpool._worker.session import Session
    from motorpool._worker.values import UnitValues


class TaskCatalog:
    """The catalog as one running node sees it.

    Args:
        session: The run.
        values: The values of its unit.
        numbers: Of the datasets that it reads and writes, by name.

    Attributes:
        about: What the caller of the run will get of its outputs, in a few words, by number.
        shown: The catalog that hooks are shown.
    """

    takes_none = False

    def __init__(self, session: Session, values: UnitValues, numbers: Mapping[str, int]) -> None:
        self._session, self._values, self._numbers = session, values, numbers
        self.about: dict[int, str] = {}

    @property
    def shown(self) -> TaskCatalog:
        """The catalog that hooks are shown."""
        return self

    def dataset(self, name: str) -> Any | None:
        """A dataset that this worker uses itself, or None if its value is in memory."""
        return self._session.dataset(name)

    def load(self, name: str) -> Any:
        """Load a dataset."""
        number = self._numbers.get(name, -1)
        if self._values.has(number):
            return self._values.load(number)
        dataset = self._session.dataset(name)
        if dataset is None:
            raise NodeError(f"The dataset {name!r} is not among this node's.", dataset=name)
        return dataset.load()

    def save(self, name: str, data: Any) -> None:
        """Save a dataset; a chunk of a stream takes the place of the one before."""
        self.save_owned(name, OwnedValue(data))

    def save_owned(self, name: str, owned: OwnedValue) -> None:
        """Save a dataset; the node has no use for the value any more."""
        dataset = self._session.dataset(name)
        if dataset is not None:
            dataset.save(owned.value)
            return
        number = self._numbers[name]
        if number in self._session.settings.results:
            self.about[number] = describe(owned.value)
        try:
            self._values.save(number, owned)
        except (MotorpoolError, MemoryError):
            raise
        except Exception as error:
            add_note(
                error,
                "In-memory values go to other processes as pickles. Return what can be pickled, "
                "or run on threads or sequential, where values stay as they are.",
            )
            raise

    def is_empty(self, name: str) -> bool:
        """Whether an output lives in memory, and nothing was saved to it."""
        made = self._numbers.get(name) in self._values.made
        return not made and self._session.dataset(name) is None

    def confirm(self, name: str) -> None:
        """Confirm a dataset."""
        confirm_dataset(name, self._session.dataset(name))
