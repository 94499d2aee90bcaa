"""Read the part of YAML 1.2 that JSON can express, with the place of every value.

PyYAML splits the text into events. It resolves plain words by YAML 1.1, where `no` is false and `12:30` a number. This
module resolves them by YAML 1.2. Anchors, tags and merge keys are problems.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml
from pydantic import JsonValue

from ..problems.problem import shown
from ..problems.rules import (
    DUPLICATE_KEY,
    NUMBER_OUT_OF_RANGE,
    TEXT_NOT_STORABLE,
    TOO_DEEP,
    TOO_LARGE,
    YAML_SYNTAX,
    Rule,
)
from .json_scalars import read_scalar

Pointer = tuple[str | int, ...]

_CONSTANTS: Mapping[str, JsonValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_OTHER_NUMBER = re.compile(
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Text in YAML 1.2, but line breaks for PyYAML.
_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")

_OPEN = "the quotes that open here are not closed"
_REFERENCE_INSTEAD = "put the value into $defs and refer to it with $ref"
_CLEARER = (
    ("mapping values are not allowed here", "a ':' is not possible here: check the indentation, or quote the text"),
    ("could not find expected ':'", "expected a key with ':' in this line; or indent it as the lines around it"),
    ("found character '\\t'", "a tab cannot indent; use spaces"),
    ("found unexpected end of stream", _OPEN),
    ("expected <block end>", "the indentation differs from the lines around it"),
    ("expected the node content", "expected a value here"),
)
"""Beginnings of PyYAML's messages, with clearer ones."""


class Place(NamedTuple):
    """The offsets of a value and of its key."""

    key: int | None
    value: int


class YamlProblem(NamedTuple):
    """A mistake at an offset. `pointer` leads to the value that was being read."""

    at: int
    pointer: Pointer
    rule: Rule
    message: str


class _UnreadableError(Exception):
    """The rest of the text cannot be read."""


@dataclass(slots=True)
class YamlReader:
    """Reads one text, with a limit of values and of levels.

    `read` sets `value`, `places` and `problems`. Without `is_complete`, the text ended in a problem.
    """

    text: str
    max_nodes: int
    max_depth: int
    value: JsonValue = None
    is_complete: bool = False
    places: dict[Pointer, Place] = field(default_factory=dict[Pointer, Place])
    problems: list[YamlProblem] = field(default_factory=list[YamlProblem])
    _last: Pointer = ()
    _events: Iterator[yaml.Event] = field(default_factory=lambda: iter(()))

    def read(self, *, is_quick: bool = False) -> YamlReader:
        """Read the text and return this reader. With `is_quick`, offsets and messages may be wrong, 50 times faster."""
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if is_quick else yaml.SafeLoader
        for found in _LINE_BREAKS.finditer(self.text):
            self._note(found.start(), (), YAML_SYNTAX, f"has {_code(found[0])}, {_ESCAPE_IT}")
        try:
            self._events = yaml.parse(self.text, Loader=loader)
            self._document()
            self.is_complete = True
        except _UnreadableError:
            pass
        except yaml.reader.ReaderError as error:
            character = chr(error.character) if isinstance(error.character, int) else str(error.character)
            self._note(error.position, (), YAML_SYNTAX, f"has {_code(character)}, {_ESCAPE_IT}")
        except yaml.MarkedYAMLError as error:
            self._note_syntax(error)
        return self

    def _document(self) -> None:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise self._stop(0, (), YAML_SYNTAX, "is empty; a spec is an object, such as `title: SendEmail`")
        self.value = self._value(next(self._events), (), None)
        next(self._events)  # the end of the document
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise self._stop(_start(following), (), YAML_SYNTAX, "a second document starts here; make a file of it")

    def _value(self, event: yaml.Event, pointer: Pointer, key_at: int | None) -> JsonValue:
        at = _start(event)
        self.places[pointer] = Place(key_at, at)
        self._last = pointer
        if len(self.places) > self.max_nodes:
            raise self._stop(at, pointer, TOO_LARGE, f"the file has more than {self.max_nodes:,} values; split it")
        if isinstance(event, yaml.AliasEvent):
            self._note(
                at, pointer, YAML_SYNTAX, f"*{event.anchor} is an alias, which JSON has not; {_REFERENCE_INSTEAD}"
            )
            return None
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self._check_plain(event, pointer)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, pointer)
        if len(pointer) >= self.max_depth:
            message = f"is nested more than {self.max_depth} levels deep; make it flatter"
            raise self._stop(at, pointer[:4], TOO_DEEP, message)
        return self._list(pointer) if isinstance(event, yaml.SequenceStartEvent) else self._object(pointer)

    def _list(self, pointer: Pointer) -> JsonValue:
        items: list[JsonValue] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*pointer, len(items)), None))
        return items

    def _object(self, pointer: Pointer) -> JsonValue:
        members: dict[str, JsonValue] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key_at, key = _start(event), self._key(event, pointer)
            if key in members:
                first = self.text.count("\n", 0, self.places[*pointer, key].key or 0) + 1
                message = f"the key {shown(key)} is used twice, first in line {first}; remove one"
                self._note(key_at, (*pointer, key), DUPLICATE_KEY, message)
            members[key] = self._value(next(self._events), (*pointer, key), key_at)
        return members

    def _key(self, event: yaml.Event, pointer: Pointer) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._stop(_start(event), pointer, YAML_SYNTAX, "a key must be a text")
        self._check_plain(event, pointer)
        value = self._scalar(event, pointer)
        if isinstance(value, str):
            if value == "<<" and not event.style:
                self._note(_start(event), pointer, YAML_SYNTAX, f"<< is no part of YAML 1.2; {_REFERENCE_INSTEAD}")
            return value
        self._note(_start(event), pointer, YAML_SYNTAX, f"the key {event.value or 'null'} must be in quotes, as a text")
        return str(event.value)

    def _check_plain(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, pointer: Pointer) -> None:
        """Report an anchor or a tag."""
        if event.anchor is not None:
            message = f"&{event.anchor} is an anchor, which JSON has not; {_REFERENCE_INSTEAD}"
            self._note(_start(event), pointer, YAML_SYNTAX, message)
        if event.tag is not None:
            self._note(_start(event), pointer, YAML_SYNTAX, f"{event.tag} is a tag, which JSON has not; remove it")

    def _scalar(self, event: yaml.ScalarEvent, pointer: Pointer) -> JsonValue:
        at, word = _start(event), str(event.value)
        if event.style:
            return self._storable(word, at, pointer)
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if _JSON_NUMBER.fullmatch(word):
            found = read_scalar(word, 0)
            for slip in found.slips:
                self._note(at, pointer, slip.rule, slip.message)
            return found.value
        if _NOT_FINITE.fullmatch(word):
            self._note(at, pointer, NUMBER_OUT_OF_RANGE, f"{word} is not JSON; a number is finite")
            return 0
        if _OTHER_NUMBER.fullmatch(word):
            message = f"{word} is written differently in JSON: write {_in_json(word)}, or quote it to mean a text"
            self._note(at, pointer, YAML_SYNTAX, message)
            return 0
        return word

    def _storable(self, text: str, at: int, pointer: Pointer) -> str:
        """Return the text with pairs of surrogates joined, and report what databases cannot store."""
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            message = "has a lone surrogate in a string, which is not valid Unicode; remove it"
            self._note(at, pointer, TEXT_NOT_STORABLE, message)
            text = text.encode("utf-8", "replace").decode()
        if "\0" in text:
            message = "has a NUL character in a string, which not every database can store; remove it"
            self._note(at, pointer, TEXT_NOT_STORABLE, message)
        return text

    def _note_syntax(self, error: yaml.MarkedYAMLError) -> None:
        problem = str(error.problem)
        message = next((clear for start, clear in _CLEARER if problem.startswith(start)), f"is not YAML: {problem}")
        is_open = message == _OPEN and error.context_mark is not None
        mark = error.context_mark if is_open else error.problem_mark
        self._note(mark.index if mark else 0, self._last, YAML_SYNTAX, message)

    def _note(self, at: int, pointer: Pointer, rule: Rule, message: str) -> None:
        self.problems.append(YamlProblem(at, pointer, rule, message))

    def _stop(self, at: int, pointer: Pointer, rule: Rule, message: str) -> _UnreadableError:
        self._note(at, pointer, rule, message)
        return _UnreadableError()


_ESCAPE_IT = "which parsers read differently; write it as an escape in double quotes"


def _start(event: yaml.Event) -> int:
    return int(event.start_mark.index)


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def _in_json(word: str) -> str:
    """Return how JSON writes a number of YAML."""
    if word[:2] in ("0o", "0x"):
        return str(int(word, 0))
    return str(int(word)) if word.lstrip("+-").isdecimal() else repr(float(word))
