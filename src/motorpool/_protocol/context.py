"""The context that each node begins with: context variables, decimal's and numpy's among them.

All nodes have the driver's, as it was when the run started, whatever other nodes have done to
theirs, and wherever they run.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import logging
import pickle
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from motorpool._store import want_global

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_logger = logging.getLogger("motorpool")
# As numpy is when it is imported.
_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
# Variables of libraries whose values are captured by the libraries' own functions.
_DECIMAL = "decimal_context"
_LIBRARIES = (_DECIMAL, "numpy.")
# What a context of decimal is like if nobody has changed anything.
_USUAL = (
    "Context(prec=28, rounding=ROUND_HALF_EVEN, Emin=-999999, Emax=999999, capitals=1, clamp=0, "
    "flags=[], traps=[InvalidOperation, DivisionByZero, Overflow])"
)
# Where variables have been found, or ("", "") for nowhere; a search takes milliseconds.
_places: dict[contextvars.ContextVar[Any], tuple[str, str]] = {}


class NodeContext:
    """Runs nodes, each in a copy of a context.

    Args:
        context: The context; it is not changed.
    """

    def __init__(self, context: contextvars.Context) -> None:
        self._context = context
        # Where it is not set, each copy gets one of its own when a node asks for it.
        is_set = (value for name, value in context.items() if name.name == _DECIMAL)
        self._decimal = next((value.copy() for value in is_set), None)
        # numpy 1 keeps these for each thread, and not in the context.
        old = int(getattr(sys.modules.get("numpy"), "__version__", "2").partition(".")[0]) < 2  # noqa: PLR2004
        self._errors = sys.modules["numpy"].geterr() if old else None

    def run(self, function: Callable[[], Any]) -> Any:
        """Call a function."""
        return self.copy().run(function)

    def copy(self) -> contextvars.Context:
        """A context for one node."""
        context = self._context.copy()
        if self._decimal is not None:  # an object, which may be changed in place
            context.run(sys.modules["decimal"].setcontext, self._decimal.copy())
        if self._errors is not None:
            sys.modules["numpy"].seterr(**self._errors)
        return context


def _decimal() -> Any:
    """Decimal's context of this thread, if it is not as decimal has made it."""
    decimal = sys.modules.get("decimal")
    found = None if decimal is None else decimal.getcontext().copy()
    return None if repr(found) == _USUAL else found


class CapturedContext(NamedTuple):
    """What of a context travels.

    Attributes:
        decimal: Decimal's context, pickled; None if it is the usual one, or there is none.
        numpy: How numpy treats errors, and how it prints; what is so by default is left out.
        variables: Of each variable that has a name in a module: the module, the name, and its
            value's pickle.
    """

    decimal: bytes | None
    numpy: dict[str, Any]
    variables: list[tuple[str, str, bytes]]

    @classmethod
    def loads(cls, data: bytes, loads: Callable[[bytes], Any]) -> contextvars.Context:
        """Make a context like one that was captured.

        Args:
            data: A pickle of this class.
            loads: The backend's, for the values of variables.
        """
        captured: CapturedContext = pickle.loads(data)
        context = contextvars.Context()
        context.run(captured._restore, loads)
        return context

    def _restore(self, loads: Callable[[bytes], Any]) -> None:
        if self.decimal is not None:
            value = pickle.loads(self.decimal)
            sys.modules["decimal"].setcontext(value)
        if self.numpy or "numpy" in sys.modules:
            numpy = importlib.import_module("numpy")
            numpy.seterr(**self.numpy.get("errors", _NUMPY_ERRORS))
            if "printing" in self.numpy:
                numpy.set_printoptions(**self.numpy["printing"])
        for module, name, value in self.variables:
            try:
                getattr(importlib.import_module(module), name).set(loads(value))
            except Exception:  # noqa: BLE001, it is of no use to nodes whose module is not there
                _logger.debug("The context variable %s.%s cannot be set", module, name)


def capture_context(dumps: Callable[[Any], bytes]) -> CapturedContext:
    """Capture this thread's context."""
    decimal = _decimal()
    return CapturedContext(
        None if decimal is None else pickle.dumps(decimal), _numpy(), list(_variables(dumps))
    )


def _numpy() -> dict[str, Any]:
    numpy = sys.modules.get("numpy")
    found: dict[str, Any] = {}
    if numpy is None or not hasattr(numpy, "geterr"):
        return found
    if (errors := numpy.geterr()) != _NUMPY_ERRORS:
        found["errors"] = errors
    printing = numpy.get_printoptions()
    # Before numpy 2.2 they are the process's, and a worker may have others from an earlier run.
    everywhere = "numpy._core.printoptions" not in sys.modules
    if everywhere or printing != contextvars.Context().run(numpy.get_printoptions):
        found["printing"] = {k: v for k, v in printing.items() if k != "override_repr"}
    return found


def _variables(dumps: Callable[[Any], bytes]) -> Iterator[tuple[str, str, bytes]]:
    for variable, value in contextvars.copy_context().items():
        if variable.name.startswith(_LIBRARIES):
            continue
        found = _place_of(variable)
        if found is not None:
            with contextlib.suppress(Exception):  # what cannot be pickled stays here
                yield *found, dumps(value)


def _place_of(variable: contextvars.ContextVar[Any]) -> tuple[str, str] | None:
    """The module and the name of a variable, or None if no module has it."""
    module, name = _places.get(variable, ("?", ""))
    if module and getattr(sys.modules.get(module), name, None) is not variable:
        module, name = _places[variable] = next(_search(variable), ("", ""))
    if module == "__main__":
        want_global(name)
    return (module, name) if module else None


def _search(variable: contextvars.ContextVar[Any]) -> Iterator[tuple[str, str]]:
    for module_name, module in list(sys.modules.items()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is variable and module_name != "__mp_main__":
                yield module_name, name
