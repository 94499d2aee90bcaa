"""Options of a spec under `x-job`: queue, retries, limits, schedules. Generated job classes have these values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from ..errors import InvalidOptionError
from .outcomes import LONGEST_DELAY
from .retry import RetryPolicy
from .text_limits import LONGEST_NAME, LONGEST_SCHEDULE_NAME, check_text

LOWEST_PRIORITY = -100
HIGHEST_PRIORITY = 100
MOST_ATTEMPTS = 10_000
MOST_JOBS_PER_REQUEST = 1_000
"""The most jobs that one HTTP request enqueues, so that its transaction is short."""
WORKER, PROCESS = BUILT_IN_PLACES = ("worker", "process")
"""The places of handlers that need no plug-in, as `run_in` names them."""
HIGHEST_LIMIT = 100_000
HIGHEST_MISFIRE_LIMIT = 1_000
SHORTEST_PERIOD = timedelta(milliseconds=1)
LONGEST_PERIOD = timedelta(days=31)


class Misfire(StrEnum):
    """Slots that fire late, after a time without a scheduler: none, the newest, or all."""

    SKIP = "skip"
    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"


class OnConflict(StrEnum):
    """The effect of an enqueue if an unfinished job has its unique key: keep that job, or put the new one in its place.

    `REPLACE`: a pending job gets the params and options of the call, and stays due when it was (throttle).
    `RESCHEDULE`: it also becomes due when the call says (debounce). If the job is running, both store a new job, which
    starts after the running one has ended. The running one is not retried.
    """

    KEEP = "keep"
    REPLACE = "replace"
    RESCHEDULE = "reschedule"


class ScheduleSource(StrEnum):
    """The origin of a stored schedule: code and specs declare it, or a call at run time added it."""

    DECLARED = "declared"
    ADDED = "added"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One recurring run of a job.

    `cron` has five fields, in `timezone` (an IANA name). `params` is the JSON text of the params of each run. `name` is
    unique within the job, and has at most 99 characters. With `misfire` FIRE_ALL, at most the newest `misfire_limit`
    late slots fire; it is None or 1 to 1,000, and None for other policies. Raises
    `InvalidOptionError`.
    """

    name: str
    cron: str
    timezone: str = "UTC"
    misfire: Misfire = Misfire.FIRE_ONCE
    misfire_limit: int | None = None
    params: str = "{}"

    def __post_init__(self) -> None:
        check_text("the name of a schedule", self.name, LONGEST_SCHEDULE_NAME)
        if self.misfire_limit is None:
            return
        check_range("misfire_limit", self.misfire_limit, 1, HIGHEST_MISFIRE_LIMIT)
        if self.misfire != Misfire.FIRE_ALL:
            raise InvalidOptionError(f"misfire_limit works only with Misfire.FIRE_ALL, not with {self.misfire!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimit:
    """At most `limit` runs at a time over all workers, for the job or per value at `by`.

    `by` lists JSON pointers into the params. Raises `InvalidOptionError` unless `limit` is 1 to 100,000.
    """

    limit: int
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("concurrency.limit", self.limit, 1, HIGHEST_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `limit` starts within any interval of length `per` over all workers, including retries.

    `by` is the same as for `ConcurrencyLimit`.

    Raises `InvalidOptionError` unless `limit` is 1 to 100,000 and `per` 1 millisecond to 31 days.
    """

    limit: int
    per: timedelta
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("rate.limit", self.limit, 1, HIGHEST_LIMIT)
        if not SHORTEST_PERIOD <= self.per <= LONGEST_PERIOD:
            raise InvalidOptionError(f"rate.per must be between 1 millisecond and 31 days, not {self.per}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Time that finished jobs are kept, by status; None: forever. Raises `InvalidOptionError` if negative."""

    completed: timedelta | None = None
    failed: timedelta | None = None
    cancelled: timedelta | None = None

    def __post_init__(self) -> None:
        for name, length in (("completed", self.completed), ("failed", self.failed), ("cancelled", self.cancelled)):
            if length is not None and length < timedelta(0):
                raise InvalidOptionError(f"retention.{name} must not be negative, and is {length}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Options of all jobs of one spec. `later()` may override some of them for one job.

    `priority` is -100 to 100; higher numbers run first. `timeout` limits one attempt (None: no limit). If no attempt
    starts within `expires_after` after the due time, the job is cancelled (None: no limit). `unique_by` lists JSON
    pointers into the params: at most one unfinished job has the same values there. `on_conflict` says what happens to
    another one. `concurrency` and `rate` limit the claims of workers. `shard_by` is a pointer to the text or whole
    number that chooses the database of a job (None: none). The keys of `unique` and of both limits must contain it.
    `redact` lists pointers to values that tools hide. `run_in` is the place of the handler: "worker" (async in its
    event loop, plain in a thread), "process" for its own process, or a place that a plug-in brings. Workers check the
    name when they start. `place_options` has the options of such a place, as JSON values by their names in specs. A
    `retired` job cannot be enqueued; queued ones still run.
    """

    version: int = 1
    queue: str = "default"
    priority: int = 0
    max_attempts: int = 3
    timeout: timedelta | None = None
    expires_after: timedelta | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    unique_by: tuple[str, ...] | None = None
    on_conflict: OnConflict = OnConflict.KEEP
    concurrency: ConcurrencyLimit | None = None
    rate: RateLimit | None = None
    shard_by: str | None = None
    retention: Retention = field(default_factory=Retention)
    redact: tuple[str, ...] = ()
    run_in: str = WORKER
    place_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    retired: bool = False

    def __post_init__(self) -> None:
        check_range("version", self.version, 1, 2**31 - 1)
        check_text("queue", self.queue, LONGEST_NAME)
        check_range("priority", self.priority, LOWEST_PRIORITY, HIGHEST_PRIORITY)
        check_range("max_attempts", self.max_attempts, 1, MOST_ATTEMPTS)
        if self.timeout is not None and self.timeout <= timedelta(0):
            raise InvalidOptionError(f"timeout must be longer than zero, not {self.timeout}")
        if self.expires_after is not None and not SHORTEST_PERIOD <= self.expires_after <= LONGEST_DELAY:
            raise InvalidOptionError(
                f"expires_after must be between 1 millisecond and {LONGEST_DELAY.days} days, not {self.expires_after}"
            )
        if self.on_conflict not in list(OnConflict):
            values = ", ".join(f"OnConflict.{one.name}" for one in OnConflict)
            raise InvalidOptionError(f"on_conflict must be one of {values}, not {self.on_conflict!r}")
        object.__setattr__(self, "on_conflict", OnConflict(self.on_conflict))  # a caller may give its text
        check_text("run_in", self.run_in, LONGEST_NAME)
        if self.place_options and self.run_in in BUILT_IN_PLACES:
            raise InvalidOptionError(f"place_options are for places of plug-ins, and run_in is {self.run_in!r}")
        if self.shard_by is not None:
            _check_shard_by(self, self.shard_by)


def keys_across_databases(shard_by: str, options: JobOptions) -> Iterator[str]:
    """Yield the options whose keys lack the value at `shard_by`, so that jobs of two databases could share one.

    A key contains the value if it has this pointer, or a pointer to a part around it.
    """
    unique, concurrency, rate = options.unique_by, options.concurrency, options.rate
    keys = {
        "unique": unique,
        "concurrency": None if concurrency is None else concurrency.by,
        "rate": None if rate is None else rate.by,
    }
    for name, by in keys.items():
        if by is not None and not any(f"{shard_by}/".startswith(f"{pointer}/") for pointer in by):
            yield name


def _check_shard_by(options: JobOptions, shard_by: str) -> None:
    if not shard_by.startswith("/"):
        raise InvalidOptionError(f"shard_by must be a JSON pointer into params such as '/tenant', not {shard_by!r}")
    for name in keys_across_databases(shard_by, options):
        raise InvalidOptionError(f"{name} must go by {shard_by!r} too, as shard_by does: databases share no keys")


def check_duration(name: str, value: timedelta) -> None:
    """Raise `InvalidOptionError` unless the value is a timedelta of zero or more."""
    given: object = value  # callers may not use a type checker
    if not isinstance(given, timedelta) or given < timedelta(0):
        raise InvalidOptionError(f"{name} must be a timedelta that is not negative, not {given!r}")


def check_longer_than_zero(name: str, value: timedelta) -> None:
    """Raise `InvalidOptionError` unless the value is a timedelta of more than zero."""
    if isinstance(value, timedelta) and value <= timedelta(0):
        raise InvalidOptionError(f"{name} must be longer than zero, not {value}")
    check_duration(name, value)


def check_range(name: str, value: int, lowest: int, highest: int) -> None:
    """Raise `InvalidOptionError` unless the value is a whole number and `lowest <= value <= highest`."""
    given: object = value  # callers may not use a type checker
    if not isinstance(given, int) or isinstance(given, bool):
        raise InvalidOptionError(f"{name} must be a whole number between {lowest} and {highest}, not {given!r}")
    if not lowest <= value <= highest:
        raise InvalidOptionError(f"{name} must be between {lowest} and {highest}, not {value}")
