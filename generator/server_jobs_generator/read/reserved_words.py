"""What people write who think of another language than JSON: what they mean by it is taken for what they wrote."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_MOST_DIGITS = 100
_QUOTES: Mapping[str, str] = {
    "'": "'",
    "`": "`",
    "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
    "\N{DOUBLE LOW-9 QUOTATION MARK}": "\N{LEFT DOUBLE QUOTATION MARK}",
    "\N{LEFT SINGLE QUOTATION MARK}": "\N{RIGHT SINGLE QUOTATION MARK}",
}
_CONSTANTS: Mapping[str, str] = {
    **{word: word for word in ("true", "false", "null")},
    **dict.fromkeys(("none", "nil", "undefined"), "null"),
}
_OTHER_BASE = re.compile(r"[-+]?0[xXoObB][0-9a-fA-F_]+")
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_FRACTION = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def in_other_quotes(text: str, at: int) -> tuple[str, int] | None:
    """What stands in quotes that are not those of JSON, and where it ends; None if that is not in the same line."""
    closing = _QUOTES.get(text[at : at + 1])
    end = -1 if closing is None else text.find(closing, at + 1)
    return None if end < 0 or "\n" in text[at:end] else (text[at + 1 : end], end + 1)


def word_meant(word: str) -> str | None:
    """The constant or the number, as JSON writes it, that a word is elsewhere; None if it is none."""
    return _CONSTANTS.get(word.lower()) or (_number(word) if len(word) <= _MOST_DIGITS else None)


def _number(word: str) -> str | None:
    try:
        if _OTHER_BASE.fullmatch(word):
            return str(int(word, 0))
        if _INTEGER.fullmatch(word):
            return str(int(word))
        number = float(word) if _FRACTION.fullmatch(word) else math.inf
    except ValueError:
        return None
    return repr(number) if math.isfinite(number) else None
