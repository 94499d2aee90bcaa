"""Templates into responses. Every value is escaped; no page has code or style inside."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ... import __version__
from ...security.tokens import Scope
from ..problem_document import RefusedError
from . import formats
from .visit import Visit

FOLDER = Path(__file__).parent
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # With no-referrer, browsers send forms with `Origin: null`.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}

NOTES = {
    "cancelled": "Cancelled.",
    "requested": "The running job was asked to stop.",
    "retried": "The job is pending again, with all its attempts.",
    "deleted": "Deleted.",
    "repaired": "The params were replaced, and the job is pending again.",
    "enqueued": "Enqueued.",
    "known": "An unfinished job has the same unique key; this is it.",
    "paused": "Paused. Running jobs finish; the others wait.",
    "resumed": "Resumed. Workers claim its jobs again.",
    "enabled": "The schedule is on.",
    "disabled": "The schedule is off.",
    "selected": "Done.",
}
"""Messages after a form, by the name in the address, so that an address cannot bring its own text."""


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        number=formats.number,
        compact=formats.compact,
        counted=formats.counted,
        duration=formats.duration,
        ago=formats.ago,
        absolute=formats.absolute,
        machine=formats.machine,
        pretty=formats.pretty,
        visible=formats.visible,
        sentence=sentence,
    )
    made.globals.update(version=__version__, Scope=Scope)
    return made


def sentence(text: str) -> Markup:
    """Return a reason of the engine as a sentence: with a capital, a full stop, and code where it has backticks."""
    parts = [escape(part) if place % 2 == 0 else Markup("<code>{}</code>").format(part) for place, part in _parts(text)]
    return Markup("").join(parts)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    text = formats.visible(text)
    whole = text if text.count("`") % 2 == 0 else text.replace("`", "'")
    end = "" if whole.endswith((".", "!", "?")) else "."
    return enumerate(f"{whole[:1].upper()}{whole[1:]}{end}".split("`"))


def show(visit: Visit, template: str, *, status: int = 200, **values: object) -> Response:
    """Return a page for an admitted caller."""
    note = NOTES.get(visit.query("note"), "")
    return _page(template, status, visit=visit, url=visit.url, now=visit.now, note=note, **values)


def show_outside(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    """Return a page for somebody who is not signed in."""
    root: str = request.scope["root_path"]
    return _page(template, status, visit=None, url=lambda *path: f"{root}/{'/'.join(path)}", note="", **values)


def error_page(request: Request, refusal: RefusedError, visit: Visit | None = None) -> Response:
    """Return the page of an error, with a menu if the caller is known."""
    title = refusal.title[:1].upper() + refusal.title[1:]
    if visit is None:
        response = show_outside(request, "error.html", status=refusal.status, title=title, status_code=refusal.status)
    else:
        response = show(visit, "error.html", status=refusal.status, title=title, status_code=refusal.status)
    response.headers.update({name: text for name, text in refusal.headers.items() if name != "www-authenticate"})
    return response


def _page(template: str, status: int, **values: object) -> Response:
    text = _environment().get_template(template).render(values)
    # Rows may have lone surrogates, which no encoding has.
    return HTMLResponse(text.encode("utf-8", "replace"), status, HEADERS)
