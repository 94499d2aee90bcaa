"""How values are written: times, numbers, durations, and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from server_jobs.contract.json_scan import has_many_values
from server_jobs.domain.statistics import MOST_COUNTED
from server_jobs.inspection.job_document import parsed

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LARGE = 10_000
# Controls except tab and line feed, marks and overrides of direction, spaces without width, line separators, and halves
# of characters.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
_ENCODER = json.JSONEncoder(indent=2, ensure_ascii=False)
LONGEST_SHOWN = 200_000
"""Longest JSON text that a page shows, in characters."""


def number(value: float) -> str:
    """Return a whole number with separators, or a short one with a decimal: `1,204`, `3.5`."""
    return f"{value:,.1f}" if isinstance(value, float) and not value.is_integer() else f"{int(value):,}"


def compact(value: int) -> str:
    """Return a number of at most five characters: `9,999`, `12.3k`, `4.1M`."""
    if value < _LARGE:
        return f"{value:,}"
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}" if value / size < 1000 else f"{value // size}{letter}"
    return str(value)


def counted(value: int, most: int = MOST_COUNTED) -> str:
    """Return a count that ends at a bound, or a sum of such counts: `1,204`, `10,000+`."""
    return number(value) if value < most else f"{most:,}+"


def duration(length: timedelta | float) -> str:
    """Return a length of time in its largest unit, or its two largest: `850 ms`, `42 s`, `3 min`, `2 h 5 min`."""
    seconds = abs(length.total_seconds() if isinstance(length, timedelta) else length)
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < _DAY:
        return _two(seconds, _HOUR, "h", _MINUTE, "min")
    return _two(seconds, _DAY, "d", _HOUR, "h")


def _two(seconds: float, large: int, large_unit: str, small: int, small_unit: str) -> str:
    first, rest = divmod(int(seconds), large)
    second = rest // small
    return f"{first} {large_unit} {second} {small_unit}" if second else f"{first} {large_unit}"


def ago(moment: datetime, now: datetime) -> str:
    """Return a time relative to now: `3 min ago`, `in 2 h`, `now`."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    whole = duration(float(int(abs(seconds))))
    return f"{whole} ago" if seconds > 0 else f"in {whole}"


def absolute(moment: datetime) -> str:
    """Return a time in UTC, for people: `2026-01-31 09:00:00 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine(moment: datetime) -> str:
    """Return a time in UTC for the attribute `datetime`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def visible(text: str) -> str:
    """Return text with each unseen character as its escape: `\\u202e`, which would reverse the text after it.

    JSON has the same escapes, so JSON text keeps its value.
    """
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def line(text: str, most: int = 120) -> str:
    """Return the first line of a text, cut to `most` characters. Unseen characters are escapes."""
    first = text.strip().partition("\n")[0].rstrip()
    return visible(first if len(first) <= most else f"{first[: most - 1]}…")


def compact_json(text: str) -> str:
    """Return JSON text without spaces between values, or other or long text unchanged."""
    if len(text) > _LARGE:
        return text
    value = parsed(text)
    return text if value == text else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def pretty(text: str | None) -> str:
    """Return JSON text with indents, or other text unchanged. Text beyond `LONGEST_SHOWN` is cut.

    A page is made in the event loop, so that text with very many values has no indents.
    """
    if text is None:
        return "null"
    value = text if has_many_values(text) else parsed(text)
    pieces = [text] if isinstance(value, str) and value == text else _indented(value)
    shown = visible("".join(pieces)[: LONGEST_SHOWN + 1])
    if len(shown) <= LONGEST_SHOWN:
        return shown
    return f"{shown[:LONGEST_SHOWN]}\n… and more, the whole text has {len(text):,} characters"


def _indented(value: object) -> Iterator[str]:
    """Yield the pieces of JSON text with indents, until enough can be shown."""
    left = LONGEST_SHOWN
    for piece in _ENCODER.iterencode(value):
        yield piece
        left -= len(piece)
        if left < 0:
            return
