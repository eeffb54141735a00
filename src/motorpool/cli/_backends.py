"""`motorpool backends`."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from motorpool import registry
from motorpool._options import describe, option_types


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backends(as_json: bool) -> None:
    """List the installed backends: what they can do, their options, and what is broken."""
    rows = [_row(info) for info in registry.listing()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "from", "isolation", "can", "options"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        options = "\n".join(
            escape(f"{o['name']}: {o['type']} = {o['default']}") for o in row["options"]
        )
        can = ", ".join(name.replace("_", " ") for name, able in row["can"].items() if able)
        if row["error"]:
            can = f"[red]broken:[/] {escape(row['error'])}"
        origin = escape(", ".join(row["distributions"]))
        table.add_row(f"[bold]{escape(row['name'])}[/]", origin, row["isolation"], can, options)
    Console().print(table)


def _row(info: registry.BackendInfo) -> dict[str, Any]:
    capabilities: dict[str, Any] = {}
    options: list[dict[str, Any]] = []
    if info.backend is not None:
        capabilities = dataclasses.asdict(info.backend.capabilities)
        kind = info.backend.options_type
        defaults = {f.name: f.default for f in dataclasses.fields(kind)} if kind else {}
        options = [
            {"name": name, "type": describe(hint), "default": _default(defaults[name])}
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


def _default(value: Any) -> Any:
    plain = value is None or isinstance(value, bool | int | float | str)
    return value if plain else str(value)
