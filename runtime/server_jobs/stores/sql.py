"""Records to rows and back: the store for every SQL database. Each method is one transaction of `statements`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from ..clock import Clock
from ..errors import DatabaseError, DuplicateJobError, JobNotFoundError, JobNotRetryableError, SchemaMissingError
from ..ports import Database, Row, Statement, Value
from ..record import (
    Cancellation,
    Claim,
    ClaimRequest,
    Completed,
    DueSchedules,
    Expired,
    Failed,
    Firing,
    Heartbeat,
    Hold,
    Inserted,
    JobCount,
    JobQuery,
    JobRecord,
    JobStatus,
    NewJob,
    Released,
    ScheduleRecord,
    Settlement,
)
from . import statements

H = TypeVar("H", bound=Heartbeat | Settlement)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


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

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        keys = [job.unique_key for job in jobs if job.unique_key is not None]
        insert = self._call(statements.INSERT, jobs=_json([_new_job(job) for job in jobs]))
        if not keys:
            (created,) = await self.database.run(insert)
            return _inserted(jobs, created, [])
        created, holders = await self.database.run(
            insert, self._call(statements.HOLDERS, unique_keys=_json(keys), ids=_json([job.id for job in jobs]))
        )
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
                lease=_milliseconds(lease),
            ),
            self._call(statements.HOLDERS, unique_keys=_json([job.unique_key]), ids="[]"),
        )
        if not started:
            holder = _text(holders[0]["id"]) if holders else job.id
            raise DuplicateJobError(job.unique_key or job.id, holder)
        return _claim(started[0])

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        limited = any(job.concurrency_limit is not None for job in request.known)
        sql = statements.CLAIM_LIMITED if limited else statements.CLAIM
        rows = await self._run(sql, **_request(request), limit=request.limit, lease=_milliseconds(request.lease))
        return sorted((_claim(row) for row in rows), key=_urgency)

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        rows = await self._run(statements.CLAIM_ONE, **_request(request), id=job_id, lease=_milliseconds(request.lease))
        return _claim(rows[0]) if rows else None

    async def renew(self, heartbeats: Sequence[Heartbeat], lease: timedelta) -> Sequence[Hold]:
        answers = [Hold.LOST for _ in heartbeats]
        async for index, row in self._written(statements.RENEW, heartbeats, _heartbeat, lease=_milliseconds(lease)):
            answers[index] = Hold.CANCEL_REQUESTED if row["cancel_requested"] else Hold.HELD
        return answers

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        answers: list[JobStatus | None] = [None for _ in settlements]
        async for index, row in self._written(statements.SETTLE, settlements, _outcome):
            answers[index] = JobStatus(_text(row["status"]))
        return answers

    async def expire(self, *, jitter: timedelta) -> Sequence[Expired]:
        rows = await self._run(statements.EXPIRE, jitter=_milliseconds(jitter))
        return [Expired(_text(row["id"]), _text(row["job_name"]), JobStatus(_text(row["status"]))) for row in rows]

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
            await self._refuse_retry(_record(stored[0]))

    async def get(self, job_id: str) -> JobRecord | None:
        rows = await self._run(statements.GET, id=job_id)
        return _record(rows[0]) if rows else None

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
        return [_record(row) for row in rows]

    async def count_jobs(self, *, since: datetime | None = None) -> Sequence[JobCount]:
        rows = await self._run(statements.COUNT, since=None if since is None else _timestamp(since))
        return [
            JobCount(_text(row["job_name"]), JobStatus(_text(row["status"])), _integer(row["count"])) for row in rows
        ]

    async def count_due(self, request: ClaimRequest) -> int:
        rows = await self._run(statements.COUNT_DUE, **_request(request))
        return _integer(rows[0]["count"])

    async def next_due(self, request: ClaimRequest) -> timedelta | None:
        rows = await self._run(statements.NEXT_DUE, **_request(request))
        wait = rows[0]["wait"]
        return None if wait is None else timedelta(milliseconds=max(0, _integer(wait)))

    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        rows = [
            {
                "id": schedule.id,
                "job_name": schedule.job_name,
                "name": schedule.name,
                "cron_expression": schedule.cron_expression,
                "timezone": schedule.timezone,
                "misfire": schedule.misfire,
                "params": schedule.params,
                "enabled": schedule.enabled,
            }
            for schedule in schedules
        ]
        await self._run(statements.SAVE_SCHEDULES, schedules=_json(rows))

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        return [_schedule(row) for row in await self._run(statements.LIST_SCHEDULES)]

    async def enable_schedule(self, schedule_id: str, *, enabled: bool) -> bool:
        return bool(await self._run(statements.ENABLE_SCHEDULE, id=schedule_id, enabled=int(enabled)))

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        due, clock = await self.database.run(
            self._call(statements.DUE_SCHEDULES, job_names=_json(list(job_names))), self._call(statements.NOW)
        )
        now = _time(clock[0]["now"]) or _EPOCH
        return DueSchedules(now, tuple(_schedule(row) for row in due))

    async def fire(self, firing: Firing) -> Sequence[bool]:
        jobs = _json([_new_job(job) for _, job in firing.slots])
        created, _ = await self.database.run(
            self._call(statements.FIRE, schedule_id=firing.schedule_id, jobs=jobs),
            self._call(
                statements.FIRED,
                schedule_id=firing.schedule_id,
                jobs=jobs,
                last_slot=_timestamp(firing.slots[-1][0]) if firing.slots else None,
                next_run_at=_timestamp(firing.next_run_at),
            ),
        )
        made = {_text(row["id"]) for row in created}
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
            self._call(sql, items=_json([encode(items[index]) for index in group.values()]), **parameters)
            for group in groups
        ]
        for group, rows in zip(groups, await self.database.run(*calls), strict=True):
            for row in rows:
                yield group[_text(row["id"])], row

    async def _run(self, sql: str, **parameters: Value) -> Sequence[Row]:
        return (await self.database.run(self._call(sql, **parameters)))[0]

    def _call(self, sql: str, **parameters: Value) -> tuple[Statement, Mapping[str, Value]]:
        """The statement with the clock filled in, and its parameters."""
        writes = "SELECT" not in sql.lstrip()[:6]
        if self._clock is None:
            return Statement(sql.replace("{now}", self.database.now), writes), parameters
        return Statement(sql.replace("{now}", ":now"), writes), {**parameters, "now": _timestamp(self._clock.now())}

    async def _refuse_retry(self, record: JobRecord) -> None:
        if record.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise JobNotRetryableError(record.id, record.status)
        holders = await self._run(statements.HOLDERS, unique_keys=_json([record.unique_key]), ids="[]")
        raise DuplicateJobError(record.unique_key or record.id, _text(holders[0]["id"]) if holders else record.id)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _new_job(job: NewJob) -> dict[str, Value]:
    return {
        "id": job.id,
        "job_name": job.job_name,
        "params": job.params,
        "queue": job.queue,
        "priority": job.priority,
        "spec_version": job.spec_version,
        "max_attempts": job.max_attempts,
        "scheduled_for": None if job.scheduled_for is None else _timestamp(job.scheduled_for),
        "delay": _milliseconds(job.delay),
        "unique_key": job.unique_key,
        "correlation_id": job.correlation_id,
    }


def _request(request: ClaimRequest) -> dict[str, Value]:
    return {
        "known": _json([(job.name, job.version, job.concurrency_limit) for job in request.known]),
        "queues": None if request.queues is None else _json(list(request.queues)),
    }


def _heartbeat(beat: Heartbeat) -> dict[str, Value]:
    return {"id": beat.id, "token": beat.token, "progress": beat.progress, "message": beat.message}


def _without_repeats(items: Sequence[Heartbeat | Settlement]) -> list[dict[str, int]]:
    """The places of the items by job id, in groups in none of which a job stands twice; nearly always one group."""
    groups: list[dict[str, int]] = []
    for index, item in enumerate(items):
        group = next((group for group in groups if item.id not in group), None)
        if group is None:
            groups.append(group := {})
        group[item.id] = index
    return groups


def _outcome(settlement: Settlement) -> dict[str, Value]:
    common: dict[str, Value] = {"id": settlement.id, "token": settlement.token}
    if settlement.report is not None:
        common |= {"progress": settlement.report.progress, "message": settlement.report.message}
    match settlement:
        case Completed(result=result):
            return {**common, "kind": "completed", "result": result}
        case Failed(error=error, retry_after=delay):
            return {
                **common,
                "kind": "failed",
                "error": error,
                "delay": None if delay is None else _milliseconds(delay),
            }
        case Released():
            return {**common, "kind": "released", "delay": 0}


def _inserted(jobs: Sequence[NewJob], created: Sequence[Row], holders: Sequence[Row]) -> list[Inserted]:
    new = {_text(row["id"]) for row in created}
    holder_of = {_text(row["unique_key"]): _text(row["id"]) for row in holders if row["unique_key"] is not None}
    stored = {_text(row["id"]) for row in holders if row["unique_key"] is None}
    answers: list[Inserted] = []
    for job in jobs:
        if job.id in new:
            new.remove(job.id)
            answers.append(Inserted(job.id, created=True))
        else:
            answer = job.id if job.id in stored else holder_of.get(job.unique_key or "", job.id)
            answers.append(Inserted(answer, created=False))
    return answers


def _claim(row: Row) -> Claim:
    record = _record(row)
    return Claim(record, record.fencing_token or "")


def _urgency(claim: Claim) -> tuple[int, datetime, str]:
    return (-claim.record.priority, claim.record.scheduled_for or _EPOCH, claim.id)


def _record(row: Row) -> JobRecord:
    return JobRecord(
        id=_text(row["id"]),
        job_name=_text(row["job_name"]),
        params=_text(row["params"]),
        status=JobStatus(_text(row["status"])),
        created_at=_time(row["created_at"]) or _EPOCH,
        updated_at=_time(row["updated_at"]) or _EPOCH,
        queue=_text(row["queue"]),
        priority=_integer(row["priority"]),
        spec_version=_integer(row["spec_version"]),
        result=_text_or_none(row["result"]),
        progress=_integer(row["progress"]),
        progress_message=_text_or_none(row["progress_message"]),
        error=_text_or_none(row["error"]),
        attempt_count=_integer(row["attempt_count"]),
        max_attempts=_integer(row["max_attempts"]),
        scheduled_for=_time(row["scheduled_for"]),
        worker_started_at=_time(row["worker_started_at"]),
        worker_expires_at=_time(row["worker_expires_at"]),
        completed_at=_time(row["completed_at"]),
        correlation_id=_text_or_none(row["correlation_id"]),
        unique_key=_text_or_none(row["unique_key"]),
        cancel_requested=bool(row["cancel_requested"]),
        fencing_token=_text_or_none(row["fencing_token"]),
    )


def _schedule(row: Row) -> ScheduleRecord:
    return ScheduleRecord(
        id=_text(row["id"]),
        job_name=_text(row["job_name"]),
        name=_text(row["name"]),
        cron_expression=_text(row["cron_expression"]),
        timezone=_text(row["timezone"]),
        misfire=_text(row["misfire"]),
        params=_text(row["params"]),
        enabled=bool(row["enabled"]),
        last_run_at=_time(row["last_run_at"]),
        next_run_at=_time(row["next_run_at"]),
        last_job_id=_text_or_none(row["last_job_id"]),
    )


def _text(value: Value) -> str:
    return value if isinstance(value, str) else str(value)


def _text_or_none(value: Value) -> str | None:
    return None if value is None else _text(value)


def _integer(value: Value) -> int:
    """The number in a column. SQLite lets a row written by hand hold anything; it must not stop the other rows."""
    try:
        return int(value or 0)
    except (ValueError, OverflowError):
        return 0


def _milliseconds(duration: timedelta) -> int:
    return duration // _MILLISECOND


def _timestamp(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _time(value: Value) -> datetime | None:
    try:
        return None if value is None else _EPOCH + timedelta(milliseconds=_integer(value))
    except OverflowError:
        return _EPOCH
