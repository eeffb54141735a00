"""Which libraries the functions of a pipeline import, so that workers need not do so one by one.

Only what is installed counts: to import the user's own modules may do anything, which each worker
is to do for itself.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_needed: set[str] = set()


def need(things: Iterable[Any]) -> None:
    """Remember what functions and datasets import, for workers that are started from now on."""
    seen: set[int] = set()
    todo = [_bare(thing) for thing in things]
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        module = _module_of(thing)
        if module is not None and is_installed(getattr(module, "__spec__", None)):
            _needed.add(module.__name__)
        elif module is not None and module.__name__ != "__main__":
            todo += () if _is_pythons(module) else vars(module).values()  # a worker imports it all
        elif is_a(thing, FunctionType):
            todo += _used_by(thing)


def need_modules(names: Iterable[str]) -> None:
    """Remember modules by name."""
    _needed.update(names)


def needed() -> list[str]:
    """Names of all of them."""
    return sorted(_needed)


def is_a(value: Any, *kinds: type) -> bool:
    """What isinstance says, without asking the value for its class.

    Proxies, such as Flask's and Dynaconf's, answer by making what they stand for, or by raising
    because there is none yet.
    """
    return issubclass(type(value), kinds)


def module_on_its_way(function: Any) -> str | None:
    """The module that workers would import for a function, if it is being imported here now."""
    function = _bare(function)
    module = _module_of(function)
    if module is None or not getattr(getattr(module, "__spec__", None), "_initializing", False):
        return None
    return module.__name__ if getattr(module, function.__qualname__, None) is function else None


def _bare(thing: Any) -> Any:
    """The function that is called in the end."""
    while is_a(thing, functools.partial, MethodType):
        thing = thing.func if is_a(thing, functools.partial) else thing.__func__
    return thing if is_a(thing, FunctionType, type, ModuleType) else type(thing)


def _module_of(thing: Any) -> ModuleType | None:
    if is_a(thing, ModuleType):
        module: ModuleType = thing
        return module
    if is_a(thing, FunctionType, type):
        return sys.modules.get(thing.__module__ or "")
    return None


def is_installed(spec: Any) -> bool:
    """Whether a module, by its spec, is neither the user's own nor of Python itself."""
    return (getattr(spec, "origin", None) or "").startswith(_INSTALLED)


def _is_pythons(module: ModuleType) -> bool:
    """Whether it is of the standard library: what others put there, such as hooks, is not used."""
    return module.__name__.partition(".")[0] in sys.stdlib_module_names


def _used_by(function: FunctionType) -> Iterator[Any]:
    """What the code of a function refers to by name; it may be all of a notebook otherwise."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [const for const in code.co_consts if isinstance(const, CodeType)]
        for name in code.co_names:
            if name in function.__globals__:
                yield function.__globals__[name]
    for cell in function.__closure__ or ():
        yield cell.cell_contents if _is_full(cell) else None


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018, an empty one raises
    except ValueError:
        return False
    return True
