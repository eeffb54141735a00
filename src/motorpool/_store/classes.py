"""Classes that are pickled by value, where cloudpickle loses a part of them."""

from __future__ import annotations

import contextlib
import functools
import logging
import operator
import sys
import threading
import weakref
from enum import Enum, EnumMeta
from types import MemberDescriptorType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._store.script_module import NAMES_OF_MAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_logger = logging.getLogger("motorpool")
_making = threading.RLock()
# Classes that have been made here, and not completed yet.
_unfinished: weakref.WeakSet[type] = weakref.WeakSet()


def reduce_class(kind: type, *, tracked: bool = True) -> Any:
    """What cloudpickle makes of a class, with what it leaves out.

    Its skeletons have no `__slots__`, so that instances have other states than those of the class
    itself; members of an enumeration lose their second names; a TypedDict fails to unpickle; what
    a base or a metaclass does with each new class is done again, before the class has its names.

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
    make, arguments, (names, slots), *rest, set_state = reduced
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
        if type(kind).__module__ == "_ctypes":
            arguments[0], names = _make_like_its_base, _without_fields(names)
        base = _hooked(kind)
        if (base or _is_scripts(type(kind))) and not isinstance(kind, EnumMeta):
            arguments[0] = functools.partial(_make_quietly, type(kind), base)
            set_state = functools.partial(_complete, set_state)
        arguments = (*arguments, tracker if tracked else None, extra)
    return make, arguments, (names, slots), *rest, set_state


def reduce_member(member: Enum) -> Any:
    """What `reducer_override` of a pickler returns for a member of an enumeration: its name.

    Python takes its value, and so loses those that do not equal their copies, as functions do not.
    """
    kind = type(member)
    if (
        kind.__reduce_ex__ is not Enum.__reduce_ex__
        or kind.__members__.get(member.name) is not member
    ):
        return NotImplemented
    return operator.getitem, (kind, member.name)


def _is_slot(name: str, value: Any) -> bool:
    return name == "__slots__" or isinstance(value, MemberDescriptorType)


def _without_fields(names: dict[str, Any]) -> dict[str, Any]:
    """Leave out the attributes that ctypes makes of `_fields_`, which is to be set last."""
    names = {n: v for n, v in names.items() if type(v).__name__ != "CField"}
    return names | ({"_fields_": names.pop("_fields_")} if "_fields_" in names else {})


def _make_like_its_base(name: str, bases: tuple[type, ...], names: dict[str, Any]) -> type:
    """Make a class whose metaclass has no name of its own."""
    made: type = type(bases[0])(name, bases, names)
    return made


def _make_class(kind: type, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> Any:
    """Make a class whose own statement did more than that, and cannot do it again."""
    return type.__new__(kind, name, bases, names)


def _is_scripts(kind: type) -> bool:
    return kind.__module__ in NAMES_OF_MAIN


def _hooked(kind: type) -> type | None:
    """The base whose `__init_subclass__` is called for a class, but for those of Python itself."""
    base = next(base for base in kind.__mro__[1:] if "__init_subclass__" in vars(base))
    pythons = base.__module__.partition(".")[0] in sys.stdlib_module_names
    return None if pythons or not isinstance(base.__init_subclass__, MethodType) else base


@contextlib.contextmanager
def _quiet(base: type) -> Iterator[None]:
    """Let a base do nothing with classes that this thread makes."""
    original, this_thread = vars(base)["__init_subclass__"], threading.get_ident()

    def quiet(kind: type, /, **keywords: Any) -> None:
        if threading.get_ident() != this_thread:
            original.__get__(None, kind)(**keywords)

    with _making:
        type.__setattr__(base, "__init_subclass__", classmethod(quiet))
        try:
            yield
        finally:
            type.__setattr__(base, "__init_subclass__", original)


def _make_quietly(
    metaclass: type, base: type | None, name: str, bases: tuple[type, ...], names: dict[str, Any]
) -> type:
    """Make a class, and leave out what code of the script does with new ones: it has been done.

    Args:
        metaclass: Its metaclass.
        base: The one whose `__init_subclass__` would be called, or None.
        name: Its name.
        bases: Its bases.
        names: What it has from the start.
    """
    maker = next(kind for kind in metaclass.__mro__ if not _is_scripts(kind))
    with contextlib.nullcontext() if base is None else _quiet(base):
        if maker is metaclass:
            made: type = metaclass(name, bases, names)
        else:
            made = maker.__new__(metaclass, name, bases, names)
            maker.__init__(made, name, bases, names)  # type: ignore[misc]
    _unfinished.add(made)
    return made


def _complete(set_state: Callable[[type, Any], object], kind: Any, state: Any) -> None:
    """Give a class what it has, and then let a base of a library know of it, once.

    Such as those that keep a register of classes. Those of the script come with what they keep.
    """
    names, slots = state
    if _is_scripts(type(kind)):  # it may have a say in what is set
        kept = {"_abc_impl"} & names.keys()
        for name in names.keys() - kept:
            type.__setattr__(kind, name, names[name])
        names = {name: names[name] for name in kept}
    set_state(kind, (names, slots))
    new, base = kind in _unfinished, _hooked(kind)
    _unfinished.discard(kind)
    if not new or base is None or _is_scripts(base):
        return
    try:
        super(kind, kind).__init_subclass__()
    except Exception:
        _logger.debug("%r cannot be told of the class %r", base, kind, exc_info=True)
