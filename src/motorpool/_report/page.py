"""A page of HTML that needs nothing else: no network, no other file.

Text and tables are HTML. Drawings are made when the page is opened, by Observable Plot and d3,
which are part of it, from data that are part of it as well.
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
from datetime import UTC, datetime
from html import escape
from importlib import resources
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any

from motorpool._system.cgroup import usable_memory
from motorpool._system.process import usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SCRIPTS = ("d3.min.js", "plot.umd.min.js", "page.js")


def document(title: str, body: Iterable[str], data: Mapping[str, Any]) -> str:
    """The page.

    Args:
        title: What it is of.
        body: HTML, piece by piece.
        data: What figures are drawn from, by kind; see `figure`.
    """
    head = escape(title)
    plain = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # ends no element
    scripts = "\n".join(f"<script>{_asset(name)}</script>" for name in _SCRIPTS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{head}</title>\n<style>{_asset('page.css')}</style></head>\n"
        f"<body><main>\n<h1>{head}</h1>\n" + "\n".join(body) + "\n<noscript><p "
        'class="noscript">The drawings need JavaScript; the tables do not.</p></noscript></main>\n'
        f'<script type="application/json" id="data">{plain}</script>\n{scripts}\n</body></html>\n'
    )


def figure(kind: str, caption: str, of: str = "") -> str:
    """A place for a drawing.

    Args:
        kind: `times` (a list of `name`, `kind`, `median`, `low`, `high`), `scaling` (`rows` of
            `name`, `workers`, `median`, `low`, `high`, and `bounds` of `workers`, `seconds`),
            `slower` (a list of `node`, `name`, `seconds`) or `timelines`; durations in seconds.
        caption: What it shows, and how to read it.
        of: Of `timelines`, which one; each has `wall` and what `timeline` returns.
    """
    which = f' data-of="{escape(of)}" class="timeline"' if of else ""
    return (
        f'<figure data-kind="{kind}"{which} aria-label="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """A table, which can be scrolled where it is wider than the screen."""
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    lines = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    header = f"<thead><tr>{top}</tr></thead>" if head else ""
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}">{header}<tbody>{body}</tbody>'
        "</table></div>"
    )


def environment(command: str, modules: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Where and when the figures of a page were made.

    Args:
        command: What has made them.
        modules: What was used; of those that come from distributions, the version is named.
    """
    libraries = _versions(modules)
    return [
        ("command", command),
        ("date", f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC"),
        ("Motorpool", version("motorpool")),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("cores", f"{usable_cores()} that may be used"),
        *([("libraries", libraries)] if libraries else []),
        *([("memory", f"{total / 2**30:.1f} GiB")] if (total := usable_memory()) else []),
    ]


def _versions(modules: Iterable[str]) -> str:
    known = packages_distributions()
    tops = {module.partition(".")[0] for module in modules}
    names = sorted({name for top in tops for name in known.get(top, ())} - {"motorpool"})
    return ", ".join(f"{name} {version(name)}" for name in names)


def command_line() -> str:
    """The command that this process was started with, as it is typed."""
    return shlex.join(["motorpool", *sys.argv[1:]])


def _asset(name: str) -> str:
    return resources.files("motorpool._report").joinpath("assets", name).read_text("utf-8")
