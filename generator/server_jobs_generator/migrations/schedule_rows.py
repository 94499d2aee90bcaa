"""The schedules of the specs as the rows of `cron_jobs` they are to become."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from server_jobs.domain.ids import schedule_id

from ..ir.spec import JobSpec


class ScheduleRow(NamedTuple):
    """The columns of one schedule that its spec decides, called as in the table."""

    job_name: str
    name: str
    cron_expression: str
    timezone: str
    misfire: str
    misfire_limit: int | None
    params: str


def schedule_rows(jobs: Iterable[JobSpec]) -> dict[str, ScheduleRow]:
    """Every declared schedule, by the id of its row."""
    return {
        schedule_id(job.class_name, schedule.name): ScheduleRow(
            job_name=job.class_name,
            name=schedule.name,
            cron_expression=schedule.cron,
            timezone=schedule.timezone,
            misfire=str(schedule.misfire),
            misfire_limit=schedule.misfire_limit,
            params=schedule.params,
        )
        for job in jobs
        for schedule in job.schedules
    }
