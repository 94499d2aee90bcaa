"""What the jobs of a store did lately, read through the port that handlers are given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest

from server_jobs import JobQuery, JobRecord, JobStatus
from server_jobs.domain.interfaces import JobReader

from ..models.daily_digest import JobTally

_PAGE = 200
_SLOWEST = 5
_FAILURES = 10


@dataclass(frozen=True, slots=True)
class SlowJob:
    """A completed job and how long its last attempt took."""

    record: JobRecord
    duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """The jobs stored since a moment: all of them counted, the slowest and the newest failed ones by themselves."""

    since: datetime
    tallies: list[JobTally]
    slowest: list[SlowJob]
    failures: list[JobRecord]


async def read_report(jobs: JobReader, since: datetime, *, besides: str) -> JobReport:
    """The report on every job but those named `besides`."""
    failures = [record async for record in _stored_since(jobs, since, JobStatus.FAILED) if record.job_name != besides]
    completed = [
        record async for record in _stored_since(jobs, since, JobStatus.COMPLETED) if record.job_name != besides
    ]
    return JobReport(
        since=since,
        tallies=await _tallies(jobs, since, besides),
        slowest=nlargest(_SLOWEST, map(_timed, completed), key=lambda job: job.duration),
        failures=failures[:_FAILURES],
    )


async def _stored_since(jobs: JobReader, since: datetime, status: JobStatus) -> AsyncIterator[JobRecord]:
    """Newest first, a page at a time, until a page has nothing that is new enough."""
    query = JobQuery(status=status, limit=_PAGE)
    while True:
        page = await jobs.list_jobs(query)
        recent = [record for record in page if record.created_at >= since]
        for record in recent:
            yield record
        if not recent or len(page) < _PAGE:
            return
        query = JobQuery(status=status, limit=_PAGE, before=page[-1].id)


async def _tallies(jobs: JobReader, since: datetime, besides: str) -> list[JobTally]:
    counts = {(entry.job_name, entry.status): entry.count for entry in await jobs.count_jobs(since=since)}
    return [
        JobTally(
            job_name=name,
            completed=counts.get((name, JobStatus.COMPLETED), 0),
            failed=counts.get((name, JobStatus.FAILED), 0),
            cancelled=counts.get((name, JobStatus.CANCELLED), 0),
            running=counts.get((name, JobStatus.RUNNING), 0),
            pending=counts.get((name, JobStatus.PENDING), 0),
        )
        for name in sorted({name for name, _ in counts} - {besides})
    ]


def _timed(record: JobRecord) -> SlowJob:
    if record.worker_started_at is None or record.completed_at is None:
        return SlowJob(record, timedelta(0))
    return SlowJob(record, record.completed_at - record.worker_started_at)
