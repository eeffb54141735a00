"""A value on its way to the store, and whether anybody else has it."""

from __future__ import annotations

import sys
from typing import Any

from motorpool._store._pages import can_give_up

# Below this, glibc may keep the memory of a freed array for the next one, with its pages.
_LEAST = 32 * 2**20


class Parcel:
    """Holds a value that whoever made the parcel has let go of.

    Args:
        value: The value.
        last: Whether nobody will want it of the parcel when it is in the store.
    """

    __slots__ = ("_last", "value")

    def __init__(self, value: Any, *, last: bool = False) -> None:
        self.value = value
        self._last = last

    def may_be_spent(self) -> bool:
        """Whether the value is a large array that ends with the parcel.

        Its memory is its own, and no variable, view or cache anywhere has it.
        """
        numpy = sys.modules.get("numpy")
        if not self._last or not can_give_up or numpy is None:
            return False
        if type(self.value) is not numpy.ndarray or sys.getrefcount(self.value) != _ALONE:
            return False
        flags = self.value.flags
        whole = flags.owndata and flags.contiguous | flags.f_contiguous
        return bool(whole) and self.value.nbytes >= _LEAST and not self.value.dtype.hasobject


def _count_alone() -> int:
    parcel = Parcel(object())
    return sys.getrefcount(parcel.value)


_ALONE = _count_alone()
