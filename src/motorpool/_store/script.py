"""The names of a script: how workers come by what `__main__` defines.

    driver                                           worker
    a function or class that `__main__`  -- name --> found in a `__main__` of the worker's own,
    has under its name                               as pickle finds it
    what such a name stands for ------- pickle ----> unpickled into that module when first used

So there is one object of each name in a worker, whatever pickles it: this package, a pool that a
node starts, or `pickle.dump` in a node. Nothing of the script runs again. A function without a
name of its own (a lambda, one within another function) is pickled by value, and finds its globals
in that same module. `script_module` is the worker's side.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._store.carrier import Carrier
from motorpool._store.out_of_band import OutOfBand
from motorpool._store.script_module import (
    HERE,
    MAIN,
    NAMES_OF_MAIN,
    Script,
    ScriptModule,
    namespace,
)
from motorpool._system.imports import is_a

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from motorpool._store.out_of_band import Pickled

# What every module has; functions find these without being sent them.
_ATTRIBUTES = ("__file__", "__package__", "__doc__")
_OF_MODULES = frozenset({
    *_ATTRIBUTES, "__name__", "__spec__", "__builtins__", "__loader__", "__cached__", "__path__",
})  # fmt: skip
# Values that are as good when they are copied, or that pickle knows by name.
_COPIED = (
    type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented),
    ModuleType, type, type(lambda: None),
)  # fmt: skip


class _Local(threading.local):
    """What this thread pickles for.

    Attributes:
        collector: Of the run whose names are being collected, or None.
        by_name: Whether it pickles for processes that have the script's names, or for others; or
            None, if that depends on where it is.
    """

    collector: Collector | None = None
    by_name: bool | None = None


local = _Local()
# Names that runs of this process have sent; values that they have left may be of such classes.
_sent: set[str] = set()
# Who needs a name that may be of no use, and whose value may be one that cannot be pickled.
OTHERS = "others"


@contextmanager
def script_names(*, known: bool) -> Iterator[None]:
    """Pickle what `__main__` defines by name, or else by value.

    Args:
        known: Whether the processes that it is pickled for have the names.
    """
    before, local.by_name = local.by_name, known
    try:
        yield
    finally:
        local.by_name = before


def names_travel() -> bool:
    """Whether what is pickled now goes where the names of `__main__` are known."""
    if local.by_name is not None:
        return local.by_name
    return local.collector is not None or isinstance(sys.modules.get(MAIN), ScriptModule)


def want_global(name: str) -> None:
    """Note that what is being pickled refers to a name of `__main__`."""
    if local.collector is not None:
        local.collector.want(name)


def known(names: Iterable[str]) -> list[str]:
    """Those of some names that `__main__` defines, each once."""
    main = namespace()
    return [name for name in dict.fromkeys(names) if name in main and name not in _OF_MODULES]


def name_of(obj: Any) -> str | None:
    """The name under which `__main__` has a function or a class, or None if it has it not."""
    name = getattr(obj, "__qualname__", None)
    if getattr(obj, "__module__", None) not in NAMES_OF_MAIN or not isinstance(name, str):
        return None
    first, *rest = name.split(".")
    found: Any = namespace().get(first)
    for part in rest:
        found = getattr(found, part, None)
    return name if found is obj else None


class Undefined(NamedTuple):
    """A name whose value cannot be pickled.

    Attributes:
        name: The name.
        error: Why.
        users: For whom it was collected.
        value: The value.
    """

    name: str
    error: Exception
    users: set[object]
    value: Any


class Collector:
    """Collects the names of `__main__` that a run refers to, and pickles what they stand for.

    Attributes:
        defining: The name that is being defined, or None.
        shares: Whether variables of `__main__` are pickled by name, as for functions, and not
            their values, as for data.
    """

    def __init__(self) -> None:
        self.defining: str | None = None
        self.shares = True
        self._dumps: OutOfBand | None = None
        self._apart = False
        self._names = namespace()
        self._user: object = None
        self._roots: dict[str, set[object]] = {}
        self._needs: dict[str, list[str]] = {}
        self._waiting: list[str] = []
        self._pickles: dict[str, Pickled] = {}
        self._variables: dict[int, str] | None = None

    @contextmanager
    def collecting(self, user: object = None, *, shares: bool = True) -> Iterator[None]:
        """Collect what this thread pickles.

        Args:
            user: For whom, see `Undefined`.
            shares: See the attribute.
        """
        before = local.collector, self._user, self.shares
        local.collector, self._user, self.shares = self, user, shares
        try:
            yield
        finally:
            local.collector, self._user, self.shares = before

    def want(self, name: str) -> None:
        """Note that a name is referred to, by what is being pickled."""
        first = name.partition(".")[0]
        if self.defining is not None:
            self._needs[self.defining].append(first)
        else:
            self._roots.setdefault(first, set()).add(self._user)
        self._waiting.append(first)

    def want_all(self, names: Iterable[str]) -> None:
        """Likewise for several names."""
        for name in names:
            self.want(name)

    def want_sent(self) -> None:
        """Likewise for what earlier runs have sent: a value of theirs is an input of this one."""
        with self.collecting(OTHERS):
            self.want_all(known(sorted(_sent)))

    def want_those_of(self, other: Collector) -> None:
        """Likewise for those of another backend in the same run, whose values may come here."""
        with self.collecting(OTHERS):
            self.want_all(known(other._pickles))

    def variable(self, obj: Any) -> str | None:
        """The name of the variable of `__main__` that holds an object, or None."""
        if self._variables is None:
            names = sorted(self._names, key=lambda name: name.startswith("_"), reverse=True)
            self._variables = {
                id(self._names[name]): name
                for name in names
                if name not in _OF_MODULES and not is_a(self._names[name], *_COPIED)
            }
        name = self._variables.get(id(obj))
        return name if name is not None and self._names.get(name) is obj else None

    def is_root(self, obj: Any) -> bool:
        """Whether this is what is being defined, and no part of it."""
        return self.is_within and self._names.get(self.defining or "") is obj

    @property
    def is_within(self) -> bool:
        """Whether a name is being defined, and this is what it stands for or a part of it."""
        return self.defining is not None and not self._apart

    def is_defining(self, name: str) -> bool:
        """Whether this is, or is part of, what is being defined."""
        return self.is_within and self.defining == name.partition(".")[0]

    def apart(self, values: dict[str, Any]) -> Pickled | None:
        """Pickle values apart from what is being defined, if they refer to names of `__main__`.

        Some of these may have to be defined first, and need in turn what is being defined.
        """
        assert self._dumps is not None  # noqa: S101, it is within `define_all`
        before, self._apart = len(self._waiting), True
        try:
            pickled = self._dumps(values)
        finally:
            self._apart = False
        return pickled if len(self._waiting) > before else None

    def out_of_band(self, dumps: Callable[..., bytes]) -> OutOfBand:
        """What functions and the names of a run are pickled with; the first `dumps` counts.

        A large array is there once, however many of them refer to it.
        """
        self._dumps = self._dumps or OutOfBand(dumps)
        return self._dumps

    def define_all(self, dumps: Callable[..., bytes]) -> list[Undefined]:
        """Pickle what the names stand for, and what those need in turn.

        Returns:
            What cannot be pickled.
        """
        failed, pickle = [], self.out_of_band(dumps)
        while self._waiting:
            name = self._waiting.pop()
            if name in self._needs or name not in self._names:
                continue
            self._needs[name], self.defining = [], name
            try:
                with self.collecting():
                    self._pickles[name] = pickle(self._names[name])
            except Exception as error:  # noqa: BLE001, whatever pickling raises is the reason
                failed.append((name, error))
            finally:
                self.defining = None
        return [
            Undefined(name, error, self._users(name), self._names[name]) for name, error in failed
        ]

    def larger_than(self, nbytes: int) -> list[tuple[str, int, set[object]]]:
        """Names whose values are larger, with their sizes (bytes), and who needs them."""
        sizes = {name: pickled.nbytes for name, pickled in self._pickles.items()}
        return [(n, size, self._users(n)) for n, size in sizes.items() if size > nbytes]

    def _users(self, failed: str) -> set[object]:
        """Who needs a name, itself or by way of others."""
        users: set[object] = set()
        for root, its_users in self._roots.items():
            seen, names = {root}, [root]
            while names and failed not in seen:
                new = set(self._needs.get(names.pop(), ())) - seen
                seen |= new
                names += new
            if failed in seen:
                users |= its_users
        return users

    @property
    def waits(self) -> bool:
        """Whether there are names that have not been defined."""
        return any(name not in self._needs for name in self._waiting)

    def carrier(self, value: Any) -> Carrier:
        """A value that brings what has been collected since the plan was sent."""
        return Carrier(value, dict(self._pickles))

    def script(self) -> Script:
        """What a worker needs of `__main__`, as far as it has been collected."""
        names, spec = self._names, self._names.get("__spec__")
        _sent.update(self._pickles)
        return Script(
            {name: names[name] for name in _ATTRIBUTES if isinstance(names.get(name), str)},
            None if spec is None else (spec.name, spec.origin),
            dict(self._pickles),
            (HERE, os.getpid()),
        )
