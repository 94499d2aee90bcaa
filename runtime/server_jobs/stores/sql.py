"""The store for every SQL database: each method is one transaction of `statements`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from ..clock import Clock
from ..errors import DatabaseError, DuplicateJobError, JobNotFoundError, JobNotRetryableError, SchemaMissingError
from ..ports import Database, Row, Statement, Value
from ..record import (
    Cancellation,
    Claim,
    ClaimRequest,
    DueSchedules,
    Expired,
    Firing,
    Heartbeat,
    Hold,
    Inserted,
    JobCount,
    JobQuery,
    JobRecord,
    JobStatus,
    NewJob,
    ScheduleRecord,
    Settlement,
)
from . import statements
from .rows import (
    EPOCH,
    claim_of,
    heartbeat_row,
    integer_of,
    json_of,
    milliseconds,
    new_job_row,
    outcome_row,
    record_of,
    request_parameters,
    schedule_of,
    schedule_row,
    text_of,
    time_of,
    timestamp,
)

H = TypeVar("H", bound=Heartbeat | Settlement)


class SqlStore:
    """Jobs in a SQL database.

    Every time that is stored or compared is the database's own, taken inside the statement; `clock` replaces it in
    tests only.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.name = database.name
        self._clock = clock

    async def open(self) -> None:
        await self.database.open()
        try:
            await self._run(statements.PROBE)
        except DatabaseError as error:
            if "no such" in str(error):
                raise SchemaMissingError(str(error)) from error
            raise

    async def close(self) -> None:
        await self.database.close()

    async def ping(self) -> None:
        await self._run(statements.PING)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self.database.watch(wake)

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        keys = [job.unique_key for job in jobs if job.unique_key is not None]
        insert = self._call(statements.INSERT, jobs=json_of([new_job_row(job) for job in jobs]))
        if not keys:
            (created,) = await self.database.run(insert)
            holders: Sequence[Row] = []
        else:
            created, holders = await self.database.run(
                insert, self._call(statements.HOLDERS, unique_keys=json_of(keys), ids=json_of([job.id for job in jobs]))
            )
        if created:
            self.database.announce()
        return _inserted(jobs, created, holders)

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        started, holders = await self.database.run(
            self._call(
                statements.START,
                id=job.id,
                job_name=job.job_name,
                params=job.params,
                queue=job.queue,
                priority=job.priority,
                spec_version=job.spec_version,
                max_attempts=job.max_attempts,
                unique_key=job.unique_key,
                correlation_id=job.correlation_id,
                lease=milliseconds(lease),
            ),
            self._call(statements.HOLDERS, unique_keys=json_of([job.unique_key]), ids="[]"),
        )
        if not started:
            holder = text_of(holders[0]["id"]) if holders else job.id
            raise DuplicateJobError(job.unique_key or job.id, holder)
        return claim_of(started[0])

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        limited = any(job.concurrency_limit is not None for job in request.known)
        sql = statements.CLAIM_LIMITED if limited else statements.CLAIM
        rows = await self._run(
            sql,
            **request_parameters(request),
            limit=request.limit,
            retried_limit=request.retried_limit,
            lease=milliseconds(request.lease),
        )
        return sorted((claim_of(row) for row in rows), key=_urgency)

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        rows = await self._run(
            statements.CLAIM_ONE, **request_parameters(request), id=job_id, lease=milliseconds(request.lease)
        )
        return claim_of(rows[0]) if rows else None

    async def renew(self, heartbeats: Sequence[Heartbeat], lease: timedelta) -> Sequence[Hold]:
        answers = [Hold.LOST for _ in heartbeats]
        async for index, row in self._written(statements.RENEW, heartbeats, heartbeat_row, lease=milliseconds(lease)):
            answers[index] = Hold.CANCEL_REQUESTED if row["cancel_requested"] else Hold.HELD
        return answers

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        answers: list[JobStatus | None] = [None for _ in settlements]
        async for index, row in self._written(statements.SETTLE, settlements, outcome_row):
            answers[index] = JobStatus(text_of(row["status"]))
        return answers

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        tokens = json_of(list(except_for))
        rows = await self._run(statements.EXPIRE, jitter=milliseconds(jitter), except_for=tokens)
        return [
            Expired(text_of(row["id"]), text_of(row["job_name"]), JobStatus(text_of(row["status"]))) for row in rows
        ]

    async def cancel(self, job_id: str) -> Cancellation:
        changed, stored = await self.database.run(
            self._call(statements.CANCEL, id=job_id), self._call(statements.GET, id=job_id)
        )
        if not stored:
            raise JobNotFoundError(job_id)
        if not changed:
            return Cancellation.FINISHED
        cancelled = changed[0]["status"] == JobStatus.CANCELLED
        return Cancellation.CANCELLED if cancelled else Cancellation.REQUESTED

    async def retry(self, job_id: str) -> None:
        changed, stored = await self.database.run(
            self._call(statements.RETRY, id=job_id), self._call(statements.GET, id=job_id)
        )
        if not stored:
            raise JobNotFoundError(job_id)
        if not changed:
            await self._refuse_retry(record_of(stored[0]))

    async def get(self, job_id: str) -> JobRecord | None:
        rows = await self._run(statements.GET, id=job_id)
        return record_of(rows[0]) if rows else None

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        rows = await self._run(
            statements.LIST,
            status=query.status,
            job_name=query.job_name,
            queue=query.queue,
            correlation_id=query.correlation_id,
            before=query.before,
            limit=query.limit,
        )
        return [record_of(row) for row in rows]

    async def count_jobs(self, *, since: datetime | None = None) -> Sequence[JobCount]:
        rows = await self._run(statements.COUNT, since=None if since is None else timestamp(since))
        return [
            JobCount(text_of(row["job_name"]), JobStatus(text_of(row["status"])), integer_of(row["count"]))
            for row in rows
        ]

    async def count_due(self, request: ClaimRequest) -> int:
        rows = await self._run(statements.COUNT_DUE, **request_parameters(request))
        return integer_of(rows[0]["count"])

    async def next_due(self, request: ClaimRequest) -> timedelta | None:
        rows = await self._run(statements.NEXT_DUE, **request_parameters(request))
        wait = rows[0]["wait"]
        return None if wait is None else timedelta(milliseconds=max(0, integer_of(wait)))

    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        rows = json_of([schedule_row(schedule) for schedule in schedules])
        await self._run(statements.SAVE_SCHEDULES, schedules=rows)

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        return [schedule_of(row) for row in await self._run(statements.LIST_SCHEDULES)]

    async def enable_schedule(self, schedule_id: str, *, enabled: bool) -> bool:
        return bool(await self._run(statements.ENABLE_SCHEDULE, id=schedule_id, enabled=int(enabled)))

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        due, clock = await self.database.run(
            self._call(statements.DUE_SCHEDULES, job_names=json_of(list(job_names))), self._call(statements.NOW)
        )
        now = time_of(clock[0]["now"]) or EPOCH
        return DueSchedules(now, tuple(schedule_of(row) for row in due))

    async def fire(self, firing: Firing) -> Sequence[bool]:
        jobs = json_of([new_job_row(job) for _, job in firing.slots])
        created, _ = await self.database.run(
            self._call(statements.FIRE, schedule_id=firing.schedule_id, jobs=jobs),
            self._call(
                statements.FIRED,
                schedule_id=firing.schedule_id,
                jobs=jobs,
                last_slot=timestamp(firing.slots[-1][0]) if firing.slots else None,
                cron_expression=firing.rule[0],
                timezone=firing.rule[1],
                next_run_at=timestamp(firing.next_run_at),
            ),
        )
        made = {text_of(row["id"]) for row in created}
        return [job.id in made for _, job in firing.slots]

    async def _written(
        self, sql: str, items: Sequence[H], encode: Callable[[H], dict[str, Value]], **parameters: Value
    ) -> AsyncIterator[tuple[int, Row]]:
        """Write under the token guard; the place of each item that was written, with the row it changed.

        A statement answers by job id, so items of one job (its old claim and its new one) go in statements that follow
        one another in the one transaction.
        """
        if not items:
            return
        groups = _without_repeats(items)
        calls = [
            self._call(sql, items=json_of([encode(items[index]) for index in group.values()]), **parameters)
            for group in groups
        ]
        for group, rows in zip(groups, await self.database.run(*calls), strict=True):
            for row in rows:
                yield group[text_of(row["id"])], row

    async def _run(self, sql: str, **parameters: Value) -> Sequence[Row]:
        return (await self.database.run(self._call(sql, **parameters)))[0]

    def _call(self, sql: str, **parameters: Value) -> tuple[Statement, Mapping[str, Value]]:
        """The statement with the clock filled in, and its parameters."""
        writes = "SELECT" not in sql.lstrip()[:6]
        if self._clock is None:
            return Statement(sql.replace("{now}", self.database.now), writes), parameters
        return Statement(sql.replace("{now}", ":now"), writes), {**parameters, "now": timestamp(self._clock.now())}

    async def _refuse_retry(self, record: JobRecord) -> None:
        if record.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise JobNotRetryableError(record.id, record.status)
        holders = await self._run(statements.HOLDERS, unique_keys=json_of([record.unique_key]), ids="[]")
        raise DuplicateJobError(record.unique_key or record.id, text_of(holders[0]["id"]) if holders else record.id)


def _without_repeats(items: Sequence[Heartbeat | Settlement]) -> list[dict[str, int]]:
    """The places of the items by job id, in groups in none of which a job stands twice; nearly always one group."""
    groups: list[dict[str, int]] = []
    for index, item in enumerate(items):
        group = next((group for group in groups if item.id not in group), None)
        if group is None:
            groups.append(group := {})
        group[item.id] = index
    return groups


def _inserted(jobs: Sequence[NewJob], created: Sequence[Row], holders: Sequence[Row]) -> list[Inserted]:
    new = {text_of(row["id"]) for row in created}
    holder_of = {text_of(row["unique_key"]): text_of(row["id"]) for row in holders if row["unique_key"] is not None}
    stored = {text_of(row["id"]) for row in holders if row["unique_key"] is None}
    answers: list[Inserted] = []
    for job in jobs:
        if job.id in new:
            new.remove(job.id)
            answers.append(Inserted(job.id, created=True))
        else:
            answer = job.id if job.id in stored else holder_of.get(job.unique_key or "", job.id)
            answers.append(Inserted(answer, created=False))
    return answers


def _urgency(claim: Claim) -> tuple[int, datetime, str]:
    return (-claim.record.priority, claim.record.scheduled_for or EPOCH, claim.id)
