"""The hooks that run in workers, pickled."""

from __future__ import annotations

import contextlib
import importlib
import pickle
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from motorpool._protocol.problem import Problem
from motorpool._protocol.settings import apply_warnings, capture_settings
from motorpool.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from motorpool._protocol.host import Host
    from motorpool._protocol.settings import Setting

# Settings that are as in the run before, as nearly always, are not pickled again.
_last_settings: list[Any] = [None, b""]
# The hooks that run where the node runs.
WORKER_HOOKS = frozenset({
    "after_dataset_loaded", "after_dataset_saved", "after_node_run", "before_dataset_loaded",
    "before_dataset_saved", "before_node_run", "motorpool_worker_started", "on_node_error",
})  # fmt: skip


def pickle_hooks(
    manager: Any, dumps: Callable[[Any], bytes], host: Host | None
) -> tuple[bytes | None, list[Problem]]:
    """Pickle the plug-ins of a hook manager that have something to do in workers.

    Args:
        manager: The hook manager, or None.
        dumps: The backend's.
        host: The framework that the run belongs to; it may have a stand-in for a plug-in.

    Returns:
        The pickle or None, and what cannot be pickled.
    """
    plugins, specs, problems = [], {}, []
    for name, plugin in getattr(manager, "list_name_plugin", list)():
        callers = (manager.get_hookcallers(plugin) or []) if plugin is not None else []
        used = [caller for caller in callers if caller.name in WORKER_HOOKS]
        if not used:
            continue
        carried = _carried(name, plugin, dumps, host)
        if isinstance(carried, Problem):
            problems.append(carried)
        else:
            plugins.append(carried)
            specs.update(_specs_of(used))
    if not plugins:
        return None, problems
    return dumps((manager.project_name, list(specs.values()), plugins)), problems


def _carried(
    name: str, plugin: Any, dumps: Callable[[Any], bytes], host: Host | None
) -> tuple[bool, Any] | Problem:
    """What a plug-in is pickled as, and whether that is the name of a module; or why it is not."""
    if isinstance(plugin, ModuleType):  # workers import it; not every pickler does so
        return True, plugin.__name__
    try:
        dumps(plugin)
    except Exception as error:  # noqa: BLE001, whatever pickling raises is the reason
        stand_in = None if host is None else host.stand_in(plugin)
        if stand_in is not None:
            return False, stand_in
        text = (
            f"the hooks {name!r} cannot be pickled: {type(error).__name__}: {error}. Workers "
            "need a copy: keep connections and open files out of the object."
        )
        return Problem(text, plugin)
    return False, plugin


def pickle_settings(manager: Any, dumps: Callable[[Any], bytes]) -> tuple[bytes, list[Problem]]:
    """Pickle the settings of this process, and those that plug-ins capture.

    Returns:
        The pickle, and what cannot be pickled.

    Raises:
        ValidationError: If a plug-in returns something else than settings.
    """
    settings = capture_settings()
    own = len(settings)
    capture = getattr(getattr(manager, "hook", None), "motorpool_capture_settings", None)
    problems = []
    for captured in capture() if capture is not None else ():
        for setting in captured if isinstance(captured, Iterable) else (captured,):
            what = f"the setting {setting!r} of a motorpool_capture_settings hook"
            if not _is_setting(setting):
                raise ValidationError(
                    f"{what} is no pair. The hook returns a list of pairs: a function, and what "
                    "workers are to call it with."
                )
            try:
                dumps(setting)
                settings.append(setting)
            except Exception as error:  # noqa: BLE001, whatever pickling raises is the reason
                text = f"{what} cannot be pickled: {type(error).__name__}: {error}."
                problems.append(Problem(text, setting))
    return _dumps_settings(settings, dumps, len(settings) == own), problems


def _is_setting(setting: Any) -> bool:
    return isinstance(setting, tuple) and len(setting) == 2 and callable(setting[0])  # noqa: PLR2004, a pair


def _dumps_settings(
    settings: list[Setting], dumps: Callable[[Any], bytes], are_known: bool
) -> bytes:
    """Pickle settings: in a quarter of the time if they have nothing that needs more.

    Args:
        settings: The settings.
        dumps: The backend's.
        are_known: Whether they are ours only, which can be compared with those of the run before.
    """
    known, pickled = _last_settings
    if are_known and settings == known:
        return bytes(pickled)
    with contextlib.suppress(Exception):
        data = pickle.dumps(settings, 5)
        if not _needs_script(settings, data):
            if are_known:
                _last_settings[:] = settings, data
            return data
    return dumps(settings)


def _needs_script(settings: list[Setting], data: bytes) -> bool:
    """Whether settings refer to what the user's script defines.

    Python's own filters of warnings name `__main__`, as a text.
    """
    if b"__main__" not in data:
        return False
    filters = [value for apply, value in settings if apply is apply_warnings]
    others = [setting for setting in settings if setting[0] is not apply_warnings]
    categories = [getattr(each[2], "__module__", "") for value in filters for each in value]
    return "__main__" in categories or b"__main__" in pickle.dumps(others, 5)


def load_hooks(data: bytes | None, loads: Callable[[bytes], Any]) -> pluggy.PluginManager | None:
    """Make a hook manager like the driver's."""
    if data is None:
        return None
    project_name, specs, plugins = loads(data)
    manager = pluggy.PluginManager(project_name)
    for namespace in specs:
        manager.add_hookspecs(namespace)
    for is_module, plugin in plugins:
        manager.register(importlib.import_module(plugin) if is_module else plugin)
    return manager


def _specs_of(callers: Iterable[Any]) -> dict[int, Any]:
    return {id(c.spec.namespace): c.spec.namespace for c in callers if c.spec}
