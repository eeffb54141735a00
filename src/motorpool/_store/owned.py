"""A value on its way to the store, and whether there are other references to it."""

from __future__ import annotations

import sys
import weakref
from typing import Any

from motorpool._store.pages import can_give_up

# Below this, glibc may keep the memory of a freed array for the next one, with its pages.
_LEAST = 32 * 2**20


class OwnedValue:
    """Holds a value that its maker has let go of.

    Args:
        value: The value.
        last: Whether `value` is not read again when it is in the store.
    """

    __slots__ = ("_last", "value")

    def __init__(self, value: Any, *, last: bool = False) -> None:
        self.value = value
        self._last = last

    def is_unique(self) -> bool:
        """Whether the value is an array with no reference but this object's.

        Its memory is its own, and no variable, view or cache anywhere has it, not even weakly. Of
        other values that is not known: what is inside of them may be referenced elsewhere.
        """
        if not self._last or type(self.value).__name__ != "ndarray":
            return False
        numpy = sys.modules.get("numpy")
        if numpy is None or type(self.value) is not numpy.ndarray:
            return False
        if sys.getrefcount(self.value) != _ALONE or weakref.getweakrefcount(self.value):
            return False
        return bool(self.value.flags.owndata) and not self.value.dtype.hasobject

    def is_consumable(self) -> bool:
        """Whether it is all of a value that is worth giving its pages back one by one."""
        if not self.is_unique() or not can_give_up:
            return False
        flags = self.value.flags
        return bool(flags.contiguous | flags.f_contiguous) and self.value.nbytes >= _LEAST


def _count_alone() -> int:
    owned = OwnedValue(object())
    return sys.getrefcount(owned.value)


_ALONE = _count_alone()
