"""Templates into responses. Every value is escaped; no page has code or style inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from server_jobs import __version__
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

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
    "paused": "Queue {} is paused. Running jobs finish; the others wait.",
    "resumed": "Queue {} is resumed. Workers claim its jobs again.",
    "unchanged": "No job changed.",
    "schedule-paused": "The schedule is paused.",
    "schedule-resumed": "The schedule is resumed.",
    "schedule-removed": "The schedule is removed. Its jobs stay.",
}
"""Messages after a form, by the name in the address, so that an address cannot bring its own text."""

_CHANGED = {"retried": "retried", "cancelled": "cancelled", "requested": "asked to stop", "deleted": "deleted"}
_REFUSED = {
    "finished": "finished already",
    "not retryable": "neither failed nor cancelled",
    "duplicate": "with the unique key of an unfinished job",
    "running": "still running",
    "not found": "deleted or changed in the meantime",
    "unreadable": "with params or a result that are not JSON",
}
_MOST_DIGITS = 9


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
    values.setdefault("note", note_of(visit))
    return _page(template, status, visit=visit, url=visit.url, now=visit.now, **values)


def note_of(visit: Visit, names: Collection[str] = ()) -> str:
    """Return the message that the address asks for. It may name one of these queues: `paused:mail`."""
    given = visit.query("note")
    note, _, name = given.partition(":")
    if name in names and note in NOTES:
        return NOTES[note].format(formats.visible(name))
    text = NOTES.get(given, "")
    return _note_of_results(results_in(given)) if "{}" in text or not text else text


def results_note(results: Mapping[str, int]) -> str:
    """Return the note of an address for the results of a change of many jobs: `retried:9,duplicate:1`."""
    return ",".join(f"{result}:{count}" for result, count in results.items()) or "unchanged"


def results_in(note: str) -> Counter[str]:
    """Return the results in a note, without unknown ones."""
    parts = [part.partition(":") for part in note.split(",")]
    return Counter(
        {
            result: int(count)
            for result, _, count in parts
            if result in (*_CHANGED, *_REFUSED) and count.isascii() and count.isdigit() and len(count) <= _MOST_DIGITS
        }
    )


def _note_of_results(results: Mapping[str, int]) -> str:
    changed = [f"{_jobs(results[one])} {text}" for one, text in _CHANGED.items() if results.get(one)]
    refused = [f"{results[one]:,} {text}" for one, text in _REFUSED.items() if results.get(one)]
    if not results:
        return ""
    total = sum(results[one] for one in _REFUSED if one in results)
    rest = f" {total:,} refused: {', '.join(refused)}." if refused else ""
    return f"{', '.join(changed) or 'No job changed'}.{rest}"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


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
