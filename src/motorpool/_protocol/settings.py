"""Settings of a process that nodes find in workers as they are in the driver when a run starts.

Each is captured in the driver as a function and its argument; a worker calls the function before
the first node of the run. Plug-ins add theirs by the hook `motorpool_capture_settings`.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import locale
import multiprocessing
import os
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from motorpool._system.module_files import apply_places, misplaced_modules
from motorpool._system.starting import environment, hide_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # A function, and what workers call it with.
    Setting = tuple[Callable[[Any], object], Any]

# The environment that was applied last: what it had and the next one has not, is removed.
_applied_environment: dict[Any, Any] = {}
_first_processors: frozenset[int] | None = None
_processors_changed = False


def capture_settings() -> list[Setting]:
    """The settings of this process, in the order in which workers should apply them."""
    settings: list[Setting] = [
        (apply_environment, environment()),
        (apply_folder, _folder()),
        (apply_interpreter, _interpreter()),
        (apply_places, misplaced_modules()),
        (apply_mask, _mask()),
        (apply_limits, _limits()),
        (apply_timezone, (time.tzname, time.timezone, time.altzone)),
        (apply_affinity, _affinity()),
        (apply_locale, locale.setlocale(locale.LC_ALL)),
        (apply_authentication, bytes(multiprocessing.current_process().authkey)),
        (apply_start_method, multiprocessing.get_start_method(allow_none=True)),
        (apply_warnings, list(warnings.filters)),
    ]
    if "tempfile" in sys.modules:
        settings.append((apply_temporary_folder, sys.modules["tempfile"].tempdir))
    if "socket" in sys.modules:
        settings.append((apply_socket_timeout, sys.modules["socket"].getdefaulttimeout()))
    if "pandas" in sys.modules:
        settings.append((apply_pandas, _pandas_options()))
    return settings


def apply_environment(variables: Mapping[Any, Any]) -> None:
    """Set variables, and remove those of the environment before that are none any more.

    A worker may have more, from its pool or from libraries: these stay.

    Args:
        variables: As the system has them, so in bytes on POSIX.
    """
    hide_variables(variables)
    for name in _applied_environment.keys() - variables.keys():
        os.environ.pop(os.fsdecode(name), None)
    for name, value in variables.items():
        if _applied_environment.get(name) != value:
            os.environ[os.fsdecode(name)] = os.fsdecode(value)
    _applied_environment.clear()
    _applied_environment.update(variables)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109, as short
    except OSError:  # it was removed
        return None


def apply_folder(folder: str | None) -> None:
    """Change the working directory; one that is gone is left to the nodes that need it."""
    if folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(folder)


def _interpreter() -> dict[str, Any]:
    return {
        "path": list(sys.path), "argv": list(sys.argv), "recursion": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(), "interval": sys.getswitchinterval(),
        "no_bytecode": sys.dont_write_bytecode, "gc": (gc.isenabled(), gc.get_threshold()),
    }  # fmt: skip


def apply_interpreter(state: Mapping[str, Any]) -> None:
    """Set what `sys` and `gc` keep."""
    sys.path[:] = state["path"]
    sys.argv[:] = state["argv"]
    with contextlib.suppress(RecursionError):  # this frame is deeper than that
        sys.setrecursionlimit(state["recursion"])
    sys.set_int_max_str_digits(state["digits"])
    sys.setswitchinterval(state["interval"])
    sys.dont_write_bytecode = state["no_bytecode"]
    enabled, threshold = state["gc"]
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*threshold)


def _mask() -> int:
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return mask


def apply_mask(mask: int) -> None:
    """Set the mask of permissions of new files."""
    os.umask(mask)


def _limits() -> dict[str, tuple[int, int]]:
    if os.name != "posix":
        return {}
    import resource  # noqa: PLC0415, there is none on Windows

    return {name: resource.getrlimit(number) for name, number in _limit_numbers()}


@functools.cache
def _limit_numbers() -> list[tuple[str, int]]:
    import resource  # noqa: PLC0415, as above

    names = [name for name in dir(resource) if name.startswith("RLIMIT_") and "CPU" not in name]
    return [(name, getattr(resource, name)) for name in names]


def apply_limits(limits: Mapping[str, tuple[int, int]]) -> None:
    """Set the limits of resources, as far as the system lets an ordinary user."""
    if not limits:
        return
    import resource  # noqa: PLC0415, as above

    for name, limit in limits.items():
        number = getattr(resource, name, None)
        if number is not None and resource.getrlimit(number) != limit:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(number, limit)


def apply_timezone(zone: tuple[tuple[str, str], int, int]) -> None:
    """Let the variable TZ have its effect, if it has it in the driver."""
    if zone != (time.tzname, time.timezone, time.altzone) and hasattr(time, "tzset"):
        time.tzset()


def _processors() -> frozenset[int] | None:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _affinity() -> frozenset[int] | None:
    """The processors that this thread may run on, if they have been others before; else None.

    A pool may bind each worker to its own.
    """
    global _first_processors, _processors_changed  # noqa: PLW0603, once a process
    processors = _processors()
    _first_processors = _first_processors or processors
    _processors_changed = _processors_changed or processors != _first_processors
    return processors if _processors_changed else None


def apply_affinity(processors: frozenset[int] | None) -> None:
    """Set the processors that a node may run on."""
    if processors and processors != _processors():
        with contextlib.suppress(OSError):  # another host, which has not so many
            os.sched_setaffinity(0, processors)


def apply_temporary_folder(folder: str | None) -> None:
    """Set where `tempfile` makes files, if there is such a folder here."""
    tempfile: Any = importlib.import_module("tempfile")
    if tempfile.tempdir != folder and (folder is None or os.path.isdir(folder)):  # noqa: PTH112, as short
        tempfile.tempdir = folder


def apply_socket_timeout(seconds: float | None) -> None:
    """Set how long (s) new sockets wait; None for as long as it takes."""
    importlib.import_module("socket").setdefaulttimeout(seconds)


def apply_locale(name: str) -> None:
    """Set the locale, if there is such a one here."""
    if locale.setlocale(locale.LC_ALL) != name:
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, name)


def apply_authentication(key: bytes) -> None:
    """Set the key by which processes know each other: a manager and those that it serves."""
    multiprocessing.current_process().authkey = key


def apply_start_method(method: str | None) -> None:
    """Let pools that a node starts start their processes as those of the driver do."""
    if multiprocessing.get_start_method(allow_none=True) != method:
        with contextlib.suppress(ValueError):
            multiprocessing.set_start_method(method, force=True)


def apply_warnings(filters: list[Any]) -> None:
    """Set the filters of warnings."""
    if warnings.filters != filters:
        warnings.resetwarnings()
        warnings.filters[:] = filters  # type: ignore[index]


def _pandas_options() -> dict[str, Any]:
    """The options of pandas that are not as they are by default.

    The public way takes 200 us, and warns of options that are deprecated.
    """
    config = sys.modules.get("pandas._config.config")
    registered = getattr(config, "_registered_options", {})
    found = {}
    for name, value in _flat(getattr(config, "_global_config", {})).items():
        option = registered.get(name)
        if option is not None and value is not option.defval and value != option.defval:
            found[name] = value
    return found


def _flat(options: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in options.items():
        place = before + name
        found |= _flat(value, place + ".") if isinstance(value, dict) else {place: value}
    return found


def apply_pandas(options: Mapping[str, Any]) -> None:
    """Set the options of pandas, all others as they are by default."""
    if not options and "pandas" not in sys.modules:
        return
    pandas = importlib.import_module("pandas")  # the driver has it
    changed = _pandas_options()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in changed.keys() - options.keys():
            pandas.reset_option(name)
        for name, value in options.items():
            if changed.get(name) != value:
                pandas.set_option(name, value)
