"""Enqueued jobs, and their comparison with the expectation of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic

from pydantic import BaseModel, RootModel
from pydantic_core import to_jsonable_python

from ..definition import AnyDefinition, P
from ..domain.clock import exact_length
from ..domain.enqueue_options import ENQUEUE_OPTIONS
from ..domain.record import JobRecord
from ..domain.suggestions import closest
from ..errors import InvalidOptionError
from ..registry import JobRegistry

OPTIONS = tuple(sorted({"queue", *ENQUEUE_OPTIONS} - {"expires_after", "on_conflict"}))
"""The options of an enqueue that a job keeps, and its queue."""

_TOLERANCE = timedelta(seconds=1)
_SHOWN = 20
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class EnqueuedJob(Generic[P]):
    """A job that the code under test enqueued: its typed params, and its record."""

    job_name: str
    params: P
    record: JobRecord

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.record.id

    @property
    def delay(self) -> timedelta:
        """The time from the enqueue until the job becomes due."""
        return max(timedelta(0), self.record.scheduled_for - self.record.created_at)

    def __str__(self) -> str:
        shown = f"{self.job_name}({_written(self.params)}) in queue {self.record.queue}"
        if self.delay:
            shown += f", delay {exact_length(self.delay)}"
        return f"{shown}, {self.record.status}"

    def fits(self, expected: Mapping[str, object]) -> bool:
        """Whether the expected params and options have these values."""
        return all(self._fits(name, value) for name, value in expected.items())

    def _fits(self, name: str, value: object) -> bool:
        if (actual := _value_of(_inner(self.params), name)) is not _ABSENT:
            return _is_equal(value, actual)
        if name == "delay" and isinstance(value, timedelta):
            return abs(self.delay - value) <= _TOLERANCE
        if name == "scheduled_for" and isinstance(value, datetime):
            return abs(self.record.scheduled_for - value.astimezone(UTC)) <= _TOLERANCE
        return name in OPTIONS and bool(getattr(self.record, name, _ABSENT) == value)


Find = Callable[[AnyDefinition | None, Mapping[str, object]], Sequence[EnqueuedJob[Any]]]
"""A search for enqueued jobs by their class, params and options."""


def check_names(job: AnyDefinition | None, names: Iterable[str]) -> None:
    """Raise `InvalidOptionError` for a name that is neither a param of the job nor an option, and for no job class."""
    if job is not None and not isinstance(job, type):
        raise InvalidOptionError(f"pass the job class, such as SendEmail, not {job!r}")
    model = None if job is None else job.params_model
    is_open = model is not None and (issubclass(model, RootModel) or model.model_config.get("extra") == "allow")
    known = [*(model.model_fields if model is not None else ()), *OPTIONS]
    for name in names:
        if name in known or is_open:
            continue
        close = closest(name, known)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
        what = "any job has no option" if job is None else f"{job.job_name} has no param or option"
        raise InvalidOptionError(f"{what} {name!r}; {hint}")


def described(job: AnyDefinition | None, expected: Mapping[str, object]) -> str:
    """Return the expectation as text."""
    name = "job" if job is None else job.job_name
    return f"{name} with {', '.join(f'{key}={value!r}' for key, value in expected.items())}" if expected else name


def enqueued_among(
    records: Iterable[JobRecord], registry: JobRegistry, job: AnyDefinition | None, expected: Mapping[str, object]
) -> list[EnqueuedJob[Any]]:
    """Return the records that are of this job, with these params and options."""
    check_names(job, expected)
    mine = (one for one in records if job is None or one.job_name == job.job_name)
    enqueued = (EnqueuedJob(one.job_name, _params_of(one, job or registry.get(one.job_name)), one) for one in mine)
    return [one for one in enqueued if one.fits(expected)]


def expect_one(find: Find, job: AnyDefinition, expected: Mapping[str, object]) -> EnqueuedJob[Any]:
    """Return the first job that `find` finds. Raises `AssertionError`, which lists other jobs."""
    __tracebackhide__ = True
    if found := find(job, expected):
        return found[0]
    instead = find(job, {}) or find(None, {})
    message = f"no {described(job, expected)} was enqueued"
    raise AssertionError(listed(f"{message}, but:", instead) if instead else f"{message}, and no other job")


def expect_none(find: Find, job: AnyDefinition | None, expected: Mapping[str, object]) -> None:
    """Raise `AssertionError` if `find` finds a job."""
    __tracebackhide__ = True
    if found := find(job, expected):
        raise AssertionError(listed(f"unexpected {described(job, expected)}:", found))


def listed(title: str, jobs: Sequence[EnqueuedJob[Any]]) -> str:
    """Return the jobs as lines below a title."""
    lines = [f"  {job}" for job in jobs[:_SHOWN]]
    if len(jobs) > _SHOWN:
        lines.append(f"  and {len(jobs) - _SHOWN} more")
    return "\n".join([title, *lines])


def _params_of(record: JobRecord, job: AnyDefinition | None) -> BaseModel:
    return RootModel[object].model_validate_json(record.params) if job is None else job.read_params(record)


def _written(params: BaseModel) -> str:
    shown = params.model_dump() if not isinstance(params, RootModel) else {"root": params.root}
    return ", ".join(f"{name}={value!r}" for name, value in shown.items())


def _inner(params: object) -> object:
    return _inner(params.root) if isinstance(params, RootModel) else params


def _value_of(holder: object, name: str) -> object:
    if isinstance(holder, Mapping):
        return holder.get(name, _ABSENT)
    if not isinstance(holder, BaseModel):
        return _ABSENT
    if name in type(holder).model_fields or name in (holder.model_extra or ()):
        return getattr(holder, name)
    return next(
        (getattr(holder, field) for field, info in type(holder).model_fields.items() if info.alias == name), _ABSENT
    )


def _is_equal(expected: object, actual: object) -> bool:
    """Whether a value is as expected: equal in Python or as JSON. Of an expected mapping, only its keys count."""
    actual = _inner(actual)
    if expected == actual:
        return True
    if isinstance(expected, Mapping):
        return all(_is_equal(value, _value_of(actual, str(name))) for name, value in expected.items())
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return len(expected) == len(actual) and all(map(_is_equal, expected, actual))
    return actual is not _ABSENT and bool(expected == to_jsonable_python(actual))
