"""What a spec says about how its job is queued, retried and scheduled; generated job classes carry these values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from .errors import InvalidOptionError
from .retry import RetryPolicy

LOWEST_PRIORITY = -100
HIGHEST_PRIORITY = 100


class Misfire(StrEnum):
    """What happens to slots that passed while no scheduler ran: none, only the newest, or each of them."""

    SKIP = "skip"
    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One recurring run of a job.

    `cron` has five fields and is read in `timezone` (an IANA name); `params` is the JSON text of the params each run
    gets. `name` is unique within its job.
    """

    name: str
    cron: str
    timezone: str = "UTC"
    misfire: Misfire = Misfire.FIRE_ONCE
    params: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How the jobs of one spec are queued and run; each value is the default that `later()` may override.

    `priority` is -100 to 100, higher first. `timeout` bounds one attempt (None: no bound). `unique_by` lists JSON
    pointers into the params: at most one unfinished job has the same values there. `concurrency_limit` is the number
    of this job's runs at one time over all workers. `redact` lists pointers whose values are not shown by the tools.
    """

    version: int = 1
    queue: str = "default"
    priority: int = 0
    max_attempts: int = 3
    timeout: timedelta | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    unique_by: tuple[str, ...] | None = None
    concurrency_limit: int | None = None
    redact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("version", self.version, 1, 2**31 - 1)
        check_range("priority", self.priority, LOWEST_PRIORITY, HIGHEST_PRIORITY)
        check_range("max_attempts", self.max_attempts, 1, 10_000)
        if self.timeout is not None and self.timeout <= timedelta(0):
            raise InvalidOptionError(f"timeout must be longer than zero, not {self.timeout}")
        if self.concurrency_limit is not None:
            check_range("concurrency_limit", self.concurrency_limit, 1, 100_000)


def check_range(name: str, value: int, lowest: int, highest: int) -> None:
    """Raise `InvalidOptionError` unless the value is a whole number and `lowest <= value <= highest`."""
    given: object = value  # callers without a type checker give anything
    if not isinstance(given, int) or isinstance(given, bool):
        raise InvalidOptionError(f"{name} must be a whole number between {lowest} and {highest}, not {given!r}")
    if not lowest <= value <= highest:
        raise InvalidOptionError(f"{name} must be between {lowest} and {highest}, not {value}")
