"""Texts on their way into a row: PostgreSQL takes no NUL, and no database a lone surrogate."""

from __future__ import annotations

import re

from ..errors import InvalidOptionError

# PostgreSQL keeps no more than 2,704 bytes in an entry of an index, in which a unique key stands behind its job's name.
LONGEST_NAME = 100
LONGEST_UNIQUE_KEY = 500
LONGEST_CORRELATION_ID = 200

_SHOWN = 40
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Whether every store takes this text as it is."""
    return _UNSTORABLE.search(text) is None


def check_text(name: str, value: str, longest: int | None = None) -> None:
    """Raise `InvalidOptionError` unless the value is a text that every store takes as it is, and not too long."""
    given: object = value  # callers without a type checker give anything
    if not isinstance(given, str):
        raise InvalidOptionError(f"{name} must be a str, not {given!r}")
    if not is_storable(value):
        raise InvalidOptionError(f"{name} must not hold NUL characters or lone surrogates, and is {value!r}")
    if longest is not None and len(value) > longest:
        raise InvalidOptionError(
            f"{name} must have at most {longest} characters, and {value[:_SHOWN]!r}… has {len(value):,}"
        )


def clean_text(text: str, limit: int) -> str:
    """Text that every store takes: NUL and lone surrogates replaced, cut at `limit` characters with a mark."""
    cleaned = text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"
