"""The catalogue as one page of HTML that needs nothing else: no script, no font, no picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from .entries import Entry


def html_text(entries: Sequence[Entry]) -> str:
    """The page. Whatever a spec says is escaped by the template's own rules."""
    return _environment().get_template("catalogue.html.jinja").render(entries=entries)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("server_jobs_generator"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
