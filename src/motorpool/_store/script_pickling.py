"""How functions, classes and variables of `__main__` are pickled, where its names are known.

By name if they have one; see `script`. Else, and when a name is being defined, by value: functions
by their code, classes as cloudpickle does it, but for what that does not know.
"""

from __future__ import annotations

import contextlib
import copyreg
import dis
import functools
import marshal
import re
import sys
from contextvars import Context, ContextVar
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from motorpool._store.classes import reduce_class
from motorpool._store.out_of_band import with_blobs
from motorpool._store.script import known, local, name_of, names_travel
from motorpool._store.script_module import (
    MAIN,
    NAMES_OF_MAIN,
    NO_DEFAULT,
    begin,
    make_cached_property,
    make_context_var,
    make_dispatch,
    make_function,
    named,
    namespace,
    set_class_state,
    set_function_state,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from motorpool._store.script import Collector

_DISPATCH_CODE = functools.singledispatch(len).__code__  # type: ignore[attr-defined]
_PLAIN = frozenset({
    type(None), bool, int, float, str, bytes, property, classmethod, staticmethod,
    functools.cached_property, MemberDescriptorType, GetSetDescriptorType,
})  # fmt: skip
_CONTAINERS = frozenset({list, dict, set, frozenset, tuple, bytearray})
_OPERATIONS = frozenset({"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"})
_WORD = re.compile(r"[^\W\d]\w*")
_SLOTS = (
    "__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__type_params__",
)  # fmt: skip
# Of a function that dispatches; what else it has was added to it.
_OF_DISPATCH = frozenset({"register", "dispatch", "registry", "_clear_cache", "__wrapped__"})


def reduce_script(obj: Any) -> Any:
    """What `reducer_override` of a pickler returns for what `__main__` defines.

    Returns:
        A name, a reduced value, or NotImplemented: for all else, and where the names of
        `__main__` are not known.
    """
    if not names_travel():
        return NotImplemented
    collector, kind = local.collector, type(obj)
    if kind is FunctionType or issubclass(kind, type):
        if obj.__module__ in NAMES_OF_MAIN or getattr(obj, "__globals__", None) is namespace():
            return _reduce_definition(obj, collector)
        return NotImplemented
    if kind is functools.cached_property:
        return make_cached_property, (obj.func, obj.attrname)
    if kind is ContextVar and collector is not None and collector.is_root(obj):
        return make_context_var, (obj.name, Context().run(obj.get, NO_DEFAULT))
    return NotImplemented if collector is None else _reduce_variable(obj, collector)


def by_name(obj: Any) -> str | None:
    """The name by which an object that `__main__` defines is pickled, if that is the way now."""
    if not names_travel():
        return None
    name, collector = name_of(obj), local.collector
    if name is not None and collector is not None:
        if collector.is_defining(name):
            return None
        collector.want(name)
    return name


def _reduce_definition(obj: Any, collector: Collector | None) -> Any:
    """A function or a class: by name, or by value."""
    name = by_name(obj)
    if name is not None:
        return name
    if type(obj) is not FunctionType:
        reduced = _reduce_class(obj, collector)
    elif obj.__code__ is _DISPATCH_CODE:
        reduced = _reduce_dispatch(obj)
    elif obj.__globals__ is namespace():
        reduced = _reduce_function(obj, collector)
    else:
        return NotImplemented
    return _beginning(obj, reduced, collector)


def _beginning(obj: Any, reduced: Any, collector: Collector | None) -> Any:
    """Let what is being defined have its name before its parts, which may refer to it."""
    if collector is None or not collector.is_root(obj):
        return reduced
    make, arguments, *rest = reduced
    return begin, (collector.defining, make, arguments), *rest


def _reduce_function(function: FunctionType, collector: Collector | None) -> Any:
    code, annotations = function.__code__, _annotations(function)
    names = [*_names_in(code), *_words_in(annotations.values())]
    if collector is not None:
        collector.want_all(names)
    contents = []
    for index, cell in enumerate(function.__closure__ or ()):
        with contextlib.suppress(ValueError):  # it is empty
            contents.append((index, with_blobs(_shared(cell.cell_contents, collector))))
    slots = {slot: getattr(function, slot) for slot in _SLOTS if hasattr(function, slot)}
    if function.__defaults__:
        slots["__defaults__"] = tuple(_shared(d, collector) for d in function.__defaults__)
    named_ones = function.__kwdefaults__ or {}
    slots["__kwdefaults__"] = {n: _shared(d, collector) for n, d in named_ones.items()} or None
    if sys.version_info >= (3, 14):
        slots["__annotate__"] = function.__annotate__
    else:
        slots["__annotations__"] = annotations
    state = (dict(vars(function)), slots, contents, names)
    arguments = (marshal.dumps(code), function.__name__, len(code.co_freevars))
    return make_function, arguments, state, None, None, set_function_state


def _annotations(obj: Any) -> dict[str, Any]:
    """Annotations as they were written; none from Python 3.14 on, which evaluates them late."""
    found = {} if sys.version_info >= (3, 14) else vars(obj).get("__annotations__")
    if found is None and isinstance(obj, FunctionType):
        found = obj.__annotations__
    return found if isinstance(found, dict) else {}


def _words_in(annotations: Iterable[Any]) -> list[str]:
    """The names of `__main__` in annotations that are texts."""
    texts = (text for text in annotations if isinstance(text, str))
    return known(word for text in texts for word in _WORD.findall(text))


def _names_in(code: CodeType) -> list[str]:
    """The names of `__main__` that code looks up."""
    candidates = known(_all_names(code))
    if not candidates:
        return []
    looked_up = _globals_of(code)
    return [name for name in candidates if name in looked_up]


def _all_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_names(constant)


@functools.lru_cache(maxsize=10_000)
def _globals_of(code: CodeType) -> frozenset[str]:
    """The global names that code looks up or sets; after `import __main__`, attributes as well."""
    if MAIN in code.co_names or MAIN in code.co_consts:
        return frozenset(_all_names(code))
    found = {i.argval for i in dis.get_instructions(code) if i.opname in _OPERATIONS}
    inner = (_globals_of(c) for c in code.co_consts if isinstance(c, CodeType))
    return frozenset(found).union(*inner)


def _reduce_class(kind: type, collector: Collector | None) -> Any:
    if collector is None:
        return reduce_class(kind)
    collector.want_all(_words_in(_annotations(kind).values()))
    tracked = not collector.is_within  # each run has classes of its own
    make, arguments, (names, slots), *rest, set_state = reduce_class(kind, tracked=tracked)
    names = {name: _shared(value, collector) for name, value in names.items()}
    later: dict[str, Any] = {}
    if collector.is_within:
        later = {name: value for name, value in names.items() if _needs_names(value, collector)}
        # The one object of a class is looked for there when the next is made.
        empty = {name: None for name, value in later.items() if type(value) is kind}
        names = {name: value for name, value in names.items() if name not in later} | empty
    pickled = collector.apart(later) if later else None
    return make, arguments, (set_state, (names, slots), pickled), *rest, set_class_state


def _needs_names(value: Any, collector: Collector) -> bool:
    """Whether something that a class has can only be unpickled when other names are defined.

    These may need the class in turn: a base has a register of the classes that derive from it.
    """
    if isinstance(value, (FunctionType, type)):
        return by_name(value) is not None
    if type(value) in _PLAIN or (name_of(value) or "").startswith(f"{collector.defining}."):
        return False
    return collector.apart({"": value}) is not None


def _reduce_dispatch(function: Any) -> Any:
    others = dict(function.registry)
    default = others.pop(object)
    extra = {name: value for name, value in vars(function).items() if name not in _OF_DISPATCH}
    return make_dispatch, (default, others), extra or None


def _reduce_variable(obj: Any, collector: Collector) -> Any:
    """An object that a variable of `__main__` holds: by name, so that it stays one object."""
    name = collector.variable(obj)
    if name is None:
        return NotImplemented
    if collector.shares and not collector.is_defining(name):
        collector.want(name)
        return named, (name,)
    if type(obj).__module__ not in NAMES_OF_MAIN and type(obj).__module__ != "typing":
        return NotImplemented
    reduced = obj.__reduce_ex__(5)
    if not isinstance(reduced, str):
        return _beginning(obj, reduced, collector)
    if collector.shares:  # it pickles by the name that is being defined
        return _reduce_unnamed(obj)
    collector.want(reduced)
    return reduced


def _reduce_unnamed(obj: Any) -> Any:
    """An object that pickles by name, by what it is made of."""
    if hasattr(obj, "__dict__"):
        return copyreg.__newobj__, (type(obj),), dict(vars(obj))  # type: ignore[attr-defined]
    if hasattr(obj, "__value__"):  # an alias of a type
        return type(obj), (obj.__name__, obj.__value__)
    return type(obj), (obj.__name__,) if hasattr(obj, "__name__") else ()


class _Reference:
    """Unpickles as what a variable of `__main__` holds."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return named, (self._name,)


def _shared(value: Any, collector: Collector | None) -> Any:
    """A container that a variable of `__main__` holds as well, so that it stays one object.

    Picklers ask for no reduced value of these.
    """
    if collector is None or not collector.shares or type(value) not in _CONTAINERS:
        return value
    name = collector.variable(value)
    if name is None or collector.is_defining(name):
        return value
    collector.want(name)
    return _Reference(name)
