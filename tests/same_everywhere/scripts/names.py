"""What a script may define, used in nodes; prints what the nodes found, as JSON.

python names.py BACKEND
"""

import abc
import ctypes
import dataclasses
import enum
import functools
import json
import multiprocessing
import operator
import pickle
import sys
import typing
from concurrent.futures import ProcessPoolExecutor
from typing import Generic, NamedTuple, NewType, Protocol, TypedDict, TypeVar, runtime_checkable

from motorpool import ParallelRunner, node, pipeline

FILE = getattr(sys.modules["__main__"], "__file__", None)  # cells of a notebook have none


class Point:
    __slots__ = ("__hidden", "x", "y")

    def __init__(self, x, y):
        self.x, self.y, self.__hidden = x, y, x * y

    def area(self):
        return self.__hidden


class Colour(enum.Enum):
    RED = 1
    BLUE = 2
    CRIMSON = 1


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Row:
    a: int
    tags: tuple = ()


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    b: "Row"


class Circle:
    made = 0

    def __init__(self, radius):
        self.radius = radius
        type(self).made += 1

    @functools.cached_property
    def area(self):
        return 3 * self.radius**2

    @functools.lru_cache  # noqa: B019, that is the point
    def scaled(self, by):
        return self.radius * by

    @functools.singledispatchmethod
    def grown(self, by):
        return "?"

    @grown.register
    def _(self, by: int):
        return self.radius + by


class Shape(abc.ABC):
    @abc.abstractmethod
    def name(self): ...


class Square(Shape):
    def name(self):
        return "square of " + super().__class__.__name__


@Shape.register
class Foreign:
    pass


@runtime_checkable
class Named(Protocol):
    def name(self): ...


class Operation(enum.Enum):
    """Its values do not equal their copies."""

    DOUBLE = (operator.mul, object())

    def __call__(self, value):
        return self.value[0](value, 2)


class Only:
    """There is one of it."""

    one = None

    def __new__(cls):
        if cls.one is None:
            cls.one = super().__new__(cls)
        return cls.one


class Place(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double))


class Registered(type):
    known = []

    def __new__(cls, name, bases, names):
        made = super().__new__(cls, name, bases, names)
        cls.known.append(name)
        return made


class Plugin(metaclass=Registered):
    pass


class Parent:
    pass


class Child(Parent):
    class Toy:
        price = 3


Parent.favourite = Child  # each needs the other


class Fields(TypedDict):
    k: int


class Partial(TypedDict, total=False):
    name: str


class Pair(NamedTuple):
    left: int
    right: int = 5


UserId = NewType("UserId", int)
T = TypeVar("T")


class Box(Generic[T]):
    def __init__(self, value: T):
        self.value = value


class Missing:
    def __reduce__(self):
        return "MISSING"


MISSING = Missing()
ANYTHING = object()
SEEN = []
LIMIT = 7


def default(x=MISSING, y=ANYTHING, seen=SEEN, *, also=SEEN):
    return [x is MISSING, y is ANYTHING, seen is SEEN, also is SEEN]


@functools.singledispatch
def kind(value):
    return "any"


@kind.register
def _(value: int):
    return "int"


@kind.register
def _(value: Colour):
    return "colour " + kind(value.value)


@functools.lru_cache(maxsize=50)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return ["logged", function(*args)]

    return wrapper


@logged
def decorated(x):
    return x + LIMIT


def is_even(n):
    return True if n == 0 else is_odd(n - 1)


def is_odd(n):
    return False if n == 0 else is_even(n - 1)


def squared(n):
    return n * n


class Refused(Exception):
    def __init__(self, code, reason):
        super().__init__(code, reason)
        self.code = code


def types(n):
    main = sys.modules["__main__"]
    return {
        "slots": [Point(2, n).area(), hasattr(Point(1, 2), "__dict__")],
        "enumeration": [
            Colour(1) is Colour.RED,
            Colour.CRIMSON is Colour.RED,
            Colour["CRIMSON"].name,
        ],
        "flags": [(Mode.READ | Mode.WRITE) is Mode(3), Mode.READ in Mode(3)],
        "dataclass": [Row(1) == Row(1), len({Row(1), Row(1)}), repr(Slotted(1, Row(2)))],
        "hints": [t.__name__ for t in typing.get_type_hints(Slotted).values()],
        "of functions": [Operation.DOUBLE(n), Operation["DOUBLE"] is Operation.DOUBLE],
        "only one": Only() is Only.one,
        "structure": [Place(n, 0.5).x, Place(n, 0.5).y],
        "cached method": Circle(n).scaled(2),
        "cached property": [Circle(n).area, Circle(2).grown(1), Circle(2).grown("x")],
        "abstract": [Square().name(), issubclass(Foreign, Shape), isinstance(Square(), Named)],
        "metaclass": [type(Plugin).__name__, isinstance(Plugin(), Plugin)],
        "cycle": [Parent.favourite is Child, issubclass(Child, Parent), Child.Toy.price],
        "typed dict": [Fields(k=n), Partial(), sorted(Partial.__optional_keys__)],
        "named tuple": [list(Pair(n)), Pair(1) == (1, 5), Pair._fields],
        "new type": [UserId(n), UserId.__supertype__.__name__],
        "generic": [Box[int](n).value, Box.__parameters__ == (T,)],
        "identity": default(),
        "dispatch": [kind(n), kind("x"), kind(Colour.RED)],
        "cache": [fibonacci(30), fibonacci.cache_info().maxsize],
        "decorator": [decorated(n), decorated.__wrapped__(n)],
        "recursion": [is_even(10), is_odd(10)],
        "module": [
            main.Point is Point,
            main.squared is squared,
            __name__,
            getattr(main, "__file__", None) == FILE,
            getattr(main, "__spec__", None) is None,
        ],
        "by name": [
            pickle.loads(pickle.dumps(v)) is v for v in (Point, Colour.RED, squared, kind, MISSING)
        ],
    }


def pools(n):
    with multiprocessing.get_context("fork").Pool(1) as workers:
        first = workers.map(squared, range(n))
    found = []
    for method in ["fork", "forkserver", "spawn"] if FILE else ["fork"]:  # others run a file again
        with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as workers:
            found.append(workers.submit(Row, n).result() == Row(n))
    return [first, *found]


def dump(path):
    with open(path, "wb") as file:
        pickle.dump([Colour.BLUE, Row(3), squared], file)
    return path


def load(path):
    with open(path, "rb") as file:
        colour, row, function = pickle.load(file)
    return [colour is Colour.BLUE, row == Row(3), function is squared]


def values(n):
    return [
        Point(n, 2),
        Colour.RED,
        Row(n),
        Circle(n),
        Square(),
        Pair(n),
        Box(n),
        MISSING,
        squared,
        lambda: LIMIT,
        Operation.DOUBLE,
        Only(),
        Place(n, 0.5),
    ]


def describe(values):
    point, colour, row, circle, square, pair, box, missing, function, closure = values[:10]
    operation, only, place = values[10:]
    return [
        type(point) is Point,
        point.area(),
        colour is Colour.RED,
        row == Row(3),
        circle.area,
        isinstance(square, Shape),
        type(pair) is Pair,
        type(box) is Box,
        missing is MISSING,
        function is squared,
        closure(),
        operation is Operation.DOUBLE,
        only is Only(),
        [type(place) is Place, place.x],
    ]


def add(n, by):
    return n + by.radius


def look(circle):
    return [circle.area, type(circle).__name__, type(circle).__module__]


def refuse(n):
    raise Refused(n, "not today")


def main(backend, folder):
    nodes = [
        node(types, "n", "types"),
        node(pools, "n", "pools"),
        node(dump, "path", "file"),
        node(load, "file", "loaded"),
        node(values, "n", "values"),
        node(describe, "values", "described"),
        node(functools.partial(add, by=Circle(4)), "n", "partial"),
        node(lambda circle: circle.area + LIMIT, "circle", "of input"),
    ]
    found = {}
    with ParallelRunner(backend, max_workers=2, runs_folder=False) as runner:
        data = {"n": 3, "path": folder + "/dumped", "circle": Circle(5)}
        result = runner.run(pipeline(nodes), data)
        found |= {name: result[name].load() for name in ("types", "pools", "loaded", "described")}
        found |= {name: result[name].load() for name in ("partial", "of input")}
        found["here"] = describe(runner.run(pipeline([nodes[4]]), data)["values"].load())
        found["dumped here"] = load(data["path"])
        made = runner.run(pipeline([node(lambda n: Circle(n), "n", "made")]), data)
        again = runner.run(pipeline([node(look, "made", "seen")]), {"made": made["made"]})
        found["of another run"] = again["seen"].load()
        try:
            runner.run(pipeline([node(refuse, "n", "never")]), data)
        except Refused as error:
            found["raised"] = [type(error) is Refused, error.code, list(error.args)]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
