"""Nodes that raise exceptions of awkward classes; prints what arrives, as JSON.

python exceptions.py BACKEND
"""

import dataclasses
import json
import logging
import sys
import threading

from motorpool import ParallelRunner, node, pipeline


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int
    reason: str


class Slotted(Exception):
    __slots__ = ("place",)

    def __init__(self, place):
        super().__init__("slotted")
        self.place = place


class Refusing(Exception):
    def __setattr__(self, name, value):
        raise TypeError("it is as it is")


class Particular(Exception):
    """Keeps other arguments than it takes."""

    def __init__(self, code, *, reason):
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Holding(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, text):
        super().__init__(text)
        self.lock, self.text = threading.Lock(), text


class Reducing(Exception):
    def __reduce__(self):
        raise RuntimeError("it will not be pickled")


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("it has no text")


def frozen(n):
    raise Frozen(7, "not today")


def slotted(n):
    raise Slotted("here")


def refusing(n):
    raise Refusing("as it is")


def particular(n):
    raise Particular(3, reason="tired")


def holding(n):
    raise Holding("kept")


def argument(n):
    raise ValueError("with a lock", threading.Lock())


def reducing(n):
    raise Reducing("by hand")


def silent(n):
    raise Silent(1)


def caused(n):
    try:
        {}["key"]
    except KeyError as error:
        raise Frozen(1, "caused") from error


def caused_by_a_lock(n):
    raise ValueError("outer") from Holding("inner")


def in_a_circle(n):
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    raise one


def itself(n):
    error = ValueError("itself")
    error.me = error
    raise error


def noted(n):
    error = ValueError("noted")
    error.add_note("of the node")
    raise error


def group(n):
    raise ExceptionGroup("several", [Frozen(1, "a"), Slotted("b"), ValueError("c")])


def system(n):
    open("/no/such/file")


def attribute(n):
    return n.nope


def unbound(n):
    return nope  # noqa: F821, that is the point


def local(n):
    class Local(Exception):
        pass

    raise Local("here only")


def described(error):
    found = {
        "type": type(error).__name__,
        "args": [str(a)[:70].partition(" at 0x")[0] for a in error.args],
    }
    found |= {
        k: v
        for k in ("code", "reason", "place", "text", "errno", "filename", "name")
        if (v := getattr(error, k, None))
    }
    cause = type(error.__cause__).__name__  # a worker's traceback stands behind the last
    found["cause"] = cause if error.__cause__ and cause != "RemoteTraceback" else None
    found["notes"] = [n for n in getattr(error, "__notes__", ()) if not n.startswith("in node")]
    found["where"] = any(n.startswith("in node") for n in getattr(error, "__notes__", ()))
    found["me"] = getattr(error, "me", None) is error
    found["inner"] = [described(e) for e in getattr(error, "exceptions", ())]
    return found


NODES = [
    frozen,
    slotted,
    refusing,
    particular,
    holding,
    argument,
    reducing,
    silent,
    caused,
    caused_by_a_lock,
    in_a_circle,
    itself,
    noted,
    group,
    system,
    attribute,
    unbound,
    local,
]

if __name__ == "__main__":
    logging.disable()
    found = {}
    with ParallelRunner(sys.argv[1], max_workers=1, runs_folder=False) as runner:
        for function in NODES:
            try:
                runner.run(pipeline([node(function, "n", "out")]), {"n": 1})
            except BaseException as error:
                found[function.__name__] = described(error)
    print(json.dumps(found))
