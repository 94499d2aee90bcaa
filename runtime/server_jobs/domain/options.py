"""Options of a spec under `x-job`: queue, retries, limits, schedules. Generated job classes have these values.

Each field describes its option: the kind of value with its limits, and the words that people read. The JSON Schema of
specs, the checks of specs, job classes, documents and the reference follow from that. `option_kinds` has the kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypedDict

from ..errors import InvalidOptionError
from .option_kinds import (
    Choice,
    Cron,
    Group,
    Inside,
    Length,
    Name,
    ParamsText,
    PlaceName,
    Pointers,
    ShardPointer,
    Share,
    Switch,
    Timezone,
    Whole,
    check_fields,
    option,
)
from .outcomes import LONGEST_DELAY
from .text_limits import LONGEST_NAME, LONGEST_SCHEDULE_NAME

WORKER, PROCESS = BUILT_IN_PLACES = ("worker", "process")
"""The places of handlers that need no plug-in, as `run_in` names them."""
LOWEST_PRIORITY = -100
HIGHEST_PRIORITY = 100
MOST_ATTEMPTS = 10_000
MOST_JOBS_PER_REQUEST = 1_000
"""The most jobs that one HTTP request enqueues, so that its transaction is short."""
HIGHEST_LIMIT = 100_000
HIGHEST_MISFIRE_LIMIT = 1_000
SHORTEST_PERIOD = timedelta(milliseconds=1)
LONGEST_PERIOD = timedelta(days=31)
_LONGEST_RETRY = timedelta(days=365)


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


class Backoff(StrEnum):
    """The growth of the delay: doubling, in equal steps, or none."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long a job waits between a failed attempt and the next one.

    `initial` is the delay after the first failure, and `maximum` limits the growth. `jitter` (0 to 1) is the largest
    share of the delay that is added at random, so that jobs that failed together do not retry together.
    """

    backoff: Backoff = field(
        default=Backoff.EXPONENTIAL,
        metadata=option(Choice(Backoff), "How the delay grows: it doubles, grows by equal steps, or stays the same."),
    )
    initial: timedelta = field(
        default=timedelta(seconds=2), metadata=option(Length(), "The delay after the first failure.")
    )
    maximum: timedelta = field(
        default=timedelta(minutes=10), metadata=option(Length(), "The longest delay.", key="max")
    )
    jitter: float = field(
        default=0.2, metadata=option(Share(), "The largest share of the delay that is added at random.")
    )

    def __post_init__(self) -> None:
        check_fields(self, "retry.")
        if not timedelta(0) <= self.initial <= self.maximum <= _LONGEST_RETRY:
            raise InvalidOptionError(
                "retry delays must be 0 <= initial <= maximum <= 365 days, "
                f"not initial={self.initial}, maximum={self.maximum}"
            )

    def delay(self, attempt: int, chance: float) -> timedelta:
        """Return the delay after failed attempt number `attempt` (from 1). `chance` is a random number in [0, 1)."""
        match self.backoff:
            case Backoff.EXPONENTIAL:
                # Compare before multiplying: a power of two soon leaves the range of a timedelta.
                factor = 1 << min(attempt - 1, 60)
                grown = self.initial * factor if self.initial <= self.maximum // factor else self.maximum
            case Backoff.LINEAR:
                grown = self.initial * attempt
            case Backoff.FIXED:
                grown = self.initial
        return min(grown, self.maximum) * (1 + self.jitter * chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One recurring run of a job.

    `cron` has five fields, in `timezone` (an IANA name). `params` is the JSON text of the params of each run. `name` is
    unique within the job, and has at most 99 characters. With `misfire` FIRE_ALL, at most the newest `misfire_limit`
    late slots fire; it is None or 1 to 1,000, and None for other policies. Raises
    `InvalidOptionError`.
    """

    name: str = field(metadata=option(Name(LONGEST_SCHEDULE_NAME), "Unique within the job."))
    cron: str = field(metadata=option(Cron(), "Minute, hour, day of month, month, day of week."))
    timezone: str = field(
        default="UTC", metadata=option(Timezone(), "The IANA time zone in which the expression is read.")
    )
    misfire: Misfire = field(
        default=Misfire.FIRE_ONCE,
        metadata=option(
            Choice(Misfire),
            "What happens to slots that passed while no worker ran: skip them, fire the newest, or fire all of them.",
        ),
    )
    misfire_limit: int | None = field(
        default=None,
        metadata=option(
            Whole(1, HIGHEST_MISFIRE_LIMIT),
            "With `fire_all`: the number of newest slots that fire. Default: all of them.",
            only_with=("misfire", Misfire.FIRE_ALL),
        ),
    )
    params: str = field(
        default="{}",
        metadata=option(
            ParamsText(),
            'The params of each job. They must fit the schema of params. {"$slot": "date"} and {"$slot": "date-time"} '
            "stand for the slot.",
        ),
    )

    def __post_init__(self) -> None:
        check_fields(self, "schedule.")
        if self.misfire_limit is not None and self.misfire != Misfire.FIRE_ALL:
            raise InvalidOptionError(f"misfire_limit works only with Misfire.FIRE_ALL, not with {self.misfire!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimit:
    """At most `limit` runs at a time over all workers, for the job or per value at `by`.

    `by` lists JSON pointers into the params. Raises `InvalidOptionError` unless `limit` is 1 to 100,000.
    """

    limit: int = field(metadata=option(Whole(1, HIGHEST_LIMIT), "The largest number of running jobs."))
    by: tuple[str, ...] = field(default=(), metadata=option(Pointers()))

    def __post_init__(self) -> None:
        check_fields(self, "concurrency.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `limit` starts within any interval of length `per` over all workers, including retries.

    `by` is the same as for `ConcurrencyLimit`.

    Raises `InvalidOptionError` unless `limit` is 1 to 100,000 and `per` 1 millisecond to 31 days.
    """

    limit: int = field(metadata=option(Whole(1, HIGHEST_LIMIT), "The largest number of starts."))
    per: timedelta = field(metadata=option(Length(SHORTEST_PERIOD, LONGEST_PERIOD), "The length of the period."))
    by: tuple[str, ...] = field(default=(), metadata=option(Pointers()))

    def __post_init__(self) -> None:
        check_fields(self, "rate.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Time that finished jobs are kept, by status; None: forever. Raises `InvalidOptionError` if negative."""

    completed: timedelta | None = field(
        default=None, metadata=option(Length(), "How long completed jobs are kept.", label="Kept when completed")
    )
    failed: timedelta | None = field(
        default=None, metadata=option(Length(), "How long failed jobs are kept.", label="Kept when failed")
    )
    cancelled: timedelta | None = field(
        default=None, metadata=option(Length(), "How long cancelled jobs are kept.", label="Kept when cancelled")
    )

    def __post_init__(self) -> None:
        check_fields(self, "retention.")


_UNIQUE = Inside(
    "unique",
    "At most one unfinished job has the same values at these places of params.",
    'pointers into params, at least one; "" stands for all of them',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Options of all jobs of one spec. `later()` may override some of them for one job.

    The metadata of each field says what it means. Lengths of time are None without a limit. `unique_by`, both `by` and
    `redact` are JSON pointers into params, and so is `shard_by`, for jobs in several databases. `on_conflict` may be
    given as its text. `run_in` may name a place that a plug-in brings: workers check the name when they start.
    `place_options` has the options of such a place, as JSON values by their names in specs.

    Raises `InvalidOptionError` for a value outside its limits, and for a key of `unique_by`, `concurrency` or `rate`
    that lacks `shard_by`.
    """

    version: int = field(
        default=1,
        metadata=option(
            Whole(1, 2**31 - 1),
            "The version of the contract, stored with each job. Workers claim only versions that they can read.",
        ),
    )
    queue: str = field(
        default="default",
        metadata=option(
            Name(LONGEST_NAME), "The queue in which jobs wait. A worker can serve some queues only.", label="Queue"
        ),
    )
    priority: int = field(
        default=0,
        metadata=option(
            Whole(LOWEST_PRIORITY, HIGHEST_PRIORITY), "Higher priorities are claimed first.", label="Priority"
        ),
    )
    max_attempts: int = field(
        default=3,
        metadata=option(
            Whole(1, MOST_ATTEMPTS),
            "Attempts in all. Each claim counts, so crashes count too.",
            elsewhere=("retries", "maxRetries", "max_retries", "attempts", "tries"),
        ),
    )
    timeout: timedelta | None = field(
        default=None,
        metadata=option(
            Length(timedelta.resolution), "The time limit of one attempt. Default: no limit.", label="Timeout"
        ),
    )
    expires_after: timedelta | None = field(
        default=None,
        metadata=option(
            Length(SHORTEST_PERIOD, LONGEST_DELAY),
            "How long after the due time of a job an attempt may start. Later, the job is cancelled instead. Default: "
            "no limit.",
            label="Expires",
            fact="if no attempt starts within {} after the job is due",
            elsewhere=("ttl", "expires", "expireIn", "maxAge", "deadline"),
        ),
    )
    run_in: str = field(
        default=WORKER,
        metadata=option(
            PlaceName(LONGEST_NAME),
            "Where the handler runs: in the worker (async in its event loop, plain in a thread), or in a separate "
            "process, for handlers that compute or may crash.",
        ),
    )
    place_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    retry: RetryPolicy = field(
        default_factory=RetryPolicy,
        metadata=option(
            Group(RetryPolicy),
            "The delay before a failed job is tried again.",
            elsewhere=("backoff", "retryPolicy", "retryDelay"),
        ),
    )
    unique_by: tuple[str, ...] | None = field(
        default=None,
        metadata=option(Pointers(fewest=1), key="by", inside=_UNIQUE, elsewhere=("uniqueBy", "uniqueKey", "dedupe")),
    )
    on_conflict: OnConflict = field(
        default=OnConflict.KEEP,
        metadata=option(
            Choice(OnConflict),
            "What happens to an unfinished job with the same values: it stays, or the new job takes its place, at its "
            "due time (`replace`) or at the new one (`reschedule`).",
            inside=_UNIQUE,
        ),
    )
    concurrency: ConcurrencyLimit | None = field(
        default=None,
        metadata=option(
            Group(ConcurrencyLimit, "the number of runs at one time"),
            "How many jobs may run at a time, over all workers. With `by`, the limit applies to each combination of "
            "values at these pointers.",
        ),
    )
    rate: RateLimit | None = field(
        default=None,
        metadata=option(
            Group(RateLimit, 'how many starts within which time, such as 100 and "PT1M"'),
            "How many jobs may start within any period of the length `per`, over all workers, retries included. `by` "
            "works as in `concurrency`.",
            elsewhere=("rateLimit", "throttle"),
        ),
    )
    shard_by: str | None = field(
        default=None,
        metadata=option(
            ShardPointer(),
            "The place in params of the text or whole number that chooses the database of a job: a required property. "
            "`unique`, `concurrency` and `rate` must go by it too. Default: all jobs are in one database.",
            label="Shard",
            fact="one for each value at {}",
            elsewhere=("shard", "shardKey", "partitionBy", "tenantBy"),
        ),
    )
    retention: Retention = field(
        default_factory=Retention,
        metadata=option(Group(Retention), "How long finished jobs are kept, by status. Default: forever."),
    )
    redact: tuple[str, ...] = field(
        default=(),
        metadata=option(
            Pointers(),
            "Places of params whose values commands, routes and `repr` hide. The SQL view of the job leaves them out.",
            label="Hidden by tools",
        ),
    )
    retired: bool = field(
        default=False,
        metadata=option(
            Switch("active", "retired"),
            "A retired job cannot be enqueued. Its handler still runs stored jobs.",
            key="status",
        ),
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.place_options and self.run_in in BUILT_IN_PLACES:
            raise InvalidOptionError(f"place_options are for places of plug-ins, and run_in is {self.run_in!r}")
        if self.shard_by is not None:
            _check_shard_by(self, self.shard_by)


class StatedOptions(TypedDict, total=False):
    """The fields of `JobOptions`, as arguments of a call. A test compares the two."""

    version: int
    queue: str
    priority: int
    max_attempts: int
    timeout: timedelta | None
    expires_after: timedelta | None
    run_in: str
    place_options: Mapping[str, Any]
    retry: RetryPolicy
    unique_by: tuple[str, ...] | None
    on_conflict: OnConflict
    concurrency: ConcurrencyLimit | None
    rate: RateLimit | None
    shard_by: str | None
    retention: Retention
    redact: tuple[str, ...]
    retired: bool


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
