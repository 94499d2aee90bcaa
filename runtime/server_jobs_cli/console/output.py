"""Output of commands. Values from rows and specs may be hostile, so they are escaped and never read as markup."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from server_jobs.domain.suggestions import closest

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text


# Control characters, the marks that reorder text, line separators, byte order marks, tags, lone surrogates.
_UNPRINTABLE = re.compile(
    "[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_UNLIMITED = 100_000
LONGEST_ERROR = 200
"""Characters of an error in a list of commands or importers."""
_GAP = 2
_INDENT = 4
_LAST_COLUMN = 20
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def printable(text: str) -> str:
    """Escape every character that could move the cursor or deceive the reader. Line breaks stay."""
    return _UNPRINTABLE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def one_line(text: str, limit: int | None = None) -> str:
    """Like `printable`, but escape line breaks too, and cut the text at `limit` characters with a mark."""
    line = printable(text).replace("\n", "\\n")
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def say(text: str) -> None:
    """Print the result of a command on stdout."""
    click.echo(printable(text))


def note(text: str) -> None:
    """Print a remark on stderr, where a program that reads the output does not see it."""
    click.echo(printable(text), err=True)


def print_json(value: object, *, on_one_line: bool = False) -> None:
    """Print one JSON value, times in ISO 8601. Unsafe characters become JSON escapes, so the value stays the same."""
    indent = None if on_one_line else 2
    click.echo(printable(json.dumps(value, indent=indent, ensure_ascii=False, default=datetime.isoformat)))


def print_result(value: object, text: str, *, as_json: bool) -> None:
    """Print the result of a command: the value as JSON, or else the text."""
    if as_json:
        print_json(value)
    else:
        say(text)


def stdout_console() -> Console:
    """Return a console on the current stdout. Outside a terminal it prints plain text and wraps no line."""
    from rich.console import Console

    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    return console


def plain_table(*headers: str) -> Table:
    """Return a table without borders: bold headers, two spaces between columns, the last one as wide as possible."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, no_wrap=header != headers[-1])
    return table


def print_table(table: Table) -> None:
    """Print a table of `plain_table`. On a terminal that is too narrow for it, each row is a block of lines."""
    from rich.text import Text

    console = stdout_console()
    texts = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    widths = [max(map(len, column)) for column in texts]
    if sum(width + _GAP for width in widths[:-1]) + min(widths[-1], _LAST_COLUMN) <= console.width:
        console.print(table)
        return
    for first, *others in zip(*(column.cells for column in table.columns), strict=True):
        console.print(first)
        pairs = [(str(column.header), cell) for column, cell in zip(table.columns[1:], others, strict=True)]
        for line in _lines([pair for pair in pairs if str(pair[1])], console.width - _INDENT):
            console.print(Text(" " * _INDENT) + line, no_wrap=True, overflow="ellipsis", crop=True)


def _lines(pairs: Sequence[tuple[str, RenderableType]], width: int) -> Iterator[Text]:
    """Yield lines of names with values, as many on a line as fit."""
    from rich.text import Text

    line = Text()
    for name, cell in pairs:
        part = Text.assemble((f"{name} " if name else "", "bold"), cell if isinstance(cell, Text) else str(cell))
        if line and len(line) + _GAP + len(part) > width:
            yield line
            line = Text()
        line = line + " " * _GAP + part if line else part
    if line:
        yield line


def last_cell(text: str, style: str = "") -> Text:
    """Return a value for the last column of a table, cut at the edge of the terminal."""
    from rich.text import Text

    return Text(one_line(text), style=style, no_wrap=True, overflow="ellipsis")


def age(moment: datetime, now: datetime | None = None) -> str:
    """Return how long ago a time is, in one unit: `5m ago`, or `in 2h` for the future."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return f"{_in_one_unit(seconds)} ago" if seconds >= 0 else f"in {_in_one_unit(-seconds)}"


def local(moment: datetime) -> str:
    """Return a time in this machine's time zone, with its offset: `2026-01-31 09:00:00 +0100`."""
    try:
        here = moment.astimezone()
    except OverflowError:  # in this time zone the year would be 0 or 10,000
        here = moment
    return f"{here:%Y-%m-%d %H:%M:%S %z}"


def _in_one_unit(seconds: float) -> str:
    for size, name in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{name}"
    return "0s"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'SendEmail'?`, or a list of the known names. Case, `-` and `_` do not count."""
    names = list(known)
    plain = {_plain(candidate): candidate for candidate in reversed(names)}
    close = closest(_plain(name), plain)
    if close:
        return f"did you mean {plain[close[0]]!r}?"
    match names:
        case []:
            return "none exist"
        case [one]:
            return f"there is only {one}"
        case _:
            return f"there are {', '.join(names)}"


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")
