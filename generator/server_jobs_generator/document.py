"""A JSON file with the place of everything in it, read more strictly than `json.loads` does.

What parsers read in different ways (duplicate keys, NaN, comments, a byte order mark, lone surrogates) is a problem,
and reading goes on behind it wherever the rest can be understood, so that one run reports as much as possible.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic import JsonValue
from server_jobs.values import MAX_INTEGER_DIGITS, pointer_to

from .plain_json import NotPlainError, read_plain
from .problems import SpecProblem, shown
from .rules import Rule
from .spec_rules import (
    COMMENT,
    DUPLICATE_KEY,
    JSON_SYNTAX,
    NOT_UTF8,
    NUMBER_OUT_OF_RANGE,
    TEXT_NOT_STORABLE,
    TOO_DEEP,
    TOO_LARGE,
    TOO_MANY_PROBLEMS,
)

MAX_FILE_BYTES = 1024 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 64
MAX_PROBLEMS = 200

Pointer = tuple[str | int, ...]

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[-+.\w]+")
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_PLAIN_TEXT = re.compile(r'[^"\\\x00-\x1f]*')
_UNICODE_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
_NOT_A_NUMBER = frozenset({"NaN", "Infinity", "-Infinity", "+Infinity"})


@dataclass(frozen=True, slots=True)
class _Place:
    key: int | None
    value: int


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read. `path` is relative to the project's root; `value` is what `json.loads` would give.

    `count` is the number of values in the file. Of a value that was translated, `written` has the pointers in the file
    of what stands elsewhere now.
    """

    path: str
    text: str
    value: JsonValue
    is_jsonc: bool = False
    count: int = 0
    written: Mapping[Pointer, Pointer] = field(default_factory=dict[Pointer, Pointer])

    def problem(self, pointer: Pointer, rule: Rule, message: str, *, at_key: bool = False) -> SpecProblem:
        """A problem at the value with that pointer (or at its key), or at the nearest value around it."""
        line, column = self.place(pointer, at_key=at_key)
        return SpecProblem(self.path, line, column, pointer_to(self.as_written(pointer)), message, rule.id)

    def place(self, pointer: Pointer, *, at_key: bool = False) -> tuple[int, int]:
        """The line and the column of a value or of its key, or of the nearest value around it."""
        places, line_starts = _places(self.path, self.text, self.is_jsonc)
        known = self.as_written(pointer)
        while known not in places:
            known = known[:-1]
        place = places[known]
        offset = place.key if at_key and place.key is not None else place.value
        line = bisect_right(line_starts, offset)
        return line, offset - line_starts[line - 1] + 1

    def as_written(self, pointer: Pointer) -> Pointer:
        """The pointer in the file of what has this one in `value`."""
        for length in range(len(pointer), 0, -1) if self.written else ():
            if pointer[:length] in self.written:
                return (*self.written[pointer[:length]], *pointer[length:])
        return pointer


@dataclass(frozen=True, slots=True)
class Reading:
    """The outcome of reading one file: the document, None if it cannot be understood, and what is wrong with it."""

    document: Document | None
    problems: tuple[SpecProblem, ...]


def read_document(path: str, data: bytes, *, is_jsonc: bool = False) -> Reading:
    """Read the bytes of one file. Never raises, whatever they are. JSONC has comments, and commas before an end."""
    if len(data) > MAX_FILE_BYTES:
        return _unreadable(path, 1, 1, TOO_LARGE, f"is larger than {MAX_FILE_BYTES:,} bytes; split it")
    if data.startswith(_BYTE_ORDER_MARKS):
        return _unreadable(path, 1, 1, NOT_UTF8, "starts with a byte order mark; save it as UTF-8 without one")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"is not valid UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8"
        return _unreadable(path, line, column, NOT_UTF8, message)
    try:
        value, count = read_plain(text, max_nodes=MAX_NODES, max_depth=MAX_DEPTH)
        return Reading(Document(path, text, value, is_jsonc, count), ())
    except NotPlainError:
        return _Reader(path, text, is_jsonc).read()


@lru_cache(maxsize=64)
def _places(path: str, text: str, is_jsonc: bool) -> tuple[dict[Pointer, _Place], list[int]]:
    """Where everything stands, found out when the first problem needs it: most files have none."""
    reader = _Reader(path, text, is_jsonc)
    reader.read()
    return reader.places, reader.line_starts


def _unreadable(path: str, line: int, column: int, rule: Rule, message: str) -> Reading:
    return Reading(None, (SpecProblem(path, line, column, "", message, rule.id),))


class _UnreadableError(Exception):
    """The text cannot be understood from here on."""


@dataclass(slots=True)
class _Reader:
    path: str
    text: str
    is_jsonc: bool = False
    at: int = 0
    nodes: int = 0
    places: dict[Pointer, _Place] = field(default_factory=dict[Pointer, _Place])
    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])
    line_starts: list[int] = field(default_factory=list[int])

    def read(self) -> Reading:
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        try:
            self.skip_space(())
            value = self.value((), None)
            self.skip_space(())
            if self.at < len(self.text):
                raise self.stop((), JSON_SYNTAX, f"{self.next_word()} stands behind the end of the document; remove it")
        except _UnreadableError:
            return Reading(None, tuple(self.problems))
        document = Document(self.path, self.text, value, self.is_jsonc, len(self.places))
        return Reading(document, tuple(self.problems))

    def value(self, pointer: Pointer, key_at: int | None) -> JsonValue:
        self.places[pointer] = _Place(key_at, self.at)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.stop(pointer, TOO_LARGE, f"the file has more than {MAX_NODES:,} values; split it")
        if len(pointer) >= MAX_DEPTH and self.text.startswith(("{", "["), self.at):
            raise self.stop(pointer[:4], TOO_DEEP, f"is nested more than {MAX_DEPTH} levels deep; make it flatter")
        match self.text[self.at : self.at + 1]:
            case "{":
                return self.object(pointer)
            case "[":
                return self.array(pointer)
            case '"':
                return self.string(pointer)
            case _:
                return self.scalar(pointer)

    def object(self, pointer: Pointer) -> JsonValue:
        members: dict[str, JsonValue] = {}
        self.at += 1
        while self.has_next(pointer, "}", is_first=not members):
            key_at = self.at
            key = self.key(pointer)
            if key in members:
                first = bisect_right(self.line_starts, self.places[*pointer, key].key or 0)
                message = f"the key {shown(key)} is used twice, first in line {first}; remove one"
                self.note((*pointer, key), DUPLICATE_KEY, message, key_at)
            self.skip_space(pointer)
            self.expect(pointer, ":")
            self.skip_space(pointer)
            members[key] = self.value((*pointer, key), key_at)
        return members

    def array(self, pointer: Pointer) -> JsonValue:
        items: list[JsonValue] = []
        self.at += 1
        while self.has_next(pointer, "]", is_first=not items):
            items.append(self.value((*pointer, len(items)), None))
        return items

    def has_next(self, pointer: Pointer, end: str, *, is_first: bool) -> bool:
        """Move to the next member; False behind the end. A comma before the end is a problem that can be read over."""
        self.skip_space(pointer)
        if not is_first and not self.text.startswith(end, self.at):
            comma_at = self.at
            self.expect(pointer, ",")
            self.skip_space(pointer)
            if self.text.startswith(end, self.at) and not self.is_jsonc:
                self.note(pointer, JSON_SYNTAX, f"the comma before '{end}' must go", comma_at)
        if self.text.startswith(end, self.at):
            self.at += 1
            return False
        return True

    def key(self, pointer: Pointer) -> str:
        if not self.text.startswith('"', self.at):
            raise self.stop(pointer, JSON_SYNTAX, f"expected a key in double quotes, not {self.next_word()}")
        return self.string(pointer)

    def string(self, pointer: Pointer) -> str:
        start = self.at
        self.at += 1
        parts: list[str] = []
        while True:
            match = _PLAIN_TEXT.match(self.text, self.at)
            parts.append(match.group() if match else "")
            self.at += len(parts[-1])
            match self.text[self.at : self.at + 1]:
                case '"':
                    self.at += 1
                    return self.checked("".join(parts), pointer, start)
                case "\\":
                    parts.append(self.escape(pointer))
                case "":
                    self.at = start
                    raise self.stop(pointer, JSON_SYNTAX, "the string that starts here has no closing quote")
                case character:
                    raise self.stop(pointer, JSON_SYNTAX, f"the character {character!r} must be escaped in a string")

    def escape(self, pointer: Pointer) -> str:
        character = self.text[self.at + 1 : self.at + 2]
        if character in _ESCAPES:
            self.at += 2
            return _ESCAPES[character]
        match = _UNICODE_ESCAPE.match(self.text, self.at)
        if match is None:
            raise self.stop(
                pointer, JSON_SYNTAX, f"the escape '\\{character}' is not known to JSON; a backslash itself is '\\\\'"
            )
        self.at = match.end()
        low = _UNICODE_ESCAPE.match(self.text, self.at)
        if "d800" <= match[1].lower() < "dc00" and low and "dc00" <= low[1].lower() < "e000":
            self.at = low.end()
            return chr(0x10000 + ((int(match[1], 16) - 0xD800) << 10) + int(low[1], 16) - 0xDC00)
        return chr(int(match[1], 16))

    def checked(self, text: str, pointer: Pointer, start: int) -> str:
        if "\0" in text:
            message = "has a NUL character in a string, which not every database can store; remove it"
            self.note(pointer, TEXT_NOT_STORABLE, message, start)
        if any("\ud800" <= character <= "\udfff" for character in text):
            message = "has a lone surrogate in a string, which is not valid Unicode; remove it"
            self.note(pointer, TEXT_NOT_STORABLE, message, start)
            return text.encode("utf-8", "replace").decode()
        return text

    def scalar(self, pointer: Pointer) -> JsonValue:
        match = _WORD.match(self.text, self.at)
        word = match.group() if match else ""
        start = self.at
        if word in _CONSTANTS:
            self.at += len(word)
            return _CONSTANTS[word]
        if word in _NOT_A_NUMBER:
            self.at += len(word)
            self.note(pointer, NUMBER_OUT_OF_RANGE, f"{word} is not JSON; a number is finite", start)
            return 0
        number = _NUMBER.fullmatch(word)
        if number is None:
            raise self.stop(pointer, JSON_SYNTAX, f"expected a value, not {self.next_word()}")
        self.at += len(word)
        return self.number(pointer, start, word, is_integer=number[1] is None and number[2] is None)

    def number(self, pointer: Pointer, start: int, word: str, *, is_integer: bool) -> JsonValue:
        if len(word) > MAX_INTEGER_DIGITS:
            message = f"the number has more than {MAX_INTEGER_DIGITS:,} digits; make a text of it"
            self.note(pointer, NUMBER_OUT_OF_RANGE, message, start)
            return 0
        if is_integer:
            return int(word)
        number = float(word)
        if math.isinf(number) or (number == 0 and re.search("[1-9]", re.split("[eE]", word)[0])):
            message = f"{word[:20]} is outside the range of a double-precision number; write one that is inside"
            self.note(pointer, NUMBER_OUT_OF_RANGE, message, start)
            return 0
        return number

    def skip_space(self, pointer: Pointer) -> None:
        while True:
            space = _SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            comment = _COMMENT.match(self.text, self.at)
            if comment is None:
                return
            if not self.is_jsonc:
                self.note(pointer, COMMENT, 'comments are not JSON; use "$comment" or "description"', self.at)
            elif comment.group().startswith("#"):
                self.note(pointer, COMMENT, "a comment starts with //", self.at)
            self.at = comment.end()

    def expect(self, pointer: Pointer, character: str) -> None:
        if not self.text.startswith(character, self.at):
            raise self.stop(pointer, JSON_SYNTAX, f"expected '{character}', not {self.next_word()}")
        self.at += 1

    def next_word(self) -> str:
        if self.at >= len(self.text):
            return "the end of the file"
        match = _WORD.match(self.text, self.at)
        return shown(match.group() if match else self.text[self.at])

    def note(self, pointer: Pointer, rule: Rule, message: str, at: int) -> None:
        line = bisect_right(self.line_starts, at)
        column = at - self.line_starts[line - 1] + 1
        self.problems.append(SpecProblem(self.path, line, column, pointer_to(pointer), message, rule.id))
        if len(self.problems) == MAX_PROBLEMS:
            message = f"has {MAX_PROBLEMS} problems or more; the rest is not shown"
            self.problems.append(SpecProblem(self.path, 1, 1, "", message, TOO_MANY_PROBLEMS.id))
            raise _UnreadableError

    def stop(self, pointer: Pointer, rule: Rule, message: str) -> _UnreadableError:
        self.note(pointer, rule, message, self.at)
        return _UnreadableError()
