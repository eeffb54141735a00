"""The module `__main__` of a worker: the names of the user's script, unpickled when first used."""

from __future__ import annotations

import builtins
import marshal
import os
import secrets
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, singledispatch
from types import CellType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from motorpool._store.out_of_band import Pickled

MAIN = "__main__"
# What modules of the script are called; the second one in a process that multiprocessing started.
NAMES_OF_MAIN = frozenset({MAIN, "__mp_main__"})
# This interpreter, apart from others of the same process; forked ones have the same.
HERE = secrets.token_hex(8)
NO_DEFAULT = "motorpool: no default"
# Modules that a worker had as `__main__` before: functions that run may still need their globals.
_replaced: dict[int, ModuleType] = {}


class Script(NamedTuple):
    """What a worker needs of the driver's `__main__`.

    Attributes:
        attributes: What every module has: its file, its package and so on.
        spec: Name and file of its specification, as under `python -m`; or None.
        definitions: Pickles of what names stand for.
        origin: Which interpreter of which process it is of.
    """

    attributes: dict[str, Any]
    spec: tuple[str, str | None] | None
    definitions: dict[str, Pickled]
    origin: tuple[str, int]

    @property
    def is_here(self) -> bool:
        """Whether it is this interpreter's own, as for workers that are threads of the driver."""
        return self.origin == (HERE, os.getpid())


class ScriptModule(ModuleType):
    """The names of the user's script, in a worker.

    Args:
        script: What the driver has sent.
        loads: Unpickles definitions.
    """

    __slots__ = ("definitions",)

    def __init__(self, script: Script, loads: Callable[..., Any]) -> None:
        super().__init__(MAIN)
        names = vars(self)
        names.update(script.attributes)
        names["__builtins__"] = builtins
        names["__spec__"] = _spec(script.spec)
        self.definitions = _Definitions(names, script.definitions, loads)

    def __getattr__(self, name: str) -> Any:
        """Unpickle what a name stands for; called for names that are not there yet."""
        if name != "definitions" and self.definitions.define(name):
            return vars(self)[name]
        raise AttributeError(
            f"module {MAIN!r} has no attribute {name!r}. A worker has the names of the script "
            "that the nodes of the run refer to, as they were when it started."
        )


class _Definitions:
    """Unpickles what names stand for, each once.

    Args:
        names: The module's names, to which they are added.
        pickles: Their pickles.
        loads: Unpickles.
    """

    def __init__(
        self, names: dict[str, Any], pickles: Mapping[str, Pickled], loads: Callable[..., Any]
    ) -> None:
        self._names, self._loads = names, loads
        self._pickles = dict(pickles)
        self._waiting: list[str] = []  # names that functions need, which have come up meanwhile
        # Attributes of classes that need names: pickles, and what sets them.
        self._attributes: list[tuple[Pickled, Callable[[Any], object]]] = []
        self._depth = 0
        self._lock = threading.RLock()

    def define(self, name: str) -> bool:
        """Add a name, and then those that it needs; return whether it is there."""
        with self._lock:
            self._define(name)
            return name in self._names

    def need(self, names: Iterable[str]) -> None:
        """Add names that a function needs once it is called."""
        with self._lock:
            self._waiting += [name for name in names if name not in self._names]
            if not self._depth:
                self._define_waiting()

    def set_later(self, pickled: Pickled, set_names: Callable[[Any], object]) -> None:
        """Give a class attributes that need names, once these can be defined."""
        with self._lock:
            self._attributes.append((pickled, set_names))
            if not self._depth:
                self._define_waiting()

    def add(self, pickles: Mapping[str, Pickled]) -> None:
        """Add definitions that have come with a value."""
        with self._lock:
            new = {n: data for n, data in pickles.items() if n not in self._names}
            self._pickles |= new

    def _define(self, name: str) -> None:
        data = self._pickles.pop(name, None)
        if data is None:  # unknown, or on its way
            return
        self._depth += 1
        try:
            self._names[name] = data.load(self._loads)
        except BaseException as error:
            self._pickles[name] = data
            self._names.pop(name, None)
            if not isinstance(error, AttributeError):
                raise
            # It would be taken to say that there is no such name.
            raise ImportError(f"the worker cannot make the script's {name!r}: {error}") from error
        finally:
            self._depth -= 1
        if not self._depth:
            self._define_waiting()

    def _define_waiting(self) -> None:
        while self._waiting or self._attributes:
            if self._waiting:
                self._define(self._waiting.pop())
            else:
                pickled, set_names = self._attributes.pop()
                set_names(pickled.load(self._loads))


@contextmanager
def as_main(module: ScriptModule | None, *, stays: bool) -> Iterator[None]:
    """Make a module this process's `__main__`.

    Args:
        module: The module, or None for the one that there is.
        stays: Whether it is so afterwards, for threads that nodes have left.
    """
    if module is None or sys.modules.get(MAIN) is module:
        yield
        return
    before = {name: sys.modules[name] for name in NAMES_OF_MAIN if name in sys.modules}
    _replaced.update((id(m), m) for m in before.values() if not isinstance(m, ScriptModule))
    sys.modules.update(dict.fromkeys(NAMES_OF_MAIN, module))
    try:
        yield
    finally:
        if not stays:
            sys.modules.update(before)


def namespace() -> dict[str, Any]:
    """The names of `__main__`."""
    return vars(sys.modules[MAIN])


def _spec(spec: tuple[str, str | None] | None) -> Any:
    if spec is None:
        return None
    from importlib.machinery import ModuleSpec  # noqa: PLC0415, only under `python -m`

    return ModuleSpec(spec[0], None, origin=spec[1])


def _definitions() -> _Definitions | None:
    main = sys.modules.get(MAIN)
    return main.definitions if isinstance(main, ScriptModule) else None


def begin(name: str, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Make what a name stands for, and give it the name at once: its parts may refer to it."""
    made = namespace()[name] = make(*arguments)
    return made


def named(name: str) -> Any:
    """What a name of `__main__` stands for."""
    return getattr(sys.modules[MAIN], name)


def second(_definitions_first: None, value: Any) -> Any:
    """The second argument; unpickling has dealt with the first one before."""
    return value


def define(pickles: Mapping[str, Pickled]) -> None:
    """Take definitions that a value needs; the driver has them already."""
    definitions = _definitions()
    if definitions is not None:
        definitions.add(pickles)


def make_function(code: bytes, name: str, cells: int) -> FunctionType:
    """Make a function of `__main__`; its cells are empty."""
    closure = tuple(CellType() for _ in range(cells))
    return FunctionType(marshal.loads(code), namespace(), name, None, closure)  # noqa: S302, as all pickles


def set_function_state(
    function: FunctionType,
    state: tuple[dict[str, Any], dict[str, Any], Sequence[tuple[int, Any]], Sequence[str]],
) -> None:
    """Complete a function: its attributes, what its cells hold, and the names that it needs."""
    attributes, slots, contents, names = state
    vars(function).update(attributes)
    for name, value in slots.items():
        setattr(function, name, value)
    for index, value in contents:
        function.__closure__[index].cell_contents = value  # type: ignore[index]
    definitions = _definitions()
    if definitions is not None:
        definitions.need(names)


def set_class_state(
    kind: type, state: tuple[Callable[[type, Any], object], tuple[Any, Any], Pickled | None]
) -> None:
    """Complete a class: as cloudpickle does it, and later with attributes that need names."""
    set_state, its_state, pickled = state
    set_state(kind, its_state)
    definitions = _definitions()
    if definitions is not None and pickled is not None:
        definitions.set_later(pickled, lambda names: set_state(kind, (names, {})))


def make_dispatch(default: Callable[..., Any], others: Mapping[type, Callable[..., Any]]) -> Any:
    """Make a function that chooses another one by the type of its first argument."""
    function = singledispatch(default)
    for kind, implementation in others.items():
        function.register(kind, implementation)
    return function


def make_context_var(name: str, default: Any) -> ContextVar[Any]:
    """Make a context variable."""
    return ContextVar(name) if default == NO_DEFAULT else ContextVar(name, default=default)


def make_cached_property(function: Callable[[Any], Any], name: str | None) -> Any:
    """Make a `cached_property`."""
    found: Any = cached_property(function)
    if name is not None:
        found.__set_name__(None, name)
    return found
