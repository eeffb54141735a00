"""Classes that are noted down as they are made, by their bases and metaclasses.

python registers.py BACKEND: prints what is noted in nodes, and here after the run, as JSON.
"""

import abc
import json
import sys
import typing

import registering

from motorpool import ParallelRunner, node, pipeline

T = typing.TypeVar("T")


class Base(abc.ABC):
    names: typing.ClassVar = []
    by_name: typing.ClassVar = {}

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        Base.names.append(cls.__name__)
        Base.by_name[cls.__name__] = cls

    @abc.abstractmethod
    def go(self): ...


class Derived(Base):
    def go(self):
        return 1


class Twice(Derived, typing.Generic[T]):
    __slots__ = ("kept",)


class Strict(int):
    """Refuses all that come after it."""

    def __init_subclass__(cls):
        raise RuntimeError(cls.__name__)


class Meta(abc.ABCMeta):
    made: typing.ClassVar = []

    def __new__(cls, name, bases, names, **keywords):
        return super().__new__(cls, name, bases, {**names, "added": name})

    def __init__(cls, name, bases, names, **keywords):
        super().__init__(name, bases, names)
        Meta.made.append(name)

    def __setattr__(cls, name, value):
        if not name.startswith(("_abc", "__abstract")):
            raise AttributeError(name)
        super().__setattr__(name, value)


class Made(metaclass=Meta):
    limit = 3


class MadeWith(Made, flag=True):
    pass


class Noted(registering.Base):
    key = "noted"


class NotedByMeta(registering.Other):
    pass


def noted(n):
    return {
        "names": Base.names,
        "by name": [kind.__name__ for kind in Base.by_name.values()],
        "same": Base.by_name["Derived"] is Derived and isinstance(Twice(), Base),
        "bases": [kind.__name__ for kind in Twice.__mro__],
        "derived": [kind.__name__ for kind in Base.__subclasses__()],
        "abstract": sorted(Base.__abstractmethods__),
        "number": Strict(n) + 1,
        "made": [*Meta.made, Made.added, MadeWith.limit],
        "of a library": [Noted.key, registering.notes],
        "by its metaclass": [NotedByMeta.__name__, sorted(registering.Meta.names)],
    }


def make(n):
    return [Derived(), MadeWith(), Noted()]


def look(made):
    return [type(made[0]) is Derived, type(made[1]) is MadeWith, type(made[2]) is Noted]


if __name__ == "__main__":
    nodes = [node(noted, "n", "noted"), node(make, "n", "made"), node(look, "made", "same")]
    with ParallelRunner(sys.argv[1], max_workers=1, runs_folder=False) as runner:
        result = runner.run(pipeline(nodes), {"n": 1})
        again = runner.run(pipeline(nodes[1:2]), {"n": 1})["made"].load()
    found = [result["noted"].load(), result["same"].load(), look(again), noted(1)]
    print(json.dumps(found))
