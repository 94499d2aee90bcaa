"""Stored schedules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from ..options import ScheduleSource
from ..text_limits import LONGEST_CORRELATION_ID
from .job import NewJob


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """A stored schedule. Its times are slots in UTC. `next_run_at` None: not planned yet.

    `spec_version` is the version of the spec that the params of an added schedule fit; None if it is declared. The
    shard key of its params, `shard_key`, is not stored.
    """

    id: str
    job_name: str
    name: str
    cron_expression: str
    timezone: str
    misfire: str
    params: str
    enabled: bool = True
    last_run_at: datetime | None = None
    next_run_at: datetime | None = None
    last_job_id: str | None = None
    misfire_limit: int | None = None
    source: str = ScheduleSource.DECLARED
    spec_version: int | None = None
    shard_key: str | None = None

    @property
    def label(self) -> str:
        """Return the name for people and for the audit log: `DailyDigest/every-morning`."""
        return f"{self.job_name}/{self.name}"

    @property
    def correlation_id(self) -> str:
        """Return the correlation id of jobs that a person runs now: the label, cut if it is too long."""
        return self.label[:LONGEST_CORRELATION_ID]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChange:
    """New values of an added schedule. None keeps the stored value.

    `misfire` comes with `misfire_limit`, and `params` with `spec_version` and `shard_key`.
    """

    cron_expression: str | None = None
    timezone: str | None = None
    misfire: str | None = None
    misfire_limit: int | None = None
    params: str | None = None
    spec_version: int | None = None
    shard_key: str | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """The schedules that one registry declares for one job."""

    job_name: str
    schedules: tuple[ScheduleRecord, ...]

    @property
    def fingerprint(self) -> str:
        """Return a text that is the same for the same schedules in any order."""
        rules = sorted(
            [each.name, each.cron_expression, each.timezone, each.misfire, str(each.misfire_limit), each.params]
            for each in self.schedules
        )
        return sha256(repr(rules).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class DueSchedules:
    """Schedules that are due or not planned yet, and the time of the store at the read."""

    now: datetime
    schedules: tuple[ScheduleRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """The slots of a schedule to fire, oldest first, and the next slot to wait for.

    `rule` is the cron expression and the time zone of the computation.
    """

    schedule_id: str
    rule: tuple[str, str]
    slots: tuple[tuple[datetime, NewJob], ...]
    next_run_at: datetime
