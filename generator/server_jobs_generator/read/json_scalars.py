"""Read the strings, numbers and constants of a JSON file more strictly than `json`, and continue after mistakes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from pydantic import JsonValue
from server_jobs.contract.values import MAX_INTEGER_DIGITS

from ..problems.problem import shown
from ..problems.rules import JSON_SYNTAX, NUMBER_OUT_OF_RANGE, TEXT_NOT_STORABLE, Rule

_MOST_SLIPS = 10
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[-+.\w]+")
_BARE_KEY = re.compile(r"([^\W\d][-.\w]*)\s*:")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_PLAIN_TEXT = re.compile(r'[^"\\\x00-\x1f]+')
_UNICODE_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
_NOT_A_NUMBER = frozenset({"NaN", "Infinity", "-Infinity", "+Infinity"})

_Value = TypeVar("_Value", covariant=True)

_MOST_DIGITS = 100
_QUOTES: Mapping[str, str] = {
    "'": "'",
    "`": "`",
    "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
    "\N{DOUBLE LOW-9 QUOTATION MARK}": "\N{LEFT DOUBLE QUOTATION MARK}",
    "\N{LEFT SINGLE QUOTATION MARK}": "\N{RIGHT SINGLE QUOTATION MARK}",
}
_CONSTANTS_ELSEWHERE: Mapping[str, str] = {
    **{word: word for word in ("true", "false", "null")},
    **dict.fromkeys(("none", "nil", "undefined"), "null"),
}
_OTHER_BASE = re.compile(r"[-+]?0[xXoObB][0-9a-fA-F_]+")
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_FRACTION = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


class Slip(NamedTuple):
    """A mistake, and its place."""

    at: int
    rule: Rule
    message: str


@dataclass(frozen=True, slots=True)
class Scalar(Generic[_Value]):
    """A value, its end, and its mistakes."""

    value: _Value
    end: int
    slips: tuple[Slip, ...] = ()


class UnreadableScalarError(Exception):
    """The text cannot be read; the last of the slips gives the reason."""

    def __init__(self, *slips: Slip) -> None:
        self.slips = slips
        super().__init__(slips[-1].message)


def read_key(text: str, at: int) -> Scalar[str]:
    """Read a key, even if it has other quotes or none. Raises `UnreadableScalarError`."""
    if text.startswith('"', at):
        return read_string(text, at)
    if (quoted := _in_other_quotes(text, at)) is not None:
        return _in_double_quotes("key", *quoted, at)
    if bare := _BARE_KEY.match(text, at):
        return _in_double_quotes("key", bare[1], bare.end(1), at)
    raise _unreadable(at, f"expected a key in double quotes, not {next_word(text, at)}")


def read_string(text: str, at: int) -> Scalar[str]:
    """Read the string that starts with a double quote here. Raises `UnreadableScalarError` if it does not end."""
    start, parts, slips = at, list[str](), list[Slip]()
    at += 1
    while not text.startswith('"', at):
        part = _plain_part(text, at) or _escape(text, at) or _control_character(text, at, start)
        parts.append(part.value)
        slips += part.slips
        at = part.end
        if len(slips) == _MOST_SLIPS:
            raise UnreadableScalarError(*slips)
    value = "".join(parts)
    if "\0" in value:
        message = "has a NUL character in a string, which not every database can store; remove it"
        slips.append(Slip(start, TEXT_NOT_STORABLE, message))
    if any("\ud800" <= character <= "\udfff" for character in value):
        message = "has a lone surrogate in a string, which is not valid Unicode; remove it"
        slips.append(Slip(start, TEXT_NOT_STORABLE, message))
        value = value.encode("utf-8", "replace").decode()
    return Scalar(value, at + 1, tuple(slips))


def read_scalar(text: str, at: int) -> Scalar[JsonValue]:
    """Read a number or a constant, or another language's spelling of a value. Raises `UnreadableScalarError`."""
    match = _WORD.match(text, at)
    word = match.group() if match else ""
    end = at + len(word)
    if word in _CONSTANTS:
        return Scalar(_CONSTANTS[word], end)
    if word in _NOT_A_NUMBER:
        return Scalar(0, end, (Slip(at, NUMBER_OUT_OF_RANGE, f"{word} is not JSON; a number is finite"),))
    if number := _NUMBER.fullmatch(word):
        return _number(word, at, is_integer=number[1] is None and number[2] is None)
    if (meant := _word_meant(word)) is not None:
        return Scalar(json.loads(meant), end, (Slip(at, JSON_SYNTAX, f"{shown(word)} is not JSON; write {meant}"),))
    if (quoted := _in_other_quotes(text, at)) is not None:
        return _in_double_quotes("text", *quoted, at)
    if word[:1].isalpha():
        return _in_double_quotes("text", word, end, at)
    raise _unreadable(at, f"expected a value, not {next_word(text, at)}")


def next_word(text: str, at: int) -> str:
    """Return the next word of the text, for a message."""
    if at >= len(text):
        return "the end of the file"
    if string := _STRING.match(text, at):
        return shown(string.group()[1:-1])
    match = _WORD.match(text, at)
    return shown(match.group() if match else text[at])


def _plain_part(text: str, at: int) -> Scalar[str] | None:
    match = _PLAIN_TEXT.match(text, at)
    return Scalar(match.group(), match.end()) if match else None


def _escape(text: str, at: int) -> Scalar[str] | None:
    if not text.startswith("\\", at):
        return None
    character = text[at + 1 : at + 2]
    if character in _ESCAPES:
        return Scalar(_ESCAPES[character], at + 2)
    high = _UNICODE_ESCAPE.match(text, at)
    if high is None:
        character = character if character.isprintable() else ""
        message = f"the escape '\\{character}' is not known to JSON; a backslash itself is '\\\\'"
        return Scalar(character, at + 1 + len(character), (Slip(at, JSON_SYNTAX, message),))
    low = _UNICODE_ESCAPE.match(text, high.end())
    if "d800" <= high[1].lower() < "dc00" and low and "dc00" <= low[1].lower() < "e000":
        return Scalar(chr(0x10000 + ((int(high[1], 16) - 0xD800) << 10) + int(low[1], 16) - 0xDC00), low.end())
    return Scalar(chr(int(high[1], 16)), high.end())


def _control_character(text: str, at: int, start: int) -> Scalar[str]:
    character = text[at : at + 1]
    if character in ("", "\r", "\n"):
        message = "the string that starts here has no closing quote in its line; a line break inside is written '\\n'"
        raise _unreadable(start, message)
    message = f"the character {character!r} must be escaped in a string: '{json.dumps(character)[1:-1]}'"
    return Scalar(character, at + 1, (Slip(at, JSON_SYNTAX, message),))


def _number(word: str, at: int, *, is_integer: bool) -> Scalar[JsonValue]:
    end = at + len(word)
    if len(word) > MAX_INTEGER_DIGITS:
        message = f"the number has more than {MAX_INTEGER_DIGITS:,} digits; make a text of it"
        return Scalar(0, end, (Slip(at, NUMBER_OUT_OF_RANGE, message),))
    if is_integer:
        return Scalar(int(word), end)
    number = float(word)
    if math.isinf(number) or (number == 0 and re.search("[1-9]", re.split("[eE]", word)[0])):
        message = f"{word[:20]} is outside the range of a double-precision number; write one that is inside"
        return Scalar(0, end, (Slip(at, NUMBER_OUT_OF_RANGE, message),))
    return Scalar(number, end)


def _in_double_quotes(what: str, value: str, end: int, at: int) -> Scalar[str]:
    return Scalar(value, end, (Slip(at, JSON_SYNTAX, f"the {what} {shown(value)} must be in double quotes"),))


def _unreadable(at: int, message: str) -> UnreadableScalarError:
    return UnreadableScalarError(Slip(at, JSON_SYNTAX, message))


def _in_other_quotes(text: str, at: int) -> tuple[str, int] | None:
    """Return the text in quotes unknown to JSON, and its end; None if the quotes do not end on the same line."""
    closing = _QUOTES.get(text[at : at + 1])
    end = -1 if closing is None else text.find(closing, at + 1)
    return None if end < 0 or "\n" in text[at:end] else (text[at + 1 : end], end + 1)


def _word_meant(word: str) -> str | None:
    """Return the JSON constant or number that a word means in another language; None if it means none."""
    return _CONSTANTS_ELSEWHERE.get(word.lower()) or (_number_meant(word) if len(word) <= _MOST_DIGITS else None)


def _number_meant(word: str) -> str | None:
    try:
        if _OTHER_BASE.fullmatch(word):
            return str(int(word, 0))
        if _INTEGER.fullmatch(word):
            return str(int(word))
        number = float(word) if _FRACTION.fullmatch(word) else math.inf
    except ValueError:
        return None
    return repr(number) if math.isfinite(number) else None
