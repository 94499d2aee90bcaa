"""Read a file of JSON, JSON with comments or YAML with the place of every value, more strictly than `json.loads`.

Anything that parsers read differently (duplicate keys, NaN, comments, a byte order mark, lone surrogates) is a problem.
Reading continues after a problem if possible, so that one run reports as much as possible.

The standard library reads correct JSON, in a tenth of the time. Any other text is left to the careful reader, which
reports the mistakes with their places. `yaml_reader` reads YAML in the same two ways.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import TypeVar, cast

from pydantic import JsonValue
from server_jobs.contract.values import MAX_INTEGER_DIGITS, pointer_to

from ..problems.problem import SpecProblem, shown
from ..problems.rules import COMMENT, DUPLICATE_KEY, JSON_SYNTAX, NOT_UTF8, TOO_DEEP, TOO_LARGE, TOO_MANY_PROBLEMS, Rule
from .json_scalars import Scalar, Slip, UnreadableScalarError, next_word, read_key, read_scalar, read_string
from .yaml_reader import Place, YamlReader

MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_NODES = 500_000
MAX_DEPTH = 64
MAX_PROBLEMS = 200

Pointer = tuple[str | int, ...]

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_BEGINNING = re.compile(r"""[{\["'+.0-9-]|(?:true|false|null|none|nan|infinity)\b""", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_STRING_OR_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_Value = TypeVar("_Value", bound=JsonValue)

# A lone surrogate or NUL must be reported, because some databases reject them.
_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


JSONC = ".jsonc"
YAML = (".yaml", ".yml")
ENDINGS = (".json", JSONC, *YAML)
"""The endings of readable files: JSON, JSON with comments and trailing commas, and YAML."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file. `path` is relative to the project's root; `value` is the result of `json.loads`.

    `count` is the number of values in the file. `written` maps pointers that a translation moved back to their pointers
    in the file. `elsewhere` are the schemas under unknown keywords that references lead to.
    """

    path: str
    text: str
    value: JsonValue
    count: int = 0
    written: Mapping[Pointer, Pointer] = field(default_factory=dict[Pointer, Pointer])
    elsewhere: tuple[Pointer, ...] = ()

    def value_at(self, pointer: Pointer) -> JsonValue:
        """Return the value at a pointer, which must exist."""
        value = self.value
        for token in pointer:
            value = value[token]  # type: ignore[index]  # the caller has seen it
        return value

    def problem(self, pointer: Pointer, rule: Rule, message: str, *, at_key: bool = False) -> SpecProblem:
        """Return a problem at the value with that pointer (or at its key), or at its nearest parent."""
        line, column = self.place(pointer, at_key=at_key)
        return SpecProblem(self.path, line, column, pointer_to(self.as_written(pointer)), message, rule.id)

    def place(self, pointer: Pointer, *, at_key: bool = False) -> tuple[int, int]:
        """Return the line and the column of a value or of its key, or of its nearest parent."""
        places, line_starts = _places(self.path, self.text)
        known = self.as_written(pointer)
        while known not in places:
            known = known[:-1]
        place = places[known]
        offset = place.key if at_key and place.key is not None else place.value
        line = bisect_right(line_starts, offset)
        return line, offset - line_starts[line - 1] + 1

    def as_written(self, pointer: Pointer) -> Pointer:
        """Return the pointer in the file for a pointer into `value`."""
        for length in range(len(pointer), -1, -1) if self.written else ():
            if pointer[:length] in self.written:
                return (*self.written[pointer[:length]], *pointer[length:])
        return pointer


@dataclass(frozen=True, slots=True)
class Reading:
    """The outcome of reading a file: the document, or None if it cannot be parsed, and the problems."""

    document: Document | None
    problems: tuple[SpecProblem, ...]


def read_document(path: str, data: bytes) -> Reading:
    """Read the bytes of a file in the form of its ending, one of `ENDINGS`. Never raises."""
    if len(data) > MAX_FILE_BYTES:
        return _unreadable(path, 1, 1, TOO_LARGE, f"is larger than {MAX_FILE_BYTES:,} bytes; split it")
    if data.startswith(_BYTE_ORDER_MARKS):
        return _unreadable(path, 1, 1, NOT_UTF8, "starts with a byte order mark; save it as UTF-8 without one")
    if b"\0" in data[:4]:
        return _unreadable(path, 1, 1, NOT_UTF8, "begins with a NUL, as UTF-16 or UTF-32 does; save it as UTF-8")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"is not valid UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8"
        return _unreadable(path, line, column, NOT_UTF8, message)
    if path.endswith(YAML):
        return _read_yaml(path, text)
    try:
        plain = _STRING_OR_COMMENT.sub(lambda found: found[1] or " ", text) if path.endswith(JSONC) else text
        value, count = _read_plain(plain, max_nodes=MAX_NODES, max_depth=MAX_DEPTH)
        return Reading(Document(path, text, value, count), ())
    except _NotPlainError:
        return _Reader(path, text).read()


def _read_yaml(path: str, text: str) -> Reading:
    quick = YamlReader(text, MAX_NODES, MAX_DEPTH).read(is_quick=True)
    if not quick.problems:
        return Reading(Document(path, text, quick.value, len(quick.places)), ())
    careful = YamlReader(text, MAX_NODES, MAX_DEPTH).read()
    problems = _problems_of(path, text, careful)
    document = Document(path, text, careful.value, len(careful.places)) if careful.is_complete else None
    return Reading(document, tuple(problems))


def _problems_of(path: str, text: str, reader: YamlReader) -> Iterator[SpecProblem]:
    line_starts = _line_starts(text)
    for at, pointer, rule, message in reader.problems[:MAX_PROBLEMS]:
        line = bisect_right(line_starts, at)
        yield SpecProblem(path, line, at - line_starts[line - 1] + 1, pointer_to(pointer), message, rule.id)
    if len(reader.problems) > MAX_PROBLEMS:
        message = f"has {MAX_PROBLEMS} problems or more; the rest is not shown"
        yield SpecProblem(path, 1, 1, "", message, TOO_MANY_PROBLEMS.id)


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


@lru_cache(maxsize=64)
def _places(path: str, text: str) -> tuple[dict[Pointer, Place], list[int]]:
    """Return the place of every value. Computed at the first problem, because most files have none."""
    if path.endswith(YAML):
        return YamlReader(text, MAX_NODES, MAX_DEPTH).read().places, _line_starts(text)
    reader = _Reader(path, text)
    reader.read()
    return reader.places, reader.line_starts


def _unreadable(path: str, line: int, column: int, rule: Rule, message: str) -> Reading:
    return Reading(None, (SpecProblem(path, line, column, "", message, rule.id),))


class _UnreadableError(Exception):
    """The rest of the text cannot be parsed."""


@dataclass(slots=True)
class _Reader:
    path: str
    text: str
    at: int = 0
    nodes: int = 0
    places: dict[Pointer, Place] = field(default_factory=dict[Pointer, Place])
    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])
    line_starts: list[int] = field(default_factory=list[int])
    crooked: int | None = None

    def read(self) -> Reading:
        self.line_starts = _line_starts(self.text)
        try:
            self.skip_space(())
            if not _BEGINNING.match(self.text, self.at):
                what = "is empty" if self.at >= len(self.text) else f"is not JSON: it begins with {self.next_word()}"
                raise self.stop((), JSON_SYNTAX, f"{what}; a JSON file has one value, such as an object in {{ }}")
            value = self.value((), None)
            end = self.at - 1
            self.skip_space(())
            if self.at < len(self.text):
                message = f"{self.next_word()} follows the end of the document, which closes in {self.where(end)}"
                raise self.stop((), JSON_SYNTAX, f"{message}; remove it, or move it before the end")
        except _UnreadableError:
            return Reading(None, tuple(self.problems))
        document = Document(self.path, self.text, value, len(self.places))
        return Reading(document, tuple(self.problems))

    def value(self, pointer: Pointer, key_at: int | None) -> JsonValue:
        self.places[pointer] = Place(key_at, self.at)
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
                return self.scalar(pointer, read_string)
            case _:
                return self.scalar(pointer, read_scalar)

    def object(self, pointer: Pointer) -> JsonValue:
        members: dict[str, JsonValue] = {}
        opened = self.at
        self.at += 1
        while self.has_next(pointer, opened, "}", is_first=not members):
            key_at = self.at
            key = self.scalar(pointer, read_key)
            if key in members:
                first = bisect_right(self.line_starts, self.places[*pointer, key].key or 0)
                message = f"the key {shown(key)} is used twice, first in line {first}; remove one"
                self.note((*pointer, key), DUPLICATE_KEY, message, key_at)
            self.skip_space(pointer)
            if not self.text.startswith(":", self.at):
                message = f"expected ':' after the key {shown(key)}, not {self.next_word()}"
                raise self.stop(pointer, JSON_SYNTAX, message)
            self.at += 1
            self.skip_space(pointer)
            members[key] = self.value((*pointer, key), key_at)
        return members

    def array(self, pointer: Pointer) -> JsonValue:
        items: list[JsonValue] = []
        opened = self.at
        self.at += 1
        while self.has_next(pointer, opened, "]", is_first=not items):
            items.append(self.value((*pointer, len(items)), None))
        return items

    def has_next(self, pointer: Pointer, opened: int, end: str, *, is_first: bool) -> bool:
        """Move to the next member; False after the end. Report and skip a missing or an extra comma."""
        self.skip_space(pointer)
        commas = list(self.commas(pointer))
        is_end = self.text.startswith(end, self.at)
        for needless in commas[0 if is_first else 1 :]:
            self.note(pointer, JSON_SYNTAX, "there is no value before this comma; remove it", needless)
        if is_end:
            if commas and not is_first and not self.path.endswith(JSONC):
                self.note(pointer, JSON_SYNTAX, f"the comma before '{end}' must go", commas[0])
            self.close(opened)
            return False
        if self.at >= len(self.text) or not (commas or is_first or self.is_at_member(end)):
            raise self.stop(pointer, JSON_SYNTAX, self.not_closed(opened, end))
        if not (commas or is_first):
            self.note(pointer, JSON_SYNTAX, f"there is no comma before {self.next_word()}; write one", self.at)
        return True

    def commas(self, pointer: Pointer) -> Iterator[int]:
        """Yield the places of the commas here, and move behind them."""
        while self.text.startswith(",", self.at):
            yield self.at
            self.at += 1
            self.skip_space(pointer)

    def is_at_member(self, end: str) -> bool:
        """Return whether a member of an object, or an item of a list, starts here."""
        return self.text.startswith(('"',) if end == "}" else ('"', "{", "["), self.at)

    def close(self, opened: int) -> None:
        """Move behind a closing bracket. One with less indentation than its opening line closes something else."""
        # A bracket behind something else on its line is not indented. Files of one long line have no other.
        if self.crooked is None and self.text[self.at - 1] in "\n\t ":
            line = self.line_before(self.at)
            if not line.strip() and len(line) < self.indentation(opened):
                self.crooked = opened
        self.at += 1

    def line_before(self, at: int) -> str:
        return self.text[self.line_starts[bisect_right(self.line_starts, at) - 1] : at]

    def indentation(self, at: int) -> int:
        """Return the number of spaces and tabs at the start of the line."""
        line = self.line_before(at)
        return len(line) - len(line.lstrip())

    def not_closed(self, opened: int, end: str) -> str:
        """Return the message for a bracket whose end was expected here."""
        is_empty = not self.text[opened + 1 : self.at].strip()
        first = {"}": "a key", "]": "a value"}[end] if is_empty else "','"
        message = f"expected {first} or '{end}', not {self.next_word()}"
        if self.text[self.at - 1] == '"' and self.at < len(self.text):
            return f"{message}; a quote in a string is written '\\\"'"
        if self.at >= len(self.text) and self.crooked is not None:
            bracket = f"the '{self.text[self.crooked]}' of {self.where(self.crooked)}"
            return f"{message}; as the lines are indented, it is {bracket} that is not closed"
        return f"{message}; the '{self.text[opened]}' of {self.where(opened)} is not closed"

    def where(self, at: int) -> str:
        line, column = self.line_and_column(at)
        return f"line {line}, column {column}"

    def line_and_column(self, at: int) -> tuple[int, int]:
        line = bisect_right(self.line_starts, at)
        return line, at - self.line_starts[line - 1] + 1

    def scalar(self, pointer: Pointer, read: Callable[[str, int], Scalar[_Value]]) -> _Value:
        try:
            found = read(self.text, self.at)
        except UnreadableScalarError as error:
            self.note_all(pointer, error.slips)
            raise _UnreadableError from None
        self.note_all(pointer, found.slips)
        self.at = found.end
        return found.value

    def note_all(self, pointer: Pointer, slips: Iterable[Slip]) -> None:
        for slip in slips:
            self.note(pointer, slip.rule, slip.message, slip.at)

    def skip_space(self, pointer: Pointer) -> None:
        while True:
            space = _SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            comment = _COMMENT.match(self.text, self.at)
            if comment is None:
                return
            if not self.path.endswith(JSONC):
                self.note(pointer, COMMENT, 'comments are not JSON; name the file .jsonc, or use "$comment"', self.at)
            elif comment.group().startswith("#"):
                self.note(pointer, COMMENT, "a comment starts with //", self.at)
            self.at = comment.end()

    def next_word(self) -> str:
        return next_word(self.text, self.at)

    def note(self, pointer: Pointer, rule: Rule, message: str, at: int) -> None:
        line, column = self.line_and_column(at)
        self.problems.append(SpecProblem(self.path, line, column, pointer_to(pointer), message, rule.id))
        if len(self.problems) == MAX_PROBLEMS:
            message = f"has {MAX_PROBLEMS} problems or more; the rest is not shown"
            self.problems.append(SpecProblem(self.path, 1, 1, "", message, TOO_MANY_PROBLEMS.id))
            raise _UnreadableError

    def stop(self, pointer: Pointer, rule: Rule, message: str) -> _UnreadableError:
        self.note(pointer, rule, message, self.at)
        return _UnreadableError()


class _NotPlainError(ValueError):
    """The text needs the careful reader; it may still be correct."""


def _read_plain(text: str, *, max_nodes: int, max_depth: int) -> tuple[JsonValue, int]:
    """Return the value of a text that all parsers read alike within the limits, and the number of values in it.

    Raises `_NotPlainError`.
    """
    if _SUSPICIOUS.search(text):
        raise _NotPlainError
    try:
        value = cast("JsonValue", _DECODER.decode(text))
    except (ValueError, RecursionError) as error:
        raise _NotPlainError from error
    return value, _count(value, max_nodes, max_depth)


def _count(value: JsonValue, max_nodes: int, max_depth: int) -> int:
    """Return the number of values, checking both limits."""
    level, count = [value], 1
    for _ in range(max_depth + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        if not containers:
            return count
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
        count += len(level)
        if count > max_nodes:
            break
    raise _NotPlainError


def _object(members: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    # Intern keys, because the same few hundred occur in every spec.
    value = {intern(key): member for key, member in members}
    if len(value) != len(members):
        raise _NotPlainError
    return value


def _integer(word: str) -> int:
    if len(word) > MAX_INTEGER_DIGITS:
        raise _NotPlainError
    return int(word)


def _number(word: str) -> float:
    number = float(word)
    if len(word) > MAX_INTEGER_DIGITS or math.isinf(number) or number == 0:
        raise _NotPlainError
    return number


def _constant(word: str) -> float:
    raise _NotPlainError(word)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)
