"""The values of a form: texts of fields into a document, a document into texts, and problems at their fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf

from pydantic import JsonValue
from server_jobs.errors import Problem

from .fields import Field, Kind

_LONG = 20_000  # characters of JSON text whose indents would take the event loop too long
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Filled:
    """A form with texts by pointer, and problems by pointer. `general` are problems of no field.

    An empty text among `texts` is there on purpose.
    """

    root: Field
    texts: Mapping[str, str]
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    general: Sequence[str] = ()

    def text(self, one: Field) -> str:
        """Return the text of a field."""
        return self.texts.get(one.pointer, "")

    def is_empty(self, one: Field) -> bool:
        """Whether the value of a field is the empty text."""
        return self.texts.get(one.pointer) == ""

    def problems_of(self, one: Field) -> Sequence[str]:
        """Return the problems of a field."""
        return self.problems.get(one.pointer, ())


def texts_of(root: Field, document: JsonValue, hidden: Sequence[str] = ()) -> dict[str, str]:
    """Return the texts of the fields for a document. Fields at the `hidden` pointers stay empty."""
    texts: dict[str, str] = {}
    _add_texts(root, document, frozenset(hidden), texts)
    return texts


def _add_texts(one: Field, value: JsonValue, hidden: frozenset[str], texts: dict[str, str]) -> None:
    if one.pointer in hidden:
        return
    is_covered = any(pointer.startswith(f"{one.pointer}/") for pointer in hidden)
    if one.kind is Kind.OBJECT and isinstance(value, dict):
        for child in one.children:
            name = child.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
            if name in value:
                _add_texts(child, value[name], hidden, texts)
    elif not is_covered and one.kind is not Kind.OBJECT:
        texts[one.pointer] = _text(one, value)


def _text(one: Field, value: JsonValue) -> str:
    if one.kind is Kind.LINES and isinstance(value, list):
        return "\n".join(element if isinstance(element, str) else json.dumps(element) for element in value)
    if one.kind is Kind.JSON:
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) > _LONG else json.dumps(value, indent=2, ensure_ascii=False)
    if one.kind in (Kind.TEXT, Kind.LONG, Kind.TIME) and isinstance(value, str):
        return value
    return "" if value is None and one.may_be_null else json.dumps(value, ensure_ascii=False)


def document_of(root: Field, form: Mapping[str, Sequence[str]]) -> tuple[JsonValue, dict[str, str], list[Problem]]:
    """Return the document that a form describes, the sent texts, and the problems of fields with JSON.

    An empty field is left out, unless its box says that the text is empty on purpose. Numbers that are none stay
    texts, so that the spec refuses them at their place.
    """
    texts = {
        one.pointer: text
        for one in root.all()
        if (text := form.get(one.name, ("",))[-1].replace("\r\n", "\n")) or one.empty_name in form
    }
    problems: list[Problem] = []
    if root.kind is not Kind.OBJECT:
        return _value(root, texts.get("", ""), problems), texts, problems
    return _members(root, texts, problems), texts, problems


def _members(one: Field, texts: Mapping[str, str], problems: list[Problem]) -> dict[str, JsonValue]:
    members: dict[str, JsonValue] = {}
    for child in one.children:
        name = child.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
        if child.kind is Kind.OBJECT:
            if not child.is_required and not any(one.pointer in texts for one in child.all()):
                continue
            members[name] = _members(child, texts, problems)
        elif child.pointer in texts or _is_sent_empty(child):
            members[name] = _value(child, texts.get(child.pointer, ""), problems)
    return members


def _is_sent_empty(one: Field) -> bool:
    """Whether an empty field is a value: the empty list of a required field, or null."""
    return one.is_required and (one.may_be_null or one.kind is Kind.LINES)


def _value(one: Field, text: str, problems: list[Problem]) -> JsonValue:
    if text == "" and one.may_be_null:
        return None
    match one.kind:
        case Kind.LINES:
            lines = [line for line in text.split("\n") if line.strip()]
            return [line if one.item == "string" else _number(line.strip()) for line in lines]
        case Kind.INTEGER | Kind.NUMBER:
            return _number(text.strip())
        case Kind.BOOLEAN | Kind.CHOICE | Kind.JSON:
            return _json(one, text, problems)
        case _:
            return text


def _number(text: str) -> JsonValue:
    if _NUMBER.fullmatch(text) is None:
        return text
    try:
        value: JsonValue = json.loads(text)
    except ValueError:  # more digits than Python reads
        return text
    return text if isinstance(value, float) and isinf(value) else value


def _json(one: Field, text: str, problems: list[Problem]) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:
        problems.append(Problem(one.pointer, f"This is not JSON: {error}"))
        return None
    return value


def placed(root: Field, found: Sequence[Problem]) -> tuple[dict[str, list[str]], list[str]]:
    """Return problems by the pointer of their field, and the other problems. No text shows a value."""
    pointers = {one.pointer for one in root.all() if one.kind is not Kind.OBJECT}
    at_fields: dict[str, list[str]] = {}
    general: list[str] = []
    for problem in found:
        place = _place(problem.pointer, pointers)
        if place is None:
            general.append(
                f"{problem.pointer}: {problem.without_values}" if problem.pointer else problem.without_values
            )
            continue
        inside = problem.pointer.removeprefix(place).lstrip("/")
        line = f"Line {int(inside) + 1}: " if inside.isascii() and inside.isdigit() else f"{inside}: " if inside else ""
        at_fields.setdefault(place, []).append(line + problem.without_values)
    return at_fields, general


def _place(pointer: str, pointers: set[str]) -> str | None:
    """Return the longest pointer of a field at or above a place."""
    while pointer not in pointers:
        if not pointer:
            return None
        pointer = pointer.rpartition("/")[0]
    return pointer
