"""How commands print. Values from rows and specs may be hostile: they are never markup, and control nothing."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# Control characters, the marks that reorder text, line separators, byte order marks, tags, lone surrogates.
_UNPRINTABLE = re.compile(
    "[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_UNLIMITED = 100_000


def printable(text: str) -> str:
    """Text that a terminal only shows: what could move its cursor or deceive its reader is written as JSON escapes.

    Line breaks stay.
    """
    return _UNPRINTABLE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def one_line(text: str, limit: int | None = None) -> str:
    """As `printable`, line breaks escaped too, and cut at `limit` characters with a mark."""
    line = printable(text).replace("\n", "\\n")
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def say(text: str) -> None:
    """Print what the command was called for."""
    click.echo(printable(text))


def note(text: str) -> None:
    """Print what is worth knowing besides, on stderr: a program that reads the output does not see it."""
    click.echo(printable(text), err=True)


def print_json(value: object) -> None:
    """Print one JSON value. Escapes keep their meaning in JSON, so that it is safe to show and the same to read."""
    click.echo(printable(json.dumps(value, indent=2, ensure_ascii=False)))


def stdout_console() -> Console:
    """A console on the stdout of this moment: plain text with lines as long as they are, unless it is a terminal."""
    from rich.console import Console

    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    return console


def plain_table(*headers: str) -> Table:
    """A table without lines: columns two spaces apart, below bold headers. The last one takes what room there is."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, no_wrap=header != headers[-1])
    return table


def last_cell(text: str, style: str = "") -> Text:
    """A value for the last column of a table: cut where the room ends."""
    from rich.text import Text

    return Text(one_line(text), style=style, no_wrap=True, overflow="ellipsis")
