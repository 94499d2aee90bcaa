"""The store for SQL databases. Each method is one transaction with statements of the dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice, zip_longest
from operator import attrgetter
from types import MappingProxyType
from typing import NoReturn, TypeGuard, TypeVar

from ..domain.audit import APPLICATION, AUDIT_RETENTION, AuditAction, AuditQuery, AuditRecord, log_entries, log_entry
from ..domain.clock import Clock
from ..domain.history import (
    MOST_AHEAD,
    TICK_LEASE,
    WORKER_RETENTION,
    AttemptRecord,
    Blockers,
    WorkerRecord,
    WorkerReport,
)
from ..domain.ids import new_batch, new_job_id
from ..domain.interfaces import Database, Row, Statement, Value
from ..domain.lifecycle import is_repairable, unrepairable_reason
from ..domain.options import OnConflict
from ..domain.record import (
    EVERY_JOB,
    PRUNE_STEP,
    Cancellation,
    Claim,
    ClaimRequest,
    Completed,
    Declaration,
    Deletion,
    DueSchedules,
    Expired,
    Firing,
    Heartbeat,
    Inserted,
    JobCount,
    JobFilter,
    JobQuery,
    JobRecord,
    JobStatus,
    JobSummary,
    KnownJob,
    LateJob,
    LeaseAnswer,
    NewJob,
    PausedQueue,
    PendingWork,
    Pruned,
    PruneRule,
    PruneStep,
    Repair,
    Retrial,
    ScheduleRecord,
    Settlement,
)
from ..domain.search import MOST_CANDIDATES, FindStep, Found, FoundJob, JobPage, search_document
from ..domain.statistics import (
    COUNT_RETENTION,
    BatchCounts,
    EnqueuedCount,
    FailureGroup,
    JobCounts,
    MinuteCounts,
    QueueState,
)
from ..domain.text_limits import LONGEST_NAME, check_text, is_storable
from ..errors import (
    DatabaseError,
    DuplicateJobError,
    JobNotFoundError,
    JobNotRepairableError,
    JobNotRetryableError,
    SchemaMissingError,
)
from .claims import Claims
from .conflicts import answer_of, ids_by_key, is_kept, merged, owners_of
from .dialect import dialect_of
from .job_filters import NO_FILTER, candidates, count_of, filter_parameters, scanned, scanned_rows
from .pages import Pages
from .real_database import check_real_database_allowed
from .rows import (
    EPOCH,
    attempt_of,
    audit_of,
    claims_of,
    declaration_row,
    duration_of,
    enqueued_count_of,
    heartbeat_row,
    integer_of,
    is_large,
    is_packed,
    json_lists,
    json_objects,
    json_of,
    milliseconds,
    minute_counts_of,
    new_job_row,
    outcome_parameters,
    outcome_row,
    own_values,
    prune_rules,
    record_of,
    request_parameters,
    result_text,
    schedule_of,
    schedule_row,
    shared_parameters,
    status_of,
    summary_of,
    text_of,
    tick_parameters,
    time_of,
    timestamp,
    unpacked,
    worker_of,
    worker_parameters,
)
from .statistics import groups_of, states_of

H = TypeVar("H", bound=Heartbeat | Settlement)

_Call = tuple[Statement, Mapping[str, Value]]

_END_OF_TIME = timestamp(datetime(9999, 1, 1, tzinfo=UTC))
_AT_ONCE = 1000  # rows per statement, so that its memory stays small
_shared = attrgetter("shared")
_TRIES = 5  # the job with the unique key may finish between two statements


class SqlStore:
    """Jobs in a SQL database.

    All times are the time of the database, inside of the statement. In tests, `clock` replaces it.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.name = database.name
        self._clock = clock
        self._dialect = dialect_of(database)
        self._statements = self._dialect.statements
        self._made: dict[tuple[str, bool], Statement] = {}
        self._pages = Pages(self._statements, lambda sql, parameters: self._run(sql, **parameters))
        self._claims = Claims(database, self._call, self._waiting_call, clock)

    async def open(self) -> None:
        check_real_database_allowed(self.name)
        await self.database.open()
        if not self._dialect.checks_at_open:
            return  # the first statement reports a missing table
        try:
            await self._run(self._statements.PROBE)
        except DatabaseError as error:
            if "no such" in str(error):
                raise SchemaMissingError(str(error)) from error
            raise

    async def close(self) -> None:
        await self.database.close()

    async def ping(self) -> None:
        await self._run(self._statements.PING if self._dialect.checks_at_open else self._statements.PROBE)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        def woken(*, is_for_jobs: bool) -> None:
            if is_for_jobs:
                self._claims.expect()
            wake()

        return self.database.watch(woken)

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        answers = await self._try_insert(jobs)
        for _ in range(_TRIES):
            ended = [index for index, answer in enumerate(answers) if answer is None]
            if not ended:
                break
            # The batch may have ended without them, so they do not belong to it.
            again = [jobs[index]._replace(batch_id=None) for index in ended]
            await self.database.run(*self._freeing(again))
            for index, answer in zip(ended, await self._try_insert(again), strict=True):
                answers[index] = answer
        return [answer or _raise_unsettled(job) for answer, job in zip(answers, jobs, strict=True)]

    async def _try_insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Store jobs in one transaction. None for a job whose unique key a late job has, or one that ended since."""
        kept, replacing = jobs, list[_Call]()
        if any(job.unique_key is not None for job in jobs):
            kept = sorted(jobs, key=_by_key)  # a fixed order of keys prevents deadlocks
        if not all(map(is_kept, jobs)):
            replacing = self._replacing(merged(job for job in kept if not is_kept(job)))
            kept = [job for job in kept if is_kept(job)]
        calls = list(self._creating(kept))
        answers = await self.database.run(*calls, *replacing) if jobs else []
        created = list(_ids_in(answers[: len(calls)]))
        owners = owners_of([row for rows in answers[len(calls) :] for row in rows if "unique_key" in list(row.keys())])
        if created or owners:
            self._claims.expect()
            self.database.announce()
        return await self._answers(jobs, created, owners)

    def _creating(self, jobs: Iterable[NewJob]) -> Iterator[_Call]:
        packed, inserted = self._statements.PACKED_INSERT, self._statements.PACKED_INSERTED
        for chunk in _alike(jobs, self.name):
            call = self._call_with(job.unique_key for job in chunk)
            if len(chunk) == 1:
                yield call(self._statements.INSERT_ONE, **new_job_row(chunk[0]))
                continue
            shared = shared_parameters(chunk[0])
            for text in json_objects(_by_id(chunk)):
                if self._dialect.packs_rows and packed is not None and inserted is not None:
                    yield call(packed, **shared, jobs=text)
                    yield self._call(inserted)
                else:
                    yield call(self._statements.INSERT, **shared, jobs=text)

    def _replacing(self, jobs: Sequence[NewJob]) -> list[_Call]:
        """Return the calls that store these jobs in the place of unfinished ones. They answer with owners of keys."""
        of, calls = (
            self._statements,
            [self._waiting_call(self._statements.SUPERSEDE, keys=text) for text in json_objects(ids_by_key(jobs))],
        )
        for chunk in _alike(jobs, self.name):
            reschedules = int(chunk[0].on_conflict is OnConflict.RESCHEDULE)
            if len(chunk) == 1:
                calls.append(self._waiting_call(of.REPLACE_ONE, **new_job_row(chunk[0]), reschedules=reschedules))
            else:
                shared = {**shared_parameters(chunk[0]), "reschedules": reschedules}
                calls += [self._waiting_call(of.REPLACE, **shared, jobs=text) for text in json_objects(_by_id(chunk))]
        return calls

    async def _answers(
        self, jobs: Sequence[NewJob], created: Sequence[str], owners: Mapping[str, str]
    ) -> list[Inserted | None]:
        """Return the answers. `owners` are the jobs that replaced others, or were changed instead, by unique key."""
        if len(created) == len(jobs):
            return [Inserted(job.id, True) for job in jobs]
        keys = [job.unique_key for job in jobs if job.unique_key is not None and is_kept(job)]
        is_open = bool(keys) or any(job.unique_key not in owners for job in jobs if not is_kept(job))
        found = await self._key_owners(keys, [job.id for job in jobs]) if is_open else []
        answers = _inserted(jobs, created, found)
        stored = {text_of(row["id"]) for row in found if row["unique_key"] is None}
        return [
            answer if is_kept(job) else answer_of(job, owners, stored)
            for job, answer in zip(jobs, answers, strict=True)
        ]

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        batch = new_batch()
        for _ in range(_TRIES):
            call = self._call_with([job.unique_key])
            (started,) = await self.database.run(
                call(self._statements.START, **new_job_row(job), lease=milliseconds(lease), batch=batch)
            )
            if started:
                return claims_of(started, batch)[0]
            owners = await self._key_owners([job.unique_key], [job.id]) or await self._replaced_jobs(job)
            if owners:
                raise DuplicateJobError(job.unique_key or job.id, text_of(owners[0]["id"]))
            await self.database.run(*self._freeing([job]))
        return _raise_unsettled(job)

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        claims = await self._claims.make(request)
        if len(claims) > request.limit:  # the database exceeded the limit
            raise DatabaseError(f"{self.name} claimed {len(claims)} jobs where {request.limit} were asked for")
        return claims

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        batch = new_batch()
        rows = await self._run_by_id(
            self._statements.CLAIM_ONE,
            job_id,
            **request_parameters(request),
            lease=milliseconds(request.lease),
            worker_id=request.worker_id,
            batch=batch,
        )
        return claims_of(rows, batch)[0] if rows else None

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        answers = [LeaseAnswer.LOST for _ in heartbeats]
        of, lasts = self._statements, {"lease": milliseconds(lease)}
        reports = [self._call(of.REPORT_WORKER, **worker_parameters(worker), **lasts) for worker in workers]
        async for index, row in self._written(of.RENEW, heartbeats, heartbeat_row, lasts, reports):
            is_cancelled = row["cancel_requested"]
            answers[index] = (
                LeaseAnswer.BUSY
                if is_cancelled is None
                else LeaseAnswer.CANCEL_REQUESTED
                if is_cancelled
                else LeaseAnswer.RENEWED
            )
        return answers

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        answers: list[JobStatus | None] = [None for _ in settlements]
        self._claims.note_settled([one.id for one in settlements])
        calls: list[_Call] = []
        places: list[dict[str, int]] = []
        for group in _without_repeats(settlements):
            batch = [settlements[index] for index in group.values()]
            if self._statements.SETTLE_ONE is not None and (large := [one for one in batch if self._is_large(one)]):
                calls += [self._call(self._statements.SETTLE_ONE, **outcome_parameters(one)) for one in large]
                batch = [one for one in batch if not self._is_large(one)]
            results = {one.id: text for one in batch if _is_plain(one) and (text := result_text(one)) is not None}
            for text in json_objects(results) if results else ():
                calls += [self._call(sql, items=text) for sql in self._complete()]
            if len(results) < len(batch):
                others = {one.id: outcome_row(one) for one in batch if not _is_plain(one)}
                calls += [call for text in json_objects(others) if others for call in self._ending(text)]
            places += [group] * (len(calls) - len(places))
        if calls:
            for group, rows in zip(places, await self.database.run(*calls), strict=True):
                if is_packed(rows) and len(unpacked(rows)) == len(answers):
                    return [JobStatus.COMPLETED for _ in answers]  # the common case, done fast
                for job_id, status in _settled(rows):
                    answers[group[job_id]] = status
        return answers

    def _ending(self, items: str) -> Iterator[_Call]:
        if self._statements.RECORD_ATTEMPTS is not None and '"ended":' in items:
            yield self._call(self._statements.RECORD_ATTEMPTS, items=items)
        yield self._call(self._statements.SETTLE, items=items)

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        tokens, most = json_of(list(except_for)), self._statements.MOST_EXPIRED
        expired: list[Expired] = []
        record = self._statements.RECORD_EXPIRED
        calls = [self._call(self._statements.EXPIRE, jitter=milliseconds(jitter), except_for=tokens)]
        if record is not None:
            calls.insert(0, self._call(record, except_for=tokens))
        while True:
            *_, rows = await self.database.run(*calls)
            expired += [
                Expired(text_of(row["id"]), text_of(row["job_name"]), JobStatus(text_of(row["status"]))) for row in rows
            ]
            if most is None or len(rows) < most:
                return expired

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        given = {"batch_ids": _ids_or_none(batch_ids)}
        (rows,) = await self.database.run(
            self._call(self._statements.END_BATCHES, **given),
            look=self._call(self._statements.ENDED_BATCHES, **given),
        )
        if rows:
            self._claims.expect()
            self.database.announce()
        return [text_of(row["id"]) for row in rows]

    async def cancel_late(self) -> Sequence[LateJob]:
        rows = await self._run(self._statements.CANCEL_LATE)
        return [LateJob(text_of(row["id"]), text_of(row["job_name"])) for row in rows]

    def _freeing(self, jobs: Sequence[NewJob]) -> list[_Call]:
        """Return the calls that cancel late jobs with the unique keys of these jobs."""
        keys = sorted({job.unique_key for job in jobs if job.unique_key is not None})
        sql = self._statements.CANCEL_LATE_OWNERS
        return [self._waiting_call(sql, unique_keys=some) for some in json_lists(keys)] if keys else []

    async def cancel(self, job_id: str, *, by: str = APPLICATION) -> Cancellation:
        (answer,) = await self.cancel_many([job_id], by=by)
        if answer is Cancellation.NOT_FOUND:
            raise JobNotFoundError(job_id)
        return answer

    async def cancel_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Cancellation]:
        of = self._statements
        changed = await self._moved(AuditAction.CANCEL, (of.AUDIT_CANCEL, of.CANCEL), job_ids, among, by, detail)
        answers = {
            job_id: Cancellation.CANCELLED if row["status"] == JobStatus.CANCELLED else Cancellation.REQUESTED
            for job_id, row in changed.items()
        }
        answers |= dict.fromkeys(await self._unchanged(job_ids, answers, among), Cancellation.FINISHED)
        return [answers.get(job_id, Cancellation.NOT_FOUND) for job_id in job_ids]

    async def retry(self, job_id: str, *, by: str = APPLICATION) -> None:
        for _ in range(_TRIES):
            if await self._retry([job_id], EVERY_JOB, by, None):
                return
            record = await self.get(job_id)
            if record is None:
                raise JobNotFoundError(job_id)
            await self._refuse_retry(record)
        raise DatabaseError(f"the job {job_id} and those with its unique key change too fast to retry it; try again")

    async def retry_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Retrial]:
        answers = dict.fromkeys(await self._retry(job_ids, among, by, detail), Retrial.RETRIED)
        for job_id, status in (await self._unchanged(job_ids, answers, among)).items():
            is_retryable = status in (JobStatus.FAILED, JobStatus.CANCELLED)
            answers[job_id] = Retrial.DUPLICATE if is_retryable else Retrial.NOT_RETRYABLE
        return [answers.get(job_id, Retrial.NOT_FOUND) for job_id in job_ids]

    async def _retry(self, job_ids: Sequence[str], among: JobFilter, by: str, detail: str | None) -> Mapping[str, Row]:
        of = self._statements
        retried = await self._moved(AuditAction.RETRY, (of.AUDIT_RETRY, of.RETRY), job_ids, among, by, detail)
        if retried:
            self._claims.expect()
            self.database.announce()
        return retried

    async def repair(self, repair: Repair, *, by: str = APPLICATION) -> None:
        before = repair.instead_of
        for _ in range(_TRIES):
            if await self._changed(
                self._statements.AUDIT_REPAIR,
                self._statements.REPAIR,
                by,
                id=before.id,
                old_params=before.params,
                old_version=before.spec_version,
                params=repair.params,
                spec_version=repair.spec_version,
                concurrency_key=repair.concurrency_key,
                rate_key=repair.rate_key,
            ):
                log_entry(AuditAction.REPAIR, by, before.id, f"version {before.spec_version} to {repair.spec_version}")
                return
            record = await self.get(before.id)
            if record is None:
                raise JobNotFoundError(before.id)
            if not is_repairable(record, repair):
                raise JobNotRepairableError(record.id, unrepairable_reason(record))
            await self._refuse_duplicate(record)
        raise DatabaseError(
            f"the job {before.id} and those with its unique key change too fast to repair it; try again"
        )

    async def delete(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Deletion]:
        of = self._statements
        sqls = (of.AUDIT_DELETE, of.DELETE_ATTEMPTS, of.DELETE)
        deleted = await self._moved(AuditAction.DELETE, sqls, job_ids, among, by, detail)
        answers = dict.fromkeys(deleted, Deletion.DELETED)
        answers |= dict.fromkeys(await self._unchanged(job_ids, answers, among), Deletion.RUNNING)
        return [answers.get(job_id, Deletion.NOT_FOUND) for job_id in job_ids]

    async def audit_log(self, query: AuditQuery) -> Sequence[AuditRecord]:
        rows = await self._run(
            self._statements.AUDIT_LOG,
            actor=query.actor,
            target=query.target,
            action=query.action,
            before=query.before,
            limit=query.limit,
            age=milliseconds(AUDIT_RETENTION),
        )
        return [audit_of(row) for row in rows]

    async def forget_audit(self) -> int:
        return len(await self._run(self._statements.FORGET_AUDIT, age=milliseconds(AUDIT_RETENTION)))

    async def get(self, job_id: str) -> JobRecord | None:
        rows = await self._run_by_id(self._statements.GET, job_id)
        return record_of(rows[0]) if rows else None

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        return [record_of(row) for row in await self._listed(self._statements.LIST, query)]

    async def summary(self, job_id: str) -> JobSummary | None:
        rows = await self._run_by_id(self._statements.SUMMARY, job_id)
        return summary_of(rows[0]) if rows else None

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        rows = await self._run_by_id(self._statements.COUNT_BATCH, batch_id)
        counts = {text_of(row["status"]): integer_of(row["count"]) for row in rows}
        return BatchCounts(**counts) if rows else None

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        rows = await self._run_by_id(self._statements.BATCH_JOBS, batch_id, job_name=job_name)
        return [text_of(row["id"]) for row in rows]

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        return [summary_of(row) for row in await self._listed(self._statements.LIST_SUMMARIES, query)]

    async def _listed(self, sql: str, query: JobQuery) -> Sequence[Row]:
        parameters = {**filter_parameters(query), "before": query.before, "limit": query.limit}
        if query.ids is not None:
            parameters["ids"] = _ids_or_none(query.ids)
        among = "" if query.ids is None else self._statements.AMONG_IDS
        return await self._run(sql.replace("{among}", among), **parameters)

    async def find(self, step: FindStep) -> Found:
        first = step.filter.where[0] if step.filter.where else None
        if first is not None and first.column is not None and first.has_usable_index:
            source = candidates(first.column, self._statements.value)
            lookup: dict[str, Value] = {"value": first.indexed_value, "most": MOST_CANDIDATES + 1}
            try:
                (found,) = await self._run(count_of(source), **lookup)
            except DatabaseError as error:
                if not isinstance(error, SchemaMissingError) and "no such" not in str(error):
                    raise
            else:  # the database has the view
                if integer_of(found["count"]) <= MOST_CANDIDATES:
                    return await self._find(step, source, lookup)
        return await self._find(step)

    async def find_page(self, query: JobQuery) -> JobPage:
        return await self._pages.read(query)

    async def _find(
        self, step: FindStep, source: str = "jobs", lookup: Mapping[str, Value] = MappingProxyType({})
    ) -> Found:
        query = scanned(step, source)
        place: dict[str, Value] = {"limit": step.size, **lookup}
        if ":after" in query:
            place["after"] = step.after
        first = step.filter.where[0] if step.filter.where else None
        ranges, rows = await self.database.run(
            self._call(self._statements.FIND_RANGE.replace("{scanned}", query), **place),
            self._call(
                self._statements.FIND.replace("{rows}", scanned_rows(step, source)),
                **place,
                **filter_parameters(step.filter),
                part=None if first is None else first.part,
                needles=json_of(first.needles() if first else []),
                is_number=int(first is not None and first.is_number),
            ),
        )
        jobs = (
            search_document(
                step.filter,
                FoundJob(text_of(row["id"]), text_of(row["job_name"]), status_of(row["status"])),
                "" if row["params"] is None else text_of(row["params"]),
                None if row["result"] is None else text_of(row["result"]),
            )
            for row in (reversed(rows) if step.newest_first else rows)
        )
        is_last = integer_of(ranges[0]["count"]) < step.size
        last = ranges[0]["first" if step.newest_first else "last"]
        return Found(tuple(job for job in jobs if job), None if is_last else text_of(last))

    async def count_jobs(self, *, since: datetime | None = None) -> Sequence[JobCount]:
        count = self._call(self._statements.COUNT, since=None if since is None else timestamp(since))
        allow = self._statements.ALLOW_SCAN
        *_, rows = await self.database.run(*([] if allow is None else [self._call(allow)]), count)
        return [
            JobCount(
                text_of(row["job_name"]),
                JobStatus(text_of(row["status"])),
                integer_of(row["count"]),
                integer_of(row["parked"]),
            )
            for row in rows
        ]

    async def count_due(self, request: ClaimRequest) -> int:
        rows = await self._run(self._statements.COUNT_DUE, **request_parameters(request))
        return integer_of(rows[0]["count"])

    async def pending_work(self, request: ClaimRequest, tick: WorkerReport | None = None) -> PendingWork:
        sql = self._statements.PENDING_WORK
        (row,) = await self._run(sql, **request_parameters(request), **tick_parameters(tick))
        if not row["has_mislabelled"]:
            self._claims.note_labelled(request)
        return PendingWork(
            bool(row["has_expired"]),
            bool(row["has_due_schedule"]),
            bool(row["has_due_job"]),
            tick is not None and bool(row["has_due_report"]),
            bool(row["has_ended_batch"]),
            bool(row["has_late"]),
        )

    async def next_due(self, request: ClaimRequest) -> timedelta | None:
        rows = await self._run(self._statements.NEXT_DUE, **request_parameters(request))
        wait = rows[0]["wait"]
        return None if wait is None else max(timedelta(0), duration_of(wait))

    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        rows = json_of([schedule_row(schedule) for schedule in schedules])
        await self._run(self._statements.SAVE_SCHEDULES, schedules=rows)

    async def declare_schedules(
        self, declarations: Sequence[Declaration], *, grace: timedelta
    ) -> Sequence[ScheduleRecord]:
        of = self._statements
        sets = json_of([declaration_row(declaration) for declaration in declarations])
        _, unapplied = await self.database.run(
            self._call(of.TAKE_OVER_SCHEDULES, sets=sets, grace=milliseconds(grace)),
            self._call(of.UNAPPLIED_SCHEDULES, sets=sets),
        )
        names = {text_of(row["job_name"]) for row in unapplied}
        if not names:
            return ()
        current = [declaration for declaration in declarations if declaration.job_name in names]
        parameters = {
            "sets": json_of([declaration_row(declaration) for declaration in current]),
            "schedules": json_of([schedule_row(schedule) for each in current for schedule in each.schedules]),
        }
        calls = [
            self._call(sql, **{name: text for name, text in parameters.items() if f":{name}" in sql})
            for sql in of.APPLY_SCHEDULES
        ]
        return [schedule_of(row) for rows in await self.database.run(*calls) for row in rows]

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        return [schedule_of(row) for row in await self._run(self._statements.LIST_SCHEDULES)]

    async def enable_schedule(self, schedule_id: str, *, enabled: bool) -> bool:
        if not is_storable(schedule_id):
            return False
        rows, _ = await self.database.run(
            self._call(self._statements.ENABLE_SCHEDULE, id=schedule_id, enabled=int(enabled)),
            self._call(self._statements.FORGET_WITHDRAWAL, id=schedule_id),
        )
        return bool(rows)

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        due, clock = await self.database.run(
            self._call(self._statements.DUE_SCHEDULES, job_names=json_of(list(job_names))),
            self._call(self._statements.NOW),
        )
        now = time_of(clock[0]["now"]) or EPOCH
        return DueSchedules(now, tuple(schedule_of(row) for row in due))

    async def fire(self, firing: Firing) -> Sequence[bool]:
        new = [job for _, job in firing.slots]
        jobs = json_of([new_job_row(job) for job in new])
        call = self._call_with(job.unique_key for job in new)
        *_, created, _ = await self.database.run(
            *self._freeing(new),
            call(self._statements.FIRE, schedule_id=firing.schedule_id, jobs=jobs),
            self._call(
                self._statements.FIRED,
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

    async def pause_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        check_text("a queue", name, LONGEST_NAME)
        is_new = await self._changed(self._statements.AUDIT_PAUSE, self._statements.PAUSE_QUEUE, by, name=name)
        if is_new:
            log_entry(AuditAction.PAUSE, by, name)
        return bool(is_new)

    async def resume_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        if not is_storable(name):
            return False
        was_paused = await self._changed(self._statements.AUDIT_RESUME, self._statements.RESUME_QUEUE, by, name=name)
        if was_paused:
            log_entry(AuditAction.RESUME, by, name)
        return bool(was_paused)

    async def paused_queues(self) -> Sequence[PausedQueue]:
        rows = await self._run(self._statements.PAUSED_QUEUES)
        return [PausedQueue(text_of(row["name"]), time_of(row["paused_at"]) or EPOCH) for row in rows]

    async def prune(self, step: PruneStep) -> Pruned:
        looked_at: dict[str, Value] = {"after": step.after, "limit": step.limit}
        among: dict[str, Value] = {**filter_parameters(step.among), "ids": _ids_or_none(step.ids)}
        rules = prune_rules(step.rules)
        sqls = [self._statements.PRUNABLE] if step.dry_run else self._prune()
        ranges, *_, pruned = await self.database.run(
            self._call(self._statements.PRUNE_RANGE, **looked_at),
            *(self._call(sql, **looked_at, **among, rules=rules) for sql in sqls),
        )
        is_last = integer_of(ranges[0]["count"]) < step.limit
        return Pruned(len(pruned), None if is_last else text_of(ranges[0]["last"]))

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = PRUNE_STEP) -> Pruned:
        step: dict[str, Value] = {"rules": prune_rules(rules), "limit": limit}
        moved = await self._run(self._statements.PRUNE_MOVE, **step)
        if not moved:
            return Pruned(0, None)
        after = text_of(moved[0]["after"])
        if not moved[0]["has_expired"]:
            return Pruned(0, after or None)
        calls = (self._call(sql, **step, **NO_FILTER, ids=None, after=after) for sql in self._prune())
        *_, pruned = await self.database.run(*calls)
        return Pruned(len(pruned), after)

    def _prune(self) -> Sequence[str]:
        attempts = self._statements.PRUNE_ATTEMPTS
        return [self._statements.PRUNE] if attempts is None else [attempts, self._statements.PRUNE]

    async def queue_states(self, *, most: int | None = None) -> Sequence[QueueState]:
        return states_of(await self._run(self._statements.QUEUE_STATES, most=most), most)

    async def failure_groups(
        self, *, queues: Sequence[str] | None = None, most: int | None = None
    ) -> Sequence[FailureGroup]:
        given = None if queues is None else json_of(list(queues))
        return groups_of(await self._run(self._statements.FAILURE_GROUPS, queues=given, most=most), most)

    async def enqueued_counts(self) -> Sequence[EnqueuedCount]:
        return sorted(map(enqueued_count_of, await self._run(self._statements.ENQUEUED_COUNTS)))

    async def add_counts(self, counts: Sequence[JobCounts]) -> None:
        if counts:
            rows = [{"queue": one.queue, "job_name": one.job_name, **one.counts._asdict()} for one in counts]
            await self._run(self._statements.ADD_COUNTS, counts=json_of(rows))

    async def finished_counts(self, *, since: datetime | None) -> Sequence[MinuteCounts]:
        first, last = (0, 0) if since is None else (max(1, timestamp(since)), _END_OF_TIME)
        rows = await self._run(self._statements.FINISHED_COUNTS, since=first, until=last)
        return [minute_counts_of(row) for row in rows]

    async def forget_counts(self) -> int:
        return len(await self._run(self._statements.FORGET_COUNTS, age=milliseconds(COUNT_RETENTION)))

    async def attempts(self, job_id: str) -> Sequence[AttemptRecord]:
        return [attempt_of(row) for row in await self._run_by_id(self._statements.ATTEMPTS, job_id)]

    async def blockers(self, record: JobRecord, job: KnownJob | None, known: Sequence[tuple[str, int]]) -> Blockers:
        of, name = self._statements, record.job_name
        concurrency, rate = (None, None) if job is None else (job.concurrency, job.rate)
        calls = [
            self._call(
                of.AHEAD,
                known=json_of(known),
                queue=record.queue,
                priority=record.priority,
                due=timestamp(record.scheduled_for or EPOCH),
                id=record.id,
                most=MOST_AHEAD,
            )
        ]
        if record.unique_key is not None:
            calls.insert(0, self._call(of.REPLACED_JOBS, unique_keys=json_of([record.unique_key])))
        if concurrency is not None:
            calls.append(self._call(of.HOLDERS, job_name=name, concurrency_key=record.concurrency_key or ""))
        if rate is not None:
            key, period = record.rate_key or "", milliseconds(rate.per)
            calls.append(self._call(of.RATE_FREE_AT, job_name=name, rate_key=key, period=period, limit=rate.limit))
        found = await self.database.run(*calls)
        replaced = found[0] if record.unique_key is not None else ()
        (row,), *limits = found[1:] if record.unique_key is not None else found
        held = limits[0] if concurrency is not None else ()
        is_full = concurrency is not None and bool(held) and integer_of(held[0]["count"]) >= concurrency.limit
        free = [] if rate is None else [time_of(one["free_at"]) for one in limits[-1]]
        return Blockers(
            now=time_of(row["now"]) or EPOCH,
            ahead=integer_of(row["ahead"]),
            holders=tuple(text_of(one["id"]) for one in held) if is_full else (),
            rate_free_at=free[0] if free else None,
            replaced=text_of(replaced[0]["id"]) if replaced else None,
        )

    async def workers(self) -> Sequence[WorkerRecord]:
        return [worker_of(row) for row in await self._run(self._statements.WORKERS)]

    async def held_jobs(self, worker_id: str) -> Sequence[str]:
        return [text_of(row["id"]) for row in await self._run_by_id(self._statements.HELD_JOBS, worker_id)]

    async def report_tick(self, report: WorkerReport) -> None:
        lease = milliseconds(TICK_LEASE)
        await self._run(self._statements.REPORT_TICK, **worker_parameters(report), lease=lease)

    async def remove_worker(self, worker_id: str) -> None:
        await self._run(self._statements.REMOVE_WORKER, id=worker_id)

    async def forget_workers(self) -> int:
        return len(await self._run(self._statements.FORGET_WORKERS, age=milliseconds(WORKER_RETENTION)))

    async def _written(
        self,
        sql: str,
        items: Sequence[H],
        encode: Callable[[H], dict[str, Value]],
        parameters: Mapping[str, Value],
        more: Sequence[_Call],
    ) -> AsyncIterator[tuple[int, Row]]:
        """Write under the fence, with `more` in the same transaction. Return the position of each written item, with
        its row.

        A statement answers by job id. Two items of one job (an old and a new claim) therefore go into two statements
        of the same transaction.
        """
        if not items and not more:
            return
        encoded = [
            (group, text)
            for group in _without_repeats(items)
            for text in json_objects({job_id: encode(items[index]) for job_id, index in group.items()})
        ]
        calls = [self._call(sql, items=text, **parameters) for _, text in encoded]
        for (group, _), rows in zip(encoded, await self.database.run(*calls, *more), strict=False):
            for row in rows:
                yield group[text_of(row["id"])], row

    def _is_large(self, settlement: Settlement) -> bool:
        return isinstance(settlement, Completed) and is_large(settlement.result, self.name)

    def _complete(self) -> Sequence[str]:
        packed = self._statements.PACKED_COMPLETE if self._dialect.packs_rows else None
        return packed or (self._statements.COMPLETE,)

    async def _moved(
        self,
        action: AuditAction,
        sqls: Sequence[str | None],
        job_ids: Sequence[str],
        among: JobFilter,
        by: str,
        detail: str | None,
    ) -> dict[str, Row]:
        """Execute a manual move of many jobs, with its entries in the audit log. Return the changed rows by id.

        An id that no database can store matches nothing.
        """
        ids = [job_id for job_id in job_ids if is_storable(job_id)]
        moved: dict[str, Row] = {}
        for some in json_lists(ids) if ids else ():
            given: dict[str, Value] = {"ids": some, **filter_parameters(among)}
            entry: dict[str, Value] = {"audit_id": new_job_id(), "actor": by, "detail": detail}
            *_, rows, _ = await self.database.run(
                *(self._call(sql, **given, **(entry if ":actor" in sql else {})) for sql in sqls if sql is not None),
                self._call(self._statements.FORGET_AUDIT, age=milliseconds(AUDIT_RETENTION)),
            )
            moved |= {text_of(row["id"]): row for row in rows}
        log_entries(action, by, list(moved), detail)
        return moved

    async def _unchanged(
        self, job_ids: Sequence[str], changed: Mapping[str, object], among: JobFilter
    ) -> dict[str, JobStatus]:
        """Return the other jobs that are stored and match the filter, with their status."""
        rest = [job_id for job_id in job_ids if job_id not in changed and is_storable(job_id)]
        statuses: dict[str, JobStatus] = {}
        for some in json_lists(rest) if rest else ():
            rows = await self._run(self._statements.STATUSES, ids=some, **filter_parameters(among))
            statuses |= {text_of(row["id"]): status_of(row["status"]) for row in rows}
        return statuses

    async def _changed(self, audit: str, sql: str, by: str, **parameters: Value) -> Sequence[Row]:
        """Execute a manual change, with audit entries for the changed rows, and return these rows.

        An id that no database can store matches nothing.
        """
        if not is_storable(str(parameters.get("id", ""))):
            return ()
        entry: dict[str, Value] = {"audit_id": new_job_id(), "actor": by}
        wanted = {name: value for name, value in parameters.items() if f":{name}" in audit}
        _, rows, _ = await self.database.run(
            self._call(audit, **entry, **wanted),
            self._call(sql, **parameters),
            self._call(self._statements.FORGET_AUDIT, age=milliseconds(AUDIT_RETENTION)),
        )
        return rows

    async def _run(self, sql: str, **parameters: Value) -> Sequence[Row]:
        return (await self.database.run(self._call(sql, **parameters)))[0]

    async def _run_by_id(self, sql: str, given_id: str, **parameters: Value) -> Sequence[Row]:
        """Like `_run`. An id that no database can store matches nothing; some databases reject it."""
        return await self._run(sql, id=given_id, **parameters) if is_storable(given_id) else ()

    def _call(self, sql: str, **parameters: Value) -> _Call:
        """Return the statement with the time expression, and its parameters."""
        return self._statement(sql), self._timed(parameters)

    def _waiting_call(self, sql: str, **parameters: Value) -> _Call:
        """Like `_call`, for a statement that may wait for other transactions."""
        return self._statement(sql, may_wait=True), self._timed(parameters)

    def _call_with(self, keys: Iterable[str | None]) -> Callable[..., _Call]:
        """Return the function that makes calls for jobs with these unique keys."""
        return self._call if all(key is None for key in keys) else self._waiting_call

    def _timed(self, parameters: dict[str, Value]) -> dict[str, Value]:
        if self._clock is not None:
            parameters["now"] = timestamp(self._clock.now())
        return parameters

    def _statement(self, sql: str, *, may_wait: bool = False) -> Statement:
        statement = self._made.get((sql, may_wait))
        if statement is None:
            now = self.database.now if self._clock is None else self._statements.GIVEN_NOW
            writes = "SELECT" not in sql.lstrip()[:6]
            # A power cut ends the processes with these claims too.
            is_lease = sql in (self._statements.CLAIM, self._statements.RENEW, self._statements.REPORT_WORKER)
            statement = self._made[sql, may_wait] = Statement(
                sql.replace("{now}", now), writes, may_be_forgotten=is_lease, may_wait=may_wait
            )
        return statement

    async def _key_owners(self, unique_keys: Sequence[str | None], ids: Sequence[str] = ()) -> Sequence[Row]:
        """Return the unfinished jobs with these unique keys, and the jobs with these ids without their key."""
        keys = json_lists([key for key in unique_keys if key is not None])
        calls = [
            self._call(self._statements.KEY_OWNERS, unique_keys=some_keys, ids=some_ids)
            for some_keys, some_ids in zip_longest(keys, json_lists(ids), fillvalue="[]")
        ]
        return [row for rows in await self.database.run(*calls) for row in rows]

    async def _replaced_jobs(self, job: NewJob) -> Sequence[Row]:
        """Return the running jobs that gave up the unique key of this job."""
        return await self._run(self._statements.REPLACED_JOBS, unique_keys=json_of([job.unique_key]))

    async def _refuse_retry(self, record: JobRecord) -> None:
        """Raise the error that prevents a retry of this job, unless the reason is gone."""
        if record.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise JobNotRetryableError(record.id, record.status)
        await self._refuse_duplicate(record)

    async def _refuse_duplicate(self, record: JobRecord) -> None:
        owners = [text_of(row["id"]) for row in await self._key_owners([record.unique_key])]
        if others := [job_id for job_id in owners if job_id != record.id]:
            raise DuplicateJobError(record.unique_key or record.id, others[0])


def _ids_or_none(ids: Sequence[str] | None) -> str | None:
    return None if ids is None else json_of([job_id for job_id in ids if is_storable(job_id)])


def _by_key(job: NewJob) -> str:
    return job.unique_key or ""


def _alike(jobs: Iterable[NewJob], database: str) -> Iterator[list[NewJob]]:
    """Yield the jobs in order, in one list per statement."""
    for _, group in groupby(jobs, key=_shared):
        while alike := list(islice(group, _AT_ONCE)):
            yield from _with_large_ones_apart(alike, database)


def _with_large_ones_apart(jobs: list[NewJob], database: str) -> Iterator[list[NewJob]]:
    """Yield the jobs in order, each large job alone: a statement for one job takes its params without escaping."""
    if not any(is_large(job.params, database) for job in jobs):
        yield jobs
        return
    for are_large, group in groupby(jobs, key=lambda job: is_large(job.params, database)):
        if are_large:
            yield from ([job] for job in group)
        else:
            yield list(group)


def _by_id(jobs: Sequence[NewJob]) -> dict[str, str | tuple[str | None, ...]]:
    """Return the parameter `jobs`. The first job with an id wins."""
    values = {job.id: own_values(job) for job in jobs}
    if len(values) < len(jobs):
        values |= {job.id: own_values(job) for job in reversed(jobs)}
    return values


def _settled(rows: Sequence[Row]) -> Iterator[tuple[str, JobStatus]]:
    """Yield the settled jobs with their status. Packed rows are completed jobs."""
    if is_packed(rows):
        yield from ((text_of(job_id), JobStatus.COMPLETED) for job_id in unpacked(rows))
    else:
        yield from ((text_of(row["id"]), status_of(row["status"])) for row in rows)


def _ids_in(answers: Sequence[Sequence[Row]]) -> Iterator[str]:
    """Yield the ids of the stored jobs."""
    for rows in answers:
        yield from map(text_of, unpacked(rows) if is_packed(rows) else (row["id"] for row in rows))


def _is_plain(settlement: Settlement) -> TypeGuard[Completed]:
    return isinstance(settlement, Completed) and settlement.report is None


def _without_repeats(items: Sequence[Heartbeat | Settlement]) -> list[dict[str, int]]:
    """Group the positions of items so that no group has a job twice. Usually one group."""
    places = {item.id: index for index, item in enumerate(items)}
    if len(places) == len(items):
        return [places] if places else []
    groups: list[dict[str, int]] = []
    for index, item in enumerate(items):
        group = next((group for group in groups if item.id not in group), None)
        if group is None:
            groups.append(group := {})
        group[item.id] = index
    return groups


def _inserted(jobs: Sequence[NewJob], created: Sequence[str], owners: Sequence[Row]) -> list[Inserted | None]:
    new = set(created)
    key_owner_of = {text_of(row["unique_key"]): text_of(row["id"]) for row in owners if row["unique_key"] is not None}
    stored = {text_of(row["id"]) for row in owners if row["unique_key"] is None}
    answers: list[Inserted | None] = []
    for job in jobs:
        if job.id in new:
            new.remove(job.id)
            answers.append(Inserted(job.id, created=True))
        elif job.unique_key is None or job.id in stored:
            answers.append(Inserted(job.id, created=False))
        else:
            owner = key_owner_of.get(job.unique_key)
            answers.append(None if owner is None else Inserted(owner, created=False))
    return answers


def _raise_unsettled(job: NewJob) -> NoReturn:
    raise DatabaseError(f"jobs with the unique key {job.unique_key!r} come and go too fast to store one; try again")
