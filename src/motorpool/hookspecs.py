"""All hook specifications of Motorpool, for pluggy.

A plug-in is a module or an object whose functions are marked with `@motorpool.hookimpl`. The hooks
of a run take the names and arguments of Kedro's, run where the node runs, and see the values that
the node sees. An implementation lists only the arguments that it wants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from motorpool.backend import ExecutorBackend
    from motorpool.events import Observer

__all__ = ["create_hook_manager", "hookimpl", "hookspec"]

PROJECT = "motorpool"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class BackendSpecs:
    """The hook behind an entry point in the group `motorpool.backends`."""

    @hookspec
    def motorpool_register_backend(self) -> type[ExecutorBackend]:  # type: ignore[empty-body]
        """Return the backend's class."""


class RunSpecs:
    """The hooks of a run."""

    @hookspec
    def motorpool_register_observers(self) -> Iterable[Observer]:  # type: ignore[empty-body]
        """Return observers for one run; called in the driver, once a run."""

    @hookspec
    def motorpool_capture_settings(self) -> Iterable[tuple[Callable[[Any], object], Any]]:  # type: ignore[empty-body]
        """Return settings that nodes should find in workers as they are here.

        Called in the driver when a run starts. Each is a function and its argument: workers call
        the function before the first node of the run, and again after a run with other settings.
        """

    @hookspec
    def motorpool_worker_started(self, backend: str, run_id: str) -> None:
        """Set up a worker; called in each worker process, once a run, before its first node."""

    @hookspec
    def before_dataset_loaded(self, dataset_name: str, node: Any) -> None:
        """Called before an input of a node is loaded."""

    @hookspec
    def after_dataset_loaded(self, dataset_name: str, data: Any, node: Any) -> None:
        """Called after an input of a node was loaded."""

    @hookspec
    def before_node_run(
        self,
        node: Any,
        catalog: Any,
        inputs: dict[str, Any],
        is_async: bool,
        run_id: str,
        attempt: int,
    ) -> dict[str, Any] | None:
        """Called before a node's function; a returned dict replaces the inputs it names.

        `attempt` is 1 for the first try, 2 for the first retry, and so on.
        """

    @hookspec
    def after_node_run(
        self,
        node: Any,
        catalog: Any,
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        is_async: bool,
        run_id: str,
        attempt: int,
    ) -> None:
        """Called after a node's function has returned, before its outputs are saved."""

    @hookspec
    def on_node_error(
        self,
        error: Exception,
        node: Any,
        catalog: Any,
        inputs: dict[str, Any],
        is_async: bool,
        run_id: str,
        attempt: int,
    ) -> None:
        """Called when a node's function has raised."""

    @hookspec
    def before_dataset_saved(self, dataset_name: str, data: Any, node: Any) -> None:
        """Called before an output of a node is saved."""

    @hookspec
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Any) -> None:
        """Called after an output of a node was saved."""


def backend_plugins() -> pluggy.PluginManager:
    """Make a manager for plug-ins that register backends."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(BackendSpecs)
    return manager


def create_hook_manager(*plugins: object) -> pluggy.PluginManager:
    """Make a hook manager to pass to `run`.

    Args:
        *plugins: Modules or objects with functions marked `@motorpool.hookimpl`.

    Raises:
        pluggy.PluginValidationError: If a plug-in implements no hook, or one that does not exist,
            or wants an argument that its hook does not have; names the plug-in.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(RunSpecs)
    for plugin in plugins:
        manager.register(plugin)
        if not manager.get_hookcallers(plugin):
            raise pluggy.PluginValidationError(
                plugin,
                f"{plugin!r} implements no hook: mark its functions with @motorpool.hookimpl. "
                "Plug-ins of Kedro go to a hook manager of Kedro's, which `run` takes as well.",
            )
    manager.check_pending()
    return manager
