"""Finds backends by entry point, and imports only the one that is asked for.

pluggy's own loader skips a second distribution with the same entry name in silence, and one
plug-in that fails to import keeps all others from loading; hence the small loop here.
"""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motorpool._options import flaw_of_type
from motorpool._system.signals import Interrupts
from motorpool.backend import API_VERSION, Capabilities, ExecutorBackend, Isolation
from motorpool.errors import (
    BackendError,
    BackendOptionError,
    BrokenBackendError,
    DuplicateBackendError,
    UnknownBackendError,
    unknown_names,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from importlib.metadata import EntryPoint

__all__ = ["BackendInfo", "get", "listing", "resolve"]

GROUP = "motorpool.backends"
_OWN = "motorpool._backends."
_loaded: dict[tuple[str, ...], type[ExecutorBackend]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """An installed backend, or what claims to be one.

    Attributes:
        name: What people write to choose it.
        distributions: Name and version of each distribution that claims the name.
        backend: The class, or None if it is broken.
        error: What is wrong with it, or None.
    """

    name: str
    distributions: tuple[str, ...]
    backend: type[ExecutorBackend] | None
    error: str | None


def get(name: str) -> type[ExecutorBackend]:
    """Import the plug-in of a backend, and return the backend's class.

    Raises:
        UnknownBackendError: If no installed distribution has it; suggests the nearest.
        DuplicateBackendError: If several do.
        BrokenBackendError: If the plug-in fails to import or to register.
    """
    key = (name, *sys.path)
    if key not in _loaded:  # to read the metadata of all that is installed takes 5 ms
        _loaded[key] = _find(name)
    return _loaded[key]


def names() -> list[str]:
    """Names of the installed backends; reads metadata and imports nothing."""
    return sorted(_entry_points())


def listing() -> list[BackendInfo]:
    """All installed backends, with what is wrong with those that are broken."""
    infos = []
    for name, claims in sorted(_entry_points().items()):
        backend, error = None, None
        try:
            backend = get(name)
        except BackendError as problem:
            error = str(problem)
        used = _used(claims)
        infos.append(
            BackendInfo(
                name=name, distributions=tuple(map(_origin, used)), backend=backend, error=error
            )
        )
        infos += [_usurper(entry) for entry in claims if entry not in used]
    return infos


def _usurper(entry: EntryPoint) -> BackendInfo:
    """What is said of a plug-in that claims a name of ours."""
    error = (
        f"{_where(entry)} has a name that is Motorpool's own, which goes on working. Its authors "
        "have to rename its entry point."
    )
    origins = (_origin(entry),)
    return BackendInfo(name=entry.name, distributions=origins, backend=None, error=error)


def resolve(
    backend: str | ExecutorBackend | Executor, options: dict[str, Any] | None = None
) -> ExecutorBackend:
    """Make a backend of whatever a runner was given.

    Args:
        backend: A name, a backend, or any executor, which stays the caller's own.
        options: The options of a backend that is given by name.

    Raises:
        BackendError: If there is no such backend, or it cannot be used so.
        BackendOptionError: If options do not fit, or are given for something that has its own.
    """
    if isinstance(backend, str):
        return get(backend)(**options or {})
    from concurrent.futures import Executor  # noqa: PLC0415, takes 5 ms

    if isinstance(backend, type) and issubclass(backend, ExecutorBackend):
        raise BackendError(f"Pass {backend.__name__}(), an instance, not the class.")
    if options:
        raise BackendOptionError(
            f"The options {sorted(options)} go to the backend itself, before it is passed: they "
            "can only be filled in for a backend that is given by name."
        )
    if isinstance(backend, ExecutorBackend):
        if problem := _flaw(type(backend)):
            raise BrokenBackendError(f"The backend {backend!r} {problem}.", backend=backend.name)
        return backend
    if isinstance(backend, Executor):
        from motorpool._backends.adapter import AdoptedBackend  # noqa: PLC0415, few need it

        return AdoptedBackend(backend)
    raise BackendError(
        f"backend must be a name ({', '.join(names())}), a backend or an executor, not "
        f"{backend!r}."
    )


def _find(name: str) -> type[ExecutorBackend]:
    found = _entry_points()
    if name not in found:
        raise UnknownBackendError(
            unknown_names("backend", [name], found)
            + " Others come as packages of their own, such as motorpool-loky.",
            backend=name,
        )
    claims = _used(found[name])
    if len(claims) > 1:
        raise DuplicateBackendError(
            f"The backend name {name!r} is claimed by {' and by '.join(map(_origin, claims))}. "
            "Uninstall one of them.",
            backend=name,
        )
    return _load(claims[0])


def _entry_points() -> dict[str, list[EntryPoint]]:
    from importlib.metadata import entry_points  # noqa: PLC0415, takes 15 ms

    found: dict[str, list[EntryPoint]] = {}
    try:
        entries = list(entry_points(group=GROUP))
    except Exception:  # noqa: BLE001, one file that is damaged keeps all others from being read
        entries = _readable_entry_points()
    for entry in entries:
        found.setdefault(entry.name, []).append(entry)
    return found


def _readable_entry_points() -> list[EntryPoint]:
    """The entry points of those distributions that have sound ones; the others are logged."""
    from importlib.metadata import distributions  # noqa: PLC0415, as above

    found: list[EntryPoint] = []
    for distribution in distributions():
        try:
            found += distribution.entry_points.select(group=GROUP)
        except Exception as error:  # noqa: BLE001, whatever reading them raises
            _report_unreadable(distribution.metadata["Name"], f"{type(error).__name__}: {error}")
    return found


@functools.cache  # once
def _report_unreadable(distribution: str, reason: str) -> None:
    import logging  # noqa: PLC0415, takes 7 ms

    logging.getLogger("motorpool").warning(
        "The entry points of %s cannot be read, so that its backends are left out: %s",
        distribution, reason,
    )  # fmt: skip


def _used(claims: list[EntryPoint]) -> list[EntryPoint]:
    """Those that count of the entry points of one name: our own before all others."""
    own = [entry for entry in claims if entry.value.startswith(_OWN)]
    return own[:1] or claims


def _where(entry: EntryPoint) -> str:
    return f"The backend {entry.name!r} of {_origin(entry)}"


def _origin(entry: EntryPoint) -> str:
    if entry.dist is None:
        return f"an unnamed distribution ({entry.value})"
    return f"{entry.dist.metadata['Name']} {entry.dist.version}"


def _load(entry: EntryPoint) -> type[ExecutorBackend]:
    from motorpool.hookspecs import backend_plugins  # noqa: PLC0415, pluggy takes 25 ms

    where = _where(entry)
    if not entry.name.strip() or len(entry.name.split()) > 1:
        raise BrokenBackendError(
            f"{where} has a name with blanks, which nobody can write on a command line. Its "
            "authors have to rename its entry point.",
            backend=entry.name,
        )
    plugin = _import(entry, where)
    manager = backend_plugins()
    try:
        manager.register(plugin, name=entry.name)
        manager.check_pending()
        registered = manager.hook.motorpool_register_backend()
    except (Exception, SystemExit) as error:
        raise BrokenBackendError(
            f"{where} cannot be registered: {type(error).__name__}: {error}. A plug-in implements "
            "the hook motorpool_register_backend, marked with @motorpool.hookimpl.",
            backend=entry.name,
        ) from error
    if len(registered) != 1:
        raise BrokenBackendError(
            f"{where} registers nothing: {entry.value} needs a function "
            "motorpool_register_backend, marked with @motorpool.hookimpl, that returns the class.",
            backend=entry.name,
        )
    _check(registered[0], entry.name, where)
    return registered[0]  # type: ignore[no-any-return]


def _import(entry: EntryPoint, where: str) -> Any:
    try:
        with Interrupts(lambda: None, active=True):  # half of an import spoils the next
            return entry.load()
    except (Exception, SystemExit) as error:
        raise BrokenBackendError(
            f"{where} cannot be imported: {type(error).__name__}: {error}. Reinstall it, or tell "
            "its authors.",
            backend=entry.name,
        ) from error


def _check(backend: Any, name: str, where: str) -> None:
    """Check a registered class; a class without a name gets that of its entry point."""
    problem = None
    if not (isinstance(backend, type) and issubclass(backend, ExecutorBackend)):
        problem = f"returns {backend!r}, which is no subclass of motorpool.ExecutorBackend"
    elif inspect.isabstract(backend):
        missing = ", ".join(sorted(backend.__abstractmethods__))
        problem = f"returns {backend.__name__}, which lacks the method {missing}"
    elif backend.api_version != API_VERSION:
        problem = (
            f"is written for version {backend.api_version} of the contract, and this Motorpool "
            f"has version {API_VERSION}; install a matching one"
        )
    elif backend.name not in {"", name}:
        problem = f"calls itself {backend.name!r} in {backend.__name__}.name; make them equal"
    else:
        problem = _flaw(backend)
    if problem:
        raise BrokenBackendError(f"{where} {problem}.", backend=name)
    backend.name = name


def _flaw(backend: type[ExecutorBackend]) -> str | None:
    """What is wrong with a backend's class, in words, if anything is."""
    able = backend.capabilities
    if not isinstance(able, Capabilities) or not isinstance(able.isolation, Isolation):
        return (
            f"has the capabilities {able!r}; write Capabilities(isolation=Isolation.PROCESS, ...)"
        )
    try:
        inspect.signature(backend._get_executor).bind(None, 1)  # noqa: SLF001, ours
    except TypeError:
        return "has a _get_executor that does not take the number of workers"
    return flaw_of_type(backend.options_type)
