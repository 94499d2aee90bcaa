"""Filters of jobs, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Self

from ...errors import InvalidOptionError
from ..text_limits import check_text
from .job import JobStatus

if TYPE_CHECKING:
    from ..search import Condition

LONGEST_PAGE = 1000


class TextFilter(NamedTuple):
    """The description of a field of `JobFilter` that chooses jobs by one text, in the metadata of the field.

    Statements, HTTP, the command line and forms follow from it.
    """

    about: str
    """The chosen jobs in one sentence, which begins with `Only jobs`."""
    option: str
    """The name on the command line and in addresses of forms, with `_` between words."""
    metavar: str = "ID"
    is_equal: bool = True
    """Whether the column with the name of the field has this text. If not, statements state the condition."""


def _text(about: str, option: str, metavar: str = "ID", *, is_equal: bool = True) -> Mapping[str, TextFilter]:
    """Return the metadata of a field."""
    return {"filter": TextFilter(about, option, metavar, is_equal)}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Jobs that match every given field. Without fields: all jobs.

    `status` is one status, or several. `parked`: only parked jobs. `batch_id`: only jobs of this batch, without its
    completion job. The age of a job counts from its end, or from its creation while it is unfinished: `older_than` and
    `newer_than` compare it with the time of the store. `where` has conditions on values of params and result. Raises
    `InvalidOptionError` for a negative age, and for texts with NUL characters or lone surrogates.
    """

    status: JobStatus | tuple[JobStatus, ...] | None = None
    parked: bool = False
    job_name: str | None = field(default=None, metadata=_text("Only jobs of this name.", "job", "NAME"))
    spec_version: int | None = None
    queues: tuple[str, ...] | None = None
    error_class: str | None = field(
        default=None, metadata=_text("Only jobs whose last failure was this exception.", "error_class", "NAME")
    )
    correlation_id: str | None = field(
        default=None, metadata=_text("Only jobs with this correlation id.", "correlation_id")
    )
    worker_id: str | None = field(default=None, metadata=_text("Only jobs that this worker claimed last.", "worker"))
    batch_id: str | None = field(
        default=None,
        metadata=_text("Only jobs of this batch, without its completion job.", "batch", is_equal=False),
    )
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        for name in TEXT_FILTERS:
            text: str | None = getattr(self, name)
            if text is not None:
                check_text(name, text)
        for queue in self.queues or ():
            check_text("queues", queue)
        for name in ("older_than", "newer_than"):
            age: timedelta | None = getattr(self, name)
            if age is not None and age < timedelta(0):
                raise InvalidOptionError(f"{name} must not be negative, and is {age}")

    def with_texts(self, texts: Mapping[str, str | None]) -> Self:
        """Return the filter with other texts, by the names of `TEXT_FILTERS`."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return type(self)(**{**given, **texts})

    @property
    def statuses(self) -> tuple[JobStatus, ...] | None:
        """The statuses that match; None: any."""
        return (self.status,) if isinstance(self.status, JobStatus) else self.status


TEXT_FILTERS: Mapping[str, TextFilter] = {
    one.name: one.metadata["filter"] for one in fields(JobFilter) if "filter" in one.metadata
}
"""The fields of `JobFilter` that choose jobs by one text, by name."""
EQUAL_FILTERS = tuple(name for name, one in TEXT_FILTERS.items() if one.is_equal)
"""The names of those that compare a column with the text."""
EVERY_JOB = JobFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery(JobFilter):
    """A page of jobs that match the filter, newest first. `before` is the last id of the page before.

    `ids`: only jobs with these ids. A page has no `where`: `find` the ids first. Raises `InvalidOptionError` for a
    `where`, unless `limit` is 1 to 1000, and as `JobFilter` does.
    """

    before: str | None = None
    limit: int = 50
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        JobFilter.__post_init__(self)  # a class with slots has no `super()` here
        given: object = self.limit  # callers may not use a type checker
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= LONGEST_PAGE:
            raise InvalidOptionError(f"limit must be a whole number between 1 and {LONGEST_PAGE}, not {given!r}")
        if self.before is not None:
            check_text("before", self.before)
        if self.where:
            raise InvalidOptionError("a page of jobs has no `where`; find the ids of the jobs first")

    @classmethod
    def of(
        cls, wanted: JobFilter, *, before: str | None = None, limit: int = 50, ids: tuple[str, ...] | None = None
    ) -> JobQuery:
        """Return the page for a filter."""
        given = {one.name: getattr(wanted, one.name) for one in fields(JobFilter)}
        return cls(**given, before=before, limit=limit, ids=ids)


@dataclass(frozen=True, slots=True)
class JobCount:
    """The number of jobs with one name and status, and how many of them are parked."""

    job_name: str
    status: JobStatus
    count: int
    parked: int = 0
