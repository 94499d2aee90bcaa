"""A job as a source states it, before it becomes a spec. Every source returns this form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeVar

from pydantic import JsonValue
from server_jobs.domain.options import JobOptions, Schedule
from server_jobs.errors import ServerJobsError
from server_jobs_generator.problems.problem import shown
from server_jobs_generator.read.keywords import DEFINITIONS, Schema

Item = TypeVar("Item")

ANY_ERROR = (Exception, SystemExit)
"""What code of a source may raise: defaults, validators, hints and objects of other queues."""

_LONGEST_REASON = 300

VALUE = "value"
"""The property for params and results that are no objects."""


class ImportSourceError(ServerJobsError):
    """A target that has no jobs of this kind, or cannot be read. The message says what to change."""


class Decision(Enum):
    """The answer of a source to a value: accepted as it is, accepted after a conversion ("1" to 1), or refused."""

    ACCEPTS = "accepts"
    CONVERTS = "converts"
    REFUSES = "refuses"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of a source that its spec does not have.

    `place` is the part in the source, such as `shop.tasks:send_email(to)` or `order.json#/properties/sku/pattern`.
    `what` names it, `why` says why the spec lacks it, `advice` says what to do.
    """

    place: str
    what: str
    why: str
    advice: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}: {self.why}; {self.advice}"


class SourceType(Protocol):
    """The type in a source that validates params or writes a result."""

    def decide(self, value: JsonValue) -> Decision:
        """Return what the source does with a JSON value."""
        ...

    def written(self, value: JsonValue) -> JsonValue:
        """Return the JSON that the source writes for a value that it read. Raises `ValueError` if it refuses it."""
        ...


@dataclass(frozen=True, slots=True)
class FoundPart:
    """Params or a result: a JSON Schema of draft 2020-12 with its own `$defs`.

    `type` decides about values as the source does. Without it, the spec cannot be compared with its source. `secrets`
    are the pointers of the values to redact.
    """

    schema: Schema
    type: SourceType | None = None
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundJob:
    """One job of a source.

    `name` is the name in the source, such as `send_email`. `place` is where it is defined, for messages. Options equal
    to the defaults of `JobOptions` are left out of the spec. The params of `schedules` are JSON text, with the names of
    the spec. `result` is None if the job returns nothing. `is_plain` is true for a function without `async`.
    """

    name: str
    place: str
    params: FoundPart | None = None
    result: FoundPart | None = None
    description: str | None = None
    options: JobOptions = field(default_factory=JobOptions)
    schedules: tuple[Schedule, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """All jobs of one or more targets, the jobs that cannot become specs, and the parts that belong to no job."""

    jobs: tuple[FoundJob, ...]
    failed: tuple[LeftOut, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


class Source(Protocol):
    """Find the jobs of targets.

    `targets` are the arguments of the command. `folders` are the folders from which modules are imported. Raises
    `ImportSourceError` for a target that has no job, and `ProjectError` for a module that cannot be imported.
    """

    def __call__(self, targets: Sequence[str], folders: Sequence[str]) -> Found: ...


def found_each(items: Iterable[tuple[str, Item]], read: Callable[[str, Item], FoundJob]) -> Found:
    """Return the job of each item, which comes with its place. An item that has no spec is among the failed ones.

    `read` gets the place and the item, and raises `ImportSourceError` for an item without a spec. Code of the
    source, such as a default or a validator, may raise anything else.
    """
    jobs: list[FoundJob] = []
    failed: list[LeftOut] = []
    for place, item in items:
        try:
            jobs.append(read(place, item))
        except ANY_ERROR as error:  # one job must not stop the others
            failed.append(LeftOut(place, "job", reason(error), "change it, then import it"))
    return Found(tuple(jobs), tuple(failed))


def reason(error: BaseException) -> str:
    """Return the message of an error of ours, or the class and the text of another one, in one line."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  a class of the source
        text = ""
    if isinstance(error, ServerJobsError):
        return text
    return ": ".join(filter(None, (type(error).__name__, " ".join(text.split())[:_LONGEST_REASON])))


def joined(found: Iterable[Found]) -> Found:
    """Return the jobs of all of these."""
    each = list(found)
    return Found(
        tuple(job for one in each for job in one.jobs),
        tuple(part for one in each for part in one.failed),
        tuple(part for one in each for part in one.left_out),
    )


def wrapped(place: str, schema: Schema) -> LeftOut:
    """Return the note for a value that is no object, and that the spec has as the property `value`."""
    stated = {key: value for key, value in schema.items() if key not in DEFINITIONS}
    return LeftOut(
        place,
        f"a value that is no object, such as {shown(stated)}",
        "params and results are objects",
        f'the spec has it as the property "{VALUE}": pass or return it under this name',
    )
