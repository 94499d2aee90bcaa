"""Jobs with a given value in their params or result: `params.customerId=42`.

The database only narrows the search by text. The comparison itself is done here, on the parsed document, so that it is
exact for every number, the same on every store, and no part of any statement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from ..errors import InvalidOptionError
from .record import JobStatus
from .text_limits import is_storable

SEARCH_STEP = 500

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ESCAPED = re.compile(r'["\\/\x00-\x1f\x7f]')


class Part(StrEnum):
    """The document of a job in which a value is looked for."""

    PARAMS = "params"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class Condition:
    """A value at a place of a document. Where the place is in a list, or is one, any of its elements may have it.

    `text` equals a string of these characters; if it is written like a number, `true` or `false`, it also equals that
    value, however the number is written. `is_string`: only the string.
    """

    part: Part
    path: tuple[str, ...]
    text: str
    is_string: bool = False

    @property
    def place(self) -> str:
        """The place without the value, for the log."""
        return "/".join(("", self.part, *(name.replace("~", "~0").replace("/", "~1") for name in self.path)))

    @property
    def is_number(self) -> bool:
        """Whether the value may be a number, which a document may write with an exponent."""
        return not self.is_string and _NUMBER.fullmatch(self.text) is not None

    def holds_for(self, document: str | None) -> bool:
        """Return whether the value is there. Raises `ValueError` for a document that is not JSON."""
        if document is None:
            return False
        try:
            parsed: object = json.loads(document, parse_int=Decimal, parse_float=Decimal)
        except (ArithmeticError, RecursionError) as error:
            raise ValueError(str(error)) from error
        return any(self._equals(value) for value in _values(parsed, self.path))

    def needles(self) -> list[str]:
        """Texts of which every document with this value has at least one, unless it writes a number with exponent."""
        # In the text of a document, any character may be written with \u, and some have short escapes as well.
        found = ["\\" if _ESCAPED.search(self.text) else "\\u"]
        if is_storable(self.text):
            found.append(self.text)
        if self.is_number and (number := _NUMBER.fullmatch(self.text)):
            whole, fraction = number[1], (number[2] or "").rstrip("0").rstrip(".")
            found.append("" if number[3] else whole + fraction)
        return found

    def _equals(self, value: object) -> bool:
        if isinstance(value, str):
            return value == self.text
        if isinstance(value, Decimal):
            return self.is_number and value == Decimal(self.text)
        return isinstance(value, bool) and not self.is_string and self.text == ("true" if value else "false")


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One step of a walk over all jobs by id: look at the `limit` that follow the id `after`."""

    conditions: tuple[Condition, ...]
    job_name: str | None = None
    after: str = ""
    limit: int = SEARCH_STEP


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job for which every condition holds. `is_readable` is false if its documents could not be searched."""

    id: str
    job_name: str
    status: JobStatus
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The jobs that a step found, and the id where the walk goes on; None: it has seen all jobs."""

    jobs: tuple[FoundJob, ...]
    after: str | None


def condition_in(text: str) -> Condition:
    """Read `params.customerId=42` or `/params/customerId=42`; a value in JSON quotes is a string only.

    Raises `InvalidOptionError`.
    """
    place, equals, value = text.partition("=")
    names = _pointer_names(place) if place.startswith("/") else place.split(".")
    if not equals or len(names) < 2 or names[0] not in set(Part) or "" in names:
        raise InvalidOptionError(
            f"{text!r} is no condition: write params.customerId=42, result.messageId=abc, or a JSON pointer such as "
            "/params/customer.id=42"
        )
    part, path = Part(names[0]), tuple(names[1:])
    if len(value) >= 2 and value[0] == value[-1] == '"':
        try:
            return Condition(part, path, json.loads(value), is_string=True)
        except ValueError:
            raise InvalidOptionError(f"the value {value} is no JSON string") from None
    return Condition(part, path, value)


def search_document(step: SearchStep, job: FoundJob, params: str, result: str | None) -> FoundJob | None:
    """Return the job if every condition holds for these documents, None otherwise.

    A job whose documents are no JSON is returned as unreadable if they have the text of the value.
    """
    documents = {Part.PARAMS: params, Part.RESULT: result}
    try:
        return job if all(one.holds_for(documents[one.part]) for one in step.conditions) else None
    except ValueError:
        text = documents[step.conditions[0].part] or ""
        if not any(needle in text for needle in step.conditions[0].needles()):
            return None
        return FoundJob(job.id, job.job_name, job.status, is_readable=False)


def _pointer_names(pointer: str) -> list[str]:
    return [name.replace("~1", "/").replace("~0", "~") for name in pointer[1:].split("/")]


def _values(node: object, path: tuple[str, ...]) -> Iterator[object]:
    if isinstance(node, list):
        for item in node:
            yield from _values(item, path)
    elif not path:
        yield node
    elif isinstance(node, dict) and path[0] in node:
        yield from _values(node[path[0]], path[1:])
