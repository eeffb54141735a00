"""What options of `motorpool run` are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motorpool._system.amounts import MEMORY, parse_resources


class Names(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Names with commas in between."""

    name = "a,b,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """Split at the commas."""
        if isinstance(value, list):
            return value
        names = [name.strip() for name in value.split(",") if name.strip()]
        if not names:
            self.fail("it names nothing; leave the option out to run everything", param, ctx)
        return names


class Numbers(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Positive whole numbers with commas in between."""

    name = "1,2,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> list[int]:
        """Split at the commas."""
        if isinstance(value, list):
            return value
        try:
            numbers = [int(text) for text in value.split(",")]
        except ValueError:
            numbers = []
        if not numbers or min(numbers) < 1:
            self.fail(f"{value!r} is not of the form 1,2,4, with numbers from 1", param, ctx)
        return numbers


class Assignment(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A backend's option."""

    name = "name=value"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        """Split at the equals sign."""
        if isinstance(value, tuple):
            return value
        name, separator, text = value.partition("=")
        if not separator or not name:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        return name, text


class Amount(Assignment):
    """What there is of a resource."""

    name = "name=amount"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Split at the equals sign, and read the amount."""
        name, text = super().convert(value, param, ctx)
        try:
            amount = text if name == MEMORY else float(text)
            parse_resources({name: amount})
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return name, amount


class OutputFile(click.Path):
    """A file that can be written, in a folder that is there."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """As a path."""
        path = Path(str(super().convert(value, param, ctx)))
        if not path.absolute().parent.is_dir():
            self.fail(f"there is no folder to write {str(path)!r} to", param, ctx)
        return path
