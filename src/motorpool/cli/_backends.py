"""`motorpool backends`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from motorpool import registry
from motorpool._options import describe, option_types

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--check", is_flag=True, help="Exit with 1 if one of them is broken.")
def backends(as_json: bool, check: bool) -> int:
    """List the installed backends: what they can do, their options, and what is broken."""
    rows = [_row(info) for info in registry.listing()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _show(rows)
    return int(check and any(row["error"] for row in rows))


def _show(rows: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    for row in rows:
        origin = escape(", ".join(row["distributions"]))
        console.print(
            f"[bold]{escape(row['name'])}[/]  {row['isolation']}  {origin}", soft_wrap=True
        )
        if row["error"]:
            console.print(f"    [red]broken:[/] {escape(row['error'])}", soft_wrap=True)
        can = ", ".join(name.replace("_", " ") for name, able in row["can"].items() if able)
        if can:
            console.print(f"    can: {can}", soft_wrap=True)
        for option in row["options"]:
            text = f"    -o {option['name']}={option['default']}  ({option['type']})"
            console.print(escape(text), soft_wrap=True)


def _row(info: registry.BackendInfo) -> dict[str, Any]:
    capabilities: dict[str, Any] = {}
    options: list[dict[str, Any]] = []
    if info.backend is not None:
        capabilities = dataclasses.asdict(info.backend.capabilities)
        kind = info.backend.options_type
        fields = {f.name: f for f in dataclasses.fields(kind)} if kind else {}
        options = [
            {"name": name, "type": _shown(describe, hint), "default": _default(fields[name])}
            for name, hint in option_types(kind).items()
        ]
    isolation = capabilities.pop("isolation", None)
    return {
        "name": info.name,
        "distributions": list(info.distributions),
        "isolation": isolation.value if isolation else "",
        "can": capabilities,
        "options": options,
        "error": info.error,
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        try:
            value = field.default_factory()
        except Exception as error:  # noqa: BLE001, the plug-in's code
            return f"[{type(error).__name__}: {error}]"
    plain = value is None or isinstance(value, bool | int | float | str)
    return value if plain else "required" if value is dataclasses.MISSING else _shown(str, value)


def _shown(show: Callable[[Any], str], value: Any) -> str:
    try:
        return show(value)
    except Exception as error:  # noqa: BLE001, the plug-in's code
        return f"[{type(error).__name__}: {error}]"
