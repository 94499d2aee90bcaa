"""Find the jobs that match a filter, also by a value in their params or result: `params.customerId=42`.

The database narrows the search by an index or by text. `stores.searching` compares the parsed documents, so that the
result is exact for every number and the same on every store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter

from ..errors import InvalidOptionError
from .record import EQUAL_FILTERS, JobFilter, JobPreview, JobRecord, JobStatus
from .text_limits import is_storable

FIND_STEP = 5000
SEARCH_STEP = 500
"""Jobs of a step whose documents must be read."""

LONGEST_FIND_STEP = 10_000
MOST_CANDIDATES = 10_000
"""Most jobs that a search takes from an index. With more candidates, it scans all jobs step by step."""

MOST_SCANNED = 100_000
"""Most jobs that a page looks at, unless an index finds its jobs."""

_LARGEST_EXACT = 2**53
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ESCAPED = re.compile(r'["\\/\x00-\x1f\x7f]')


class Part(StrEnum):
    """The document to search."""

    PARAMS = "params"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class IndexedColumn:
    """An indexed column of a job's view, for the property at `pointer`: `/params/customerId`.

    `view` and `name` are SQL, in quotes if necessary. The column has integers of 64 bits if `is_integer`, else texts.
    It is NULL for any other value.
    """

    pointer: str
    view: str
    name: str
    is_integer: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A value at a place in a document. If the place is a list or inside one, any element may match.

    `text` matches the string with the same characters. If it looks like a number, `true` or `false`, it also matches
    that value, in any notation of the number. With `is_string`, it matches the string only. `column` makes the search
    faster. It never changes the result.
    """

    part: Part
    path: tuple[str, ...]
    text: str
    is_string: bool = False
    column: IndexedColumn | None = None

    @property
    def place(self) -> str:
        """Return the place without the value, for the log."""
        return "/".join(("", self.part, *(name.replace("~", "~0").replace("/", "~1") for name in self.path)))

    @property
    def is_number(self) -> bool:
        """Whether the value may be a number; a document may write it with an exponent."""
        return not self.is_string and _decimal(self.text) is not None

    @property
    def has_usable_index(self) -> bool:
        """Whether the index of `column` finds each job for which the column is not NULL.

        SQLite rounds other numbers, and no database stores other texts.
        """
        if self.column is None or not is_storable(self.text):
            return False
        if not self.column.is_integer or not self.is_number:
            return True
        number = _decimal(self.text)
        return number is not None and abs(number) <= _LARGEST_EXACT and number == number.to_integral_value()

    @property
    def indexed_value(self) -> str | int | None:
        """The value to look up in `column`, if its index is usable; None if no value of its type matches."""
        if self.column is None or not self.column.is_integer:
            return self.text
        number = _decimal(self.text) if self.is_number else None
        return None if number is None else int(number)

    def needles(self) -> list[str]:
        """Return texts; a document with this value contains one of them, or a number with an exponent."""
        # JSON text may escape any character with \u, and some with a short escape.
        found = ["\\" if _ESCAPED.search(self.text) else "\\u"]
        if is_storable(self.text):
            found.append(self.text)
        if self.is_number and (number := _NUMBER.fullmatch(self.text)):
            whole, fraction = number[1], (number[2] or "").rstrip("0").rstrip(".")
            found.append("" if number[3] else whole + fraction)
        return found

    def equals(self, value: object) -> bool:
        """Return whether a value of a document, with its numbers as `Decimal`, is the value of this condition."""
        if isinstance(value, str):
            return value == self.text
        if isinstance(value, Decimal):
            return self.is_number and value == _decimal(self.text)
        return isinstance(value, bool) and not self.is_string and self.text == ("true" if value else "false")


@dataclass(frozen=True, slots=True, kw_only=True)
class FindStep:
    """One step of a scan over all jobs by id, for the jobs of a filter.

    The step reads `limit` jobs, by default as many as are read in some ten milliseconds: the jobs after the id `after`,
    or with `newest_first` those before it. `""` starts the scan. A step with conditions reads fewer jobs if their
    documents are large. Raises `InvalidOptionError` unless `limit` is 1 to
    10,000.
    """

    filter: JobFilter
    after: str = ""
    limit: int | None = None
    newest_first: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LONGEST_FIND_STEP:
            raise InvalidOptionError(f"limit must be between 1 and {LONGEST_FIND_STEP}, not {self.limit}")

    @property
    def size(self) -> int:
        """The number of jobs to read."""
        if self.limit is not None:
            return self.limit
        return SEARCH_STEP if self.filter.where else FIND_STEP


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job that matches the filter, or whose documents could not be parsed (`is_readable` is false)."""

    id: str
    job_name: str
    status: JobStatus
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The jobs found by a step, in its order, and the `after` of the next step; None at the end of the scan."""

    jobs: tuple[FoundJob, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs, newest first, and the `before` of the next page; None after the last job.

    A page may have fewer jobs than its limit, or none, and a `next`.
    """

    jobs: tuple[JobPreview, ...]
    next: str | None


@lru_cache(maxsize=64)  # each value of a document is compared
def _decimal(text: str) -> Decimal | None:
    """Return the number that a text of JSON stands for; None if it is none, or has an exponent of 19 digits or more."""
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


def condition_in(text: str) -> Condition:
    """Parse `params.customerId=42` or `/params/customerId=42`. A value in JSON quotes matches a string only.

    Raises `InvalidOptionError`.
    """
    place, equals, value = text.partition("=")
    names = _pointer_names(place) if place.startswith("/") else place.split(".")
    if not equals or len(names) < 2 or names[0] not in set(Part) or "" in names:
        raise InvalidOptionError(
            f"{text!r} is no condition: write params.customerId=42, result.messageId=abc, or a JSON pointer such as "
            "/params/customer/id=42"
        )
    part, path = Part(names[0]), tuple(names[1:])
    if len(value) >= 2 and value[0] == value[-1] == '"':
        try:
            return Condition(part, path, json.loads(value), is_string=True)
        except ValueError:
            raise InvalidOptionError(f"the value {value} is no JSON string") from None
    return Condition(part, path, value)


_equal: Callable[[JobFilter | JobRecord], tuple[str | None, ...]] = attrgetter(*EQUAL_FILTERS)


def matches(record: JobRecord, wanted: JobFilter, now: datetime) -> bool:
    """Return whether a job matches the filter, without its `where`."""
    since = record.completed_at or record.created_at
    return (
        (wanted.statuses is None or record.status in wanted.statuses)
        and (record.is_parked or not wanted.parked)
        and all(text in (None, value) for text, value in zip(_equal(wanted), _equal(record), strict=True))
        and wanted.spec_version in (None, record.spec_version)
        and (wanted.queues is None or record.queue in wanted.queues)
        and (wanted.batch_id is None or (wanted.batch_id == record.batch_id and not record.is_completion))
        and (wanted.older_than is None or since < now - wanted.older_than)
        and (wanted.newer_than is None or since >= now - wanted.newer_than)
    )


def _pointer_names(pointer: str) -> list[str]:
    return [name.replace("~1", "/").replace("~0", "~") for name in pointer[1:].split("/")]
