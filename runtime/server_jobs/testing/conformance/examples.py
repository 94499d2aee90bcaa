"""Jobs, requests and schedules for the suite, and common first steps of tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import OnConflict
from server_jobs.domain.record import (
    WAITS,
    Claim,
    ClaimRequest,
    Completed,
    Failed,
    Firing,
    JobRecord,
    JobStatus,
    KnownJob,
    NewJob,
    ScheduleRecord,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
NO_DELAY = timedelta(0)

SEND = KnownJob("SendEmail", 1)
IMPORT = KnownJob("ImportCsv", 1)


def job(
    job_id: str,
    job_name: str = "SendEmail",
    *,
    params: str = "{}",
    queue: str = "default",
    priority: int = 0,
    spec_version: int = 1,
    max_attempts: int = 3,
    scheduled_for: datetime | None = None,
    delay: timedelta = NO_DELAY,
    expires_after: timedelta | None = None,
    unique_key: str | None = None,
    on_conflict: OnConflict = OnConflict.KEEP,
    correlation_id: str | None = None,
    concurrency_key: str | None = None,
    rate_key: str | None = None,
    headers: str | None = None,
    batch_id: str | None = None,
) -> NewJob:
    """Return a job to store; everything except its id has a default."""
    return NewJob(
        id=job_id,
        job_name=job_name,
        params=params,
        queue=queue,
        priority=priority,
        spec_version=spec_version,
        max_attempts=max_attempts,
        scheduled_for=scheduled_for,
        delay=delay,
        expires_after=expires_after,
        unique_key=unique_key,
        on_conflict=on_conflict,
        correlation_id=correlation_id,
        concurrency_key=concurrency_key,
        rate_key=rate_key,
        headers=headers,
        batch_id=batch_id,
    )


def batch(*job_ids: str, batch_id: str = "batch", then: bool = True) -> list[NewJob]:
    """Return the jobs of a batch, and its completion job."""
    completion = job(batch_id, "ImportCsv", batch_id=batch_id, scheduled_for=WAITS)
    return [*(job(one, batch_id=batch_id) for one in job_ids), *([completion] if then else [])]


def request(
    *known: KnownJob,
    limit: int = 10,
    lease: timedelta = LEASE,
    queues: tuple[str, ...] | None = None,
    slots: int | None = None,
    limited: int | None = None,
    worker_id: str | None = None,
) -> ClaimRequest:
    """Return a claim request. The worker knows `SendEmail` version 1 unless `known` lists other jobs."""
    return ClaimRequest(
        known=known or (SEND,),
        limit=limit,
        lease=lease,
        queues=queues,
        slots=slots,
        limited=limited,
        worker_id=worker_id,
    )


def ids(claims: Sequence[Claim] | Sequence[JobRecord]) -> list[str]:
    """Return the ids of claims or records, in their order."""
    return [item.id for item in claims]


async def insert_and_claim(store: Store, new: NewJob) -> Claim:
    """Insert a job, claim it, and return the claim."""
    await store.insert([new])
    claim = await store.claim_one(new.id, request(KnownJob(new.job_name, new.spec_version)))
    assert claim is not None
    return claim


async def reclaim(store: Store, job_id: str) -> Claim:
    """Claim a pending job again."""
    claim = await store.claim_one(job_id, request())
    assert claim is not None
    return claim


async def read(store: Store, job_id: str) -> JobRecord:
    """Return the stored record of an existing job."""
    record = await store.get(job_id)
    assert record is not None
    return record


def claim_on(record: JobRecord) -> Claim:
    """Return the claim under which a running job runs."""
    assert record.fencing_token is not None
    return Claim(
        record.id,
        record.job_name,
        record.spec_version,
        record.params,
        record.attempt_count,
        record.max_attempts,
        record.correlation_id,
        record.fencing_token,
        record.headers,
        record.scheduled_for,
        record.batch_id,
        record.queue,
    )


async def finish(store: Store, claim: Claim, status: JobStatus) -> None:
    """End a running job with the given status."""
    match status:
        case JobStatus.COMPLETED:
            await store.settle([completed(claim)])
        case JobStatus.FAILED:
            await store.settle([failed(claim, retry_after=None)])
        case _:
            await store.cancel(claim.id)
            await store.settle([failed(claim, retry_after=None)])
    assert (await read(store, claim.id)).status is status


def completed(claim: Claim, result: str = "{}") -> Completed:
    """Return the outcome of a successful attempt."""
    return Completed(id=claim.id, token=claim.token, result=result)


def failed(claim: Claim, error: str = "boom", *, retry_after: timedelta | None = SECOND) -> Failed:
    """Return the outcome of a failed attempt."""
    return Failed(id=claim.id, token=claim.token, error=error, retry_after=retry_after)


def schedule(
    schedule_id: str = "s1",
    job_name: str = "SendEmail",
    name: str = "hourly",
    *,
    cron_expression: str = "0 * * * *",
    timezone: str = "UTC",
    misfire: str = "fire_once",
    misfire_limit: int | None = None,
    params: str = "{}",
    enabled: bool = True,
) -> ScheduleRecord:
    """Return a declared schedule without a next run."""
    return ScheduleRecord(
        id=schedule_id,
        job_name=job_name,
        name=name,
        cron_expression=cron_expression,
        timezone=timezone,
        misfire=misfire,
        misfire_limit=misfire_limit,
        params=params,
        enabled=enabled,
    )


def firing(
    *slots: datetime,
    schedule_id: str = "s1",
    next_run_at: datetime,
    unique_key: str | None = None,
    expires_after: timedelta | None = None,
    rule: tuple[str, str] = ("0 * * * *", "UTC"),
) -> Firing:
    """Return the firing of slots; the id of each job is `<schedule>@<hour>:<minute>`."""

    def job_of(slot: datetime) -> NewJob:
        job_id = f"{schedule_id}@{slot:%d.%H:%M}"
        return job(job_id, scheduled_for=slot, unique_key=unique_key, expires_after=expires_after)

    jobs = tuple((slot, job_of(slot)) for slot in slots)
    return Firing(schedule_id=schedule_id, rule=rule, slots=jobs, next_run_at=next_run_at)
