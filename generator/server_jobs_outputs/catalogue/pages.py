"""The catalogue as a page in Markdown, and as a page in HTML. Text of a spec is escaped or code, never markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from .entries import Entry
from .tables import Row, Table

_MARKUP = re.compile(r"([\\`*_\[\]<>|&~$!])")
_FIRST = re.compile(r"^(\d*)([#+=:.)-])")
_ADDRESS = re.compile(r"(?i)(www)\.|(https?|ftp):|([\w.+-])@")


def html_text(entries: Sequence[Entry]) -> str:
    """Return the page. The template escapes all text of specs."""
    return _environment().get_template("catalogue.html.jinja").render(entries=entries)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("server_jobs_outputs"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def markdown_text(entries: Sequence[Entry]) -> str:
    """Return the page."""
    contents = [f"- [{entry.name}](#{entry.name.lower()}){_summary(entry)}" for entry in entries]
    # The space keeps its anchor apart from anchors of jobs.
    blocks = ["# All jobs", "\n".join(contents) or "There are no jobs."]
    blocks += [block for entry in entries for block in _entry(entry)]
    return "\n\n".join(blocks) + "\n"


def plain(text: str) -> str:
    """Return the text on one line, with all markup escaped."""
    line = _MARKUP.sub(r"\\\1", " ".join(text.split()))
    return _FIRST.sub(r"\1\\\2", _ADDRESS.sub(_broken_address, line))


def code(text: str) -> str:
    """Return the text as code on one line of a table, where `|` has to be escaped."""
    return code_span(text.replace("|", "\\|"))


def code_span(text: str) -> str:
    """Return the text as code on one line."""
    if not text:
        return ""
    line = " ".join(text.split("\n"))
    fence = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith(("`", " ")) or line.endswith(("`", " ")) else ""
    return f"{fence}{space}{line}{space}{fence}"


def block(language: str, text: str) -> str:
    """Return the text as a block of code."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _entry(entry: Entry) -> Iterator[str]:
    yield f"## {entry.name}"
    if entry.is_retired:
        yield "**Retired.**"
    if entry.is_deprecated:
        yield "**Deprecated.**"
    yield from map(plain, _paragraphs(entry.description))
    yield "\n".join(["| | |", "|---|---|", *(f"| {plain(label)} | {plain(value)} |" for label, value in entry.facts)])
    for table in entry.tables:
        yield from _table(table)
    for example in entry.examples:
        yield f"### {example.title}"
        yield block("json", example.as_json)
        yield from (block(language, text) for language, text in example.calls)


def _table(table: Table) -> Iterator[str]:
    yield f"### {plain(table.title)}"
    yield from map(plain, _paragraphs(table.description))
    if table.summary:
        yield code(table.summary)
    if table.rows:
        head = ["| name | type | required | constraints | default | description |", "|---|---|---|---|---|---|"]
        yield "\n".join([*head, *map(_row, table.rows)])
    else:
        yield "No properties."


def _row(row: Row) -> str:
    about = f"**Deprecated.** {plain(row.description)}".strip() if row.is_deprecated else plain(row.description)
    needed = "yes" if row.is_required else ""
    cells = (code(row.name), plain(row.type), needed, code(row.constraints), code(row.default), about)
    return f"| {' | '.join(cells)} |"


def _summary(entry: Entry) -> str:
    first = first_paragraph(entry.description)
    return " (retired)" * entry.is_retired + (f": {first}" if first else "")


def first_paragraph(description: str) -> str:
    """Return the first paragraph on one line, with all markup escaped; empty if there is none."""
    return plain(next(iter(_paragraphs(description)), ""))


def _paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


def _broken_address(match: re.Match[str]) -> str:
    """Break a match that looks like an address, because some renderers turn it into a link."""
    return match[0][:-1] + {".": "\\.", ":": "\\:", "@": "\\@"}[match[0][-1]]


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
