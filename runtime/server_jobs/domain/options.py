"""What a spec says about how its job is queued, retried and scheduled; generated job classes carry these values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from ..errors import InvalidOptionError
from .retry import RetryPolicy
from .text_limits import LONGEST_NAME, check_text

LOWEST_PRIORITY = -100
HIGHEST_PRIORITY = 100
MOST_ATTEMPTS = 10_000
HIGHEST_LIMIT = 100_000
HIGHEST_MISFIRE_LIMIT = 1_000
SHORTEST_PERIOD = timedelta(milliseconds=1)
LONGEST_PERIOD = timedelta(days=31)


class Misfire(StrEnum):
    """What happens to slots that passed while no scheduler ran: none, only the newest, or each of them."""

    SKIP = "skip"
    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"


class RunIn(StrEnum):
    """Where a handler runs: in the worker itself (async in its event loop, plain in a thread), or in a process."""

    WORKER = "worker"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One recurring run of a job.

    `cron` has five fields and is read in `timezone` (an IANA name); `params` is the JSON text of the params each run
    gets. `name` is unique within its job. With `misfire` FIRE_ALL, `misfire_limit` bounds how many of the slots that
    passed are fired, the newest ones. Raises `InvalidOptionError` unless it is None or 1 to 1,000, with FIRE_ALL, and
    for a name of more than 100 characters.
    """

    name: str
    cron: str
    timezone: str = "UTC"
    misfire: Misfire = Misfire.FIRE_ONCE
    misfire_limit: int | None = None
    params: str = "{}"

    def __post_init__(self) -> None:
        check_text("the name of a schedule", self.name, LONGEST_NAME)
        if self.misfire_limit is None:
            return
        check_range("misfire_limit", self.misfire_limit, 1, HIGHEST_MISFIRE_LIMIT)
        if self.misfire != Misfire.FIRE_ALL:
            raise InvalidOptionError(f"misfire_limit goes only with Misfire.FIRE_ALL, not with {self.misfire!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimit:
    """At most `limit` runs at one time over all workers: of the job, or of those with the same values at `by`.

    `by` lists JSON pointers into the params. Raises `InvalidOptionError` unless `limit` is 1 to 100,000.
    """

    limit: int
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("concurrency.limit", self.limit, 1, HIGHEST_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `limit` starts within any time of the length `per` over all workers, retries included; `by` as above.

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
    """How long a finished job is kept, by its status; None: for ever. Negative ones raise `InvalidOptionError`."""

    completed: timedelta | None = None
    failed: timedelta | None = None
    cancelled: timedelta | None = None

    def __post_init__(self) -> None:
        for name, length in (("completed", self.completed), ("failed", self.failed), ("cancelled", self.cancelled)):
            if length is not None and length < timedelta(0):
                raise InvalidOptionError(f"retention.{name} must not be negative, and is {length}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How the jobs of one spec are queued and run; each value is the default that `later()` may override.

    `priority` is -100 to 100, higher first. `timeout` bounds one attempt (None: no bound). `unique_by` lists JSON
    pointers into the params: at most one unfinished job has the same values there. `concurrency` and `rate` hold
    back what workers claim. `redact` lists pointers whose values are not shown by the tools. `run_in` PROCESS is for
    handlers that compute, or may crash: each runs in a process of its own. A `retired` job is not enqueued any more;
    those that are queued still run.
    """

    version: int = 1
    queue: str = "default"
    priority: int = 0
    max_attempts: int = 3
    timeout: timedelta | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    unique_by: tuple[str, ...] | None = None
    concurrency: ConcurrencyLimit | None = None
    rate: RateLimit | None = None
    retention: Retention = field(default_factory=Retention)
    redact: tuple[str, ...] = ()
    run_in: RunIn = RunIn.WORKER
    retired: bool = False

    def __post_init__(self) -> None:
        check_range("version", self.version, 1, 2**31 - 1)
        check_text("queue", self.queue, LONGEST_NAME)
        check_range("priority", self.priority, LOWEST_PRIORITY, HIGHEST_PRIORITY)
        check_range("max_attempts", self.max_attempts, 1, MOST_ATTEMPTS)
        if self.timeout is not None and self.timeout <= timedelta(0):
            raise InvalidOptionError(f"timeout must be longer than zero, not {self.timeout}")
        if self.run_in not in list(RunIn):
            raise InvalidOptionError(f"run_in must be RunIn.WORKER or RunIn.PROCESS, not {self.run_in!r}")


def check_duration(name: str, value: timedelta) -> None:
    """Raise `InvalidOptionError` unless the value is a length of time that is not negative."""
    given: object = value  # callers without a type checker give anything
    if not isinstance(given, timedelta) or given < timedelta(0):
        raise InvalidOptionError(f"{name} must be a timedelta that is not negative, not {given!r}")


def check_range(name: str, value: int, lowest: int, highest: int) -> None:
    """Raise `InvalidOptionError` unless the value is a whole number and `lowest <= value <= highest`."""
    given: object = value  # callers without a type checker give anything
    if not isinstance(given, int) or isinstance(given, bool):
        raise InvalidOptionError(f"{name} must be a whole number between {lowest} and {highest}, not {given!r}")
    if not lowest <= value <= highest:
        raise InvalidOptionError(f"{name} must be between {lowest} and {highest}, not {value}")
