"""Limits of texts in a row: PostgreSQL rejects NUL, and every database rejects lone surrogates."""

from __future__ import annotations

import re

from ..errors import InvalidOptionError

# PostgreSQL allows 2,704 bytes in an index entry, which has the name of the job and the unique key.
LONGEST_NAME = 100
LONGEST_UNIQUE_KEY = 500
LONGEST_CORRELATION_ID = 200
LONGEST_SCHEDULE_NAME = LONGEST_CORRELATION_ID - LONGEST_NAME - 1
"""The name of the longest label, such as `DailyDigest/daily`, which is the correlation id of the jobs of a schedule."""

_SHOWN = 40
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Whether every store accepts this text."""
    return _UNSTORABLE.search(text) is None


def check_text(name: str, value: object, longest: int | None = None) -> None:
    """Raise `InvalidOptionError` unless every store accepts the text, and it has at most `longest` characters."""
    if not isinstance(value, str):  # callers may not use a type checker
        raise InvalidOptionError(f"{name} must be a str, not {value!r}")
    if not is_storable(value):
        raise InvalidOptionError(f"{name} must not contain NUL characters or lone surrogates, and is {value!r}")
    if longest is not None and len(value) > longest:
        raise InvalidOptionError(
            f"{name} must have at most {longest} characters, and {value[:_SHOWN]!r}… has {len(value):,}"
        )


def clean_text(text: str, limit: int) -> str:
    """Return a text that every store accepts: replace NUL and lone surrogates, and truncate to `limit` characters."""
    cleaned = text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"
