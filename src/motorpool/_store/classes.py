"""Classes that are pickled by value, where cloudpickle loses a part of them."""

from __future__ import annotations

from enum import EnumMeta
from types import MemberDescriptorType
from typing import Any, NamedTuple


def reduce_class(kind: type, *, tracked: bool = True) -> Any:
    """What cloudpickle makes of a class, with what it leaves out.

    Its skeletons have no `__slots__`, so that instances have other states than those of the class
    itself; members of an enumeration lose their second names; a TypedDict fails to unpickle.

    Args:
        kind: The class.
        tracked: Whether it unpickles as the class that a process has of it already, if any.

    Returns:
        A reduced value, or NotImplemented for a class that goes by name.
    """
    import cloudpickle  # noqa: PLC0415, takes 10 ms that `import motorpool` must not

    reduced = cloudpickle.Pickler.reducer_override(None, kind)
    if not isinstance(reduced, tuple) or len(reduced) < 3:  # noqa: PLR2004, None's type, for one
        return reduced
    make, arguments, (names, slots), *rest = reduced
    if type(kind).__name__ == "_TypedDictMeta":
        make, arguments = _make_class, (type(kind), kind.__name__, kind.__bases__, {})
    elif NamedTuple in vars(kind).get("__orig_bases__", ()):
        make, arguments = _make_class, (type, kind.__name__, kind.__bases__, {"__slots__": ()})
    else:
        *arguments, tracker, extra = arguments
        if isinstance(kind, EnumMeta):  # the fourth argument is the members
            arguments[3] = {name: kind.__members__[name].value for name in kind.__members__}
            names = {name: value for name, value in names.items() if name not in arguments[3]}
        elif "__slots__" in names:  # the fourth is what the class has from the start
            arguments[3] = {**arguments[3], "__slots__": names["__slots__"]}
            names = {name: value for name, value in names.items() if not _is_slot(name, value)}
        arguments = (*arguments, tracker if tracked else None, extra)
    return make, arguments, (names, slots), *rest


def _is_slot(name: str, value: Any) -> bool:
    return name == "__slots__" or isinstance(value, MemberDescriptorType)


def _make_class(kind: type, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> Any:
    """Make a class whose own statement did more than that, and cannot do it again."""
    return type.__new__(kind, name, bases, names)
